"""One child process of the stack: how it starts, what it reports, how it stops."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import StackError

from .child import parent_death

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass
class Part:
    """One program of the stack.

    :param name: as the user knows it, e.g. ``database``; also the name of its log.
    :param command: program and arguments; the program is an absolute path.
    :param log: the file that gets its standard output and error.
    :param environment: the child's whole environment.
    :param temporary: its folder for temporary files, made anew at each start.
    :param ready: whether the program now answers; asked again and again. None: it reports by itself.
    :param reports: the child is given a pipe as ``GIRDER_ZARR_REPORT`` and writes one line of JSON to it.
    :param pass_fds: file descriptors that the child inherits under the same numbers.
    :param once: more arguments for the first start only.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    temporary: Path
    ready: Callable[[], bool] | None = None
    reports: bool = False
    pass_fds: tuple[int, ...] = ()
    once: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    report: dict[str, Any] | None = field(default=None, init=False)
    _pipe: int | None = field(default=None, init=False)
    _unread: bytes = field(default=b'', init=False)

    def start(self) -> None:
        """Start the program in a session of its own, to be killed by the kernel when this process ends."""
        self._start([*self.command, *self.once])

    def start_again(self) -> None:
        """Start the program once more after :meth:`clear`."""
        self.report, self._unread = None, b''
        self._start(self.command)

    def _start(self, command: Sequence[str]) -> None:
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir(mode=0o700)
        environment = {**self.environment, 'TMPDIR': str(self.temporary)}
        inherited, writing = list(self.pass_fds), None
        if self.reports:
            self._pipe, writing = os.pipe()
            os.set_blocking(self._pipe, False)
            environment['GIRDER_ZARR_REPORT'] = str(writing)
            inherited.append(writing)
        try:
            with self.log.open('ab') as log:
                self.process = subprocess.Popen(  # noqa: S603 - the command is put together in parts.py
                    [sys.executable, '-I', '-S', parent_death.__file__, str(os.getpid()), *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=self.log.parent.parent,
                    start_new_session=True,
                    pass_fds=inherited,
                )
        finally:
            if writing is not None:
                os.close(writing)

    def check(self) -> None:
        """Raise StackError when the program has ended."""
        if (why := self.ended()) is not None:
            when = 'while it was running' if self.report is not None else 'before it was ready'
            msg = f'The {self.name} ended {when} ({why}); its log is {self.log}.'
            raise StackError(msg)

    def ended(self) -> str | None:
        """Return how the program has ended, in words; None while it runs."""
        code = None if self.process is None else self.process.poll()
        return None if code is None else describe_exit(code)

    def is_ready(self) -> bool:
        """Whether the program answers; remembered from the first time on."""
        if self.report is None:
            if self.reports:
                self.report = self._read_report()
            elif self.ready is not None and self.ready():
                self.report = {}
        return self.report is not None

    def _read_report(self) -> dict[str, Any] | None:
        with contextlib.suppress(BlockingIOError):
            while self._pipe is not None and (more := os.read(self._pipe, 65536)):
                self._unread += more
        line, newline, _ = self._unread.partition(b'\n')
        return dict(json.loads(line)) if newline else None

    def send_signal(self, number: int) -> None:
        """Send a signal to the program itself."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def wait(self, deadline: float) -> bool:
        """Wait until the deadline on `time.monotonic()` at most; return whether the program has ended."""
        if self.process is not None:
            try:
                self.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return False
        return True

    def clear(self) -> None:
        """Kill whatever is left of the program's process group, and wait for the program."""
        if self.process is not None:
            # The group outlives its leader when a worker's own children do.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            # The system may give its process id to another program soon.
            self.process = None
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def describe_exit(code: int) -> str:
    """Return a process's exit code in words, e.g. ``exit code 1`` or ``signal SIGKILL``."""
    if code >= 0:
        return f'exit code {code}'
    try:
        return f'signal {signal.Signals(-code).name}'
    except ValueError:
        return f'signal {-code}'
