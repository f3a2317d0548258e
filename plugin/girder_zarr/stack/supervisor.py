"""The parent of the stack: starts the parts, watches them, stops them all together."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from girder_zarr.errors import StackError

from .folder import DataFolder, claim_port
from .parts import local_url, plan_parts
from .restart_policy import RestartPolicy
from .space import note_of_space

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from .options import Options
    from .part import Part

#: A part that takes longer than this to answer is taken for broken.
START_SECONDS = 60.0
#: How long a part may take to stop before it is killed.
STOP_SECONDS = 10.0
#: Seconds between two checks of whether a part answers again.
POLL_SECONDS = 0.1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Running:
    """A stack that answers.

    :param url: Girder's address with a slash at the end.
    :param login: the administrator's login.
    :param password: the administrator's password where it was generated just now, else None.
    :param password_was_set: the password was set at this start (if `password` is None: from the environment).
    """

    url: str
    login: str
    password: str | None
    password_was_set: bool


Work = Callable[[Running], int | None]


class Supervisor:
    """Runs the stack; a process has one, in its main thread.

    :param options: as `Options.checked` returned them.
    :param print_line: called with each line for the user.
    """

    def __init__(self, options: Options, print_line: Callable[[str], None]) -> None:
        self.options = options
        self.print_line = print_line
        self.folder = DataFolder(options.data)
        self.parts: list[Part] = []
        self.stop_signals = 0
        self._awake, self._wake = -1, -1

    def run(self, work: Work | None = None) -> int:
        """Start everything and stay until a signal or the end of `work`.

        A part that ends by itself once everything has answered is started again, unless the options say
        otherwise.

        :param work: run in a thread of its own once everything answers; it returns the exit code, or None to
            let the stack go on running.
        :returns: the exit code: 0 after a signal, or what `work` returned.
        :raises StackError: a part did not start, or ended and is not to be, or cannot be, started again;
            everything is stopped by then.
        """
        with self._signals():
            listener = None
            try:
                listener = claim_port(self.options.host, self.options.port)
                self.folder.claim()
                return self._run(listener, work)
            finally:
                self._stop()
                if listener is not None:
                    listener.close()
                self.folder.release()

    def _run(self, listener: socket.socket, work: Work | None) -> int:
        servers, users = plan_parts(self.options, self.folder, listener)
        self._start(servers)
        if not self._wait_until_ready(servers):
            return 0
        self._start(users)
        if not self._wait_until_ready(users):
            return 0
        url = local_url(self.options.host, listener)
        check_answers(url, users[0])
        facts = users[0].report or {}
        running = Running(url, str(facts['login']), facts['password'], bool(facts['set']))
        self.announce(running)
        return self._watch(work, running)

    def announce(self, running: Running) -> None:
        """Print the address of Girder and the login of its administrator."""
        self.print_line(
            f'Girder is ready at {running.url} (data in {self.folder.path}); stop it with Ctrl-C.'
        )
        if (note := note_of_space(self.folder.path, os.environ)) is not None:
            self.print_line(note)
        if running.password is not None:
            self.print_line(
                f'Sign in as {running.login} with the password {running.password} '
                '(shown once, stored nowhere).'
            )
        elif running.password_was_set:
            self.print_line(f'Sign in as {running.login} with the password from GIRDER_ZARR_ADMIN_PASSWORD.')
        else:
            forgotten = 'girder-zarr serve --reset-password sets a new one'
            self.print_line(f'Sign in as {running.login} with the password of the first start ({forgotten}).')

    def _start(self, parts: list[Part]) -> None:
        for part in parts:
            self.parts.append(part)
            part.start()

    def _wait_until_ready(self, parts: list[Part]) -> bool:
        """Wait until the parts answer; return False where a signal to stop comes first."""
        deadline = time.monotonic() + START_SECONDS
        while not self.stop_signals:
            # A part that has ended explains more than one that does not answer.
            self._check()
            waiting = [part for part in parts if not part.is_ready()]
            if not waiting:
                return True
            if time.monotonic() > deadline:
                late = waiting[0]
                seconds = f'{START_SECONDS:.0f} seconds'
                msg = f'The {late.name} did not answer within {seconds}; its log is {late.log}.'
                raise StackError(msg)
            self._sleep(0.05)
        return False

    def _watch(self, work: Work | None, running: Running) -> int:
        result: list[int | BaseException | None] = []
        if work is not None:
            threading.Thread(target=self._work, args=(work, running, result), daemon=True).start()
        policy = RestartPolicy(self.parts, self.print_line, START_SECONDS)
        while not self.stop_signals:
            all_answer = policy.check() if self.options.restart else self._check()
            if result:
                outcome = result[0]
                if isinstance(outcome, BaseException):
                    raise outcome
                if outcome is not None:
                    return outcome
                result.clear()
            self._sleep(None if all_answer else POLL_SECONDS)
        return 0

    def _check(self) -> bool:
        """Return True if all parts run.

        :raises StackError: a part has ended.
        """
        for part in self.parts:
            part.check()
        return True

    def _work(self, work: Work, running: Running, result: list[int | BaseException | None]) -> None:
        try:
            result.append(work(running))
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            result.append(error)
        with contextlib.suppress(OSError):
            os.write(self._wake, b'\0')

    def _stop(self) -> None:
        """Stop the users of the database and broker first, then those; kill what does not stop."""
        servers = [part for part in self.parts if not part.reports]
        users = [part for part in self.parts if part.reports]
        seen = self.stop_signals
        for group in (users, servers):
            for part in group:
                part.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            # A second Ctrl-C means now.
            while self.stop_signals <= max(seen, 1) and time.monotonic() < deadline:
                if all(part.wait(time.monotonic()) for part in group):
                    break
                self._sleep(0.1)
            for part in group:
                part.clear()
        self.parts.clear()

    def _sleep(self, seconds: float | None) -> None:
        """Wait until a signal arrives (a child's end is one), the work has ended, or the time is over."""
        readable, _, _ = select.select([self._awake], [], [], seconds)
        if readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._awake, 4096)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Count the signals that ask to stop, and be woken by them and by the end of children."""

        def count(_number: int, _frame: object) -> None:
            self.stop_signals += 1

        self._awake, self._wake = os.pipe()
        os.set_blocking(self._awake, False)
        os.set_blocking(self._wake, False)
        previous = {number: signal.signal(number, count) for number in STOP_SIGNALS}
        previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        previous_wakeup = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous_wakeup)
            for number, handler in previous.items():
                signal.signal(number, handler)
            os.close(self._awake)
            os.close(self._wake)


def check_answers(url: str, part: Part) -> None:
    """Ask Girder for its version, as a user would.

    :raises StackError: the answer is not what Girder answers.
    """
    # A proxy of the environment cannot know a server that has just been started here.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f'{url}api/v1/system/version', timeout=30) as response:
            response.read()
    except (urllib.error.URLError, OSError) as error:
        msg = f'The {part.name} does not answer at {url} ({error}); its log is {part.log}.'
        raise StackError(msg) from error
