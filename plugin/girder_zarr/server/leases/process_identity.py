"""A name for a process that no other process has, and whether the process of a name has certainly exited.

A lease whose worker has exited on this machine may be taken over at once, without waiting for its expiry.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


def current() -> str:
    """Return the identity of this process: host, boot, process namespace, process id and start time."""
    return _identity(os.getpid())


@cache
def _identity(pid: int) -> str:
    return ' '.join([*_namespace(), str(pid), _start_time(pid) or '0'])


def has_exited(identity: str) -> bool:
    """Return whether a process of this machine has exited.

    False for a process of another machine, boot or container, which cannot be observed from here.
    """
    *namespace, pid, started = identity.split(' ')
    if tuple(namespace) != _namespace() or 'unknown' in namespace:
        return False
    return _start_time(int(pid)) != started


@cache
def _namespace() -> tuple[str, ...]:
    """Return the host, boot and process namespace, within which a process id names one process."""
    try:
        boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
        namespace = str(Path('/proc/self/ns/pid').readlink())
    except OSError:
        boot = namespace = 'unknown'
    return socket.gethostname().replace(' ', '_'), boot, namespace


def _start_time(pid: int) -> str | None:
    """Return the start time of a process, or None if it has exited.

    It is given in clock ticks since boot, as proc(5) has it in field 22 of ``stat``. A process id is used
    again; the start time tells the new process from the old one.
    """
    try:
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return None
    return None if fields[0] in {'Z', 'X'} else fields[19]
