"""Which process does something, and whether it certainly is gone."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


def identity() -> str:
    """Return what tells this process from all others, on this and on other machines."""
    return _identity(os.getpid())


@cache
def _identity(pid: int) -> str:
    return ' '.join([*_place(), str(pid), _started(pid) or '0'])


def is_gone(other: str) -> bool:
    """Return whether a process of this machine has ended; False where that cannot be told from here."""
    *place, pid, started = other.split(' ')
    return tuple(place) == _place() and 'unknown' not in place and _started(int(pid)) != started


@cache
def _place() -> tuple[str, ...]:
    """Return what processes share whose numbers mean the same: machine, boot and process namespace."""
    try:
        boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
        namespace = str(Path('/proc/self/ns/pid').readlink())
    except OSError:
        boot = namespace = 'unknown'
    return socket.gethostname().replace(' ', '_'), boot, namespace


def _started(pid: int) -> str | None:
    """Return when a process was started, in ticks of the clock; None: there is none, or it has ended."""
    try:
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return None
    return None if fields[0] in {'Z', 'X'} else fields[19]
