"""The restart policy: parts of a running stack that end by themselves are started again, after a pause."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from girder_zarr.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .part import Part

#: Seconds before a part is started again, by how often it has ended in a row.
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
#: A part that has answered for so long begins anew with the shortest pause.
STEADY_SECONDS = 10.0
#: Failed starts of one part in a row after which the stack gives up: with the pauses above, some minutes.
MAX_FAILED_STARTS = 10


@dataclass
class _History:
    """The ends and starts of one part since it last ran steadily."""

    ends: int = 0
    failed_starts: int = 0
    #: The time of its next start; None: it runs.
    restart_at: float | None = None
    started: float = 0.0
    #: The time of its first answer; None: not yet.
    answers: float | None = None


class RestartPolicy:
    """Watches the parts of a stack and starts those again that end.

    :param parts: all of them answer by now.
    :param print_line: called with each line for the user.
    :param start_seconds: a part that does not answer after so long is killed, which counts as an end.
    :param clock: the time in seconds, as `time.monotonic`.
    """

    def __init__(
        self,
        parts: Iterable[Part],
        print_line: Callable[[str], None],
        start_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._print_line = print_line
        self._start_seconds = start_seconds
        self._clock = clock
        self._histories = [(part, _History(answers=clock())) for part in parts]

    def check(self) -> bool:
        """Start the parts whose pause is over; return whether all parts answer.

        :raises StackError: a part cannot be started however often it is tried.
        """
        for part, history in self._histories:
            if history.restart_at is None and (why := part.ended()) is not None:
                self._schedule(part, history, why)
            if history.restart_at is not None and self._clock() >= history.restart_at:
                history.restart_at, history.started = None, self._clock()
                part.start_again()
            elif history.restart_at is None and history.answers is None:
                self._check_start(part, history)
        return all(history.answers is not None for _, history in self._histories)

    def _schedule(self, part: Part, history: _History, why: str) -> None:
        """Clean up after a part that has ended, set the time of its next start, and report both."""
        part.clear()
        if history.answers is None:
            history.failed_starts += 1
        elif self._clock() - history.answers >= STEADY_SECONDS:
            history.ends = 0
        if history.failed_starts >= MAX_FAILED_STARTS:
            tried = f'{MAX_FAILED_STARTS} starts in a row'
            msg = f'The {part.name} ended ({why}), and {tried} did not help; its log is {part.log}.'
            raise StackError(msg)
        pause = PAUSES[min(history.ends, len(PAUSES) - 1)]
        history.ends += 1
        history.restart_at, history.answers = self._clock() + pause, None
        when = f'in {pause:g} seconds' if pause else 'now'
        self._report(f'The {part.name} has ended ({why}) and is started again {when}; its log is {part.log}.')

    def _check_start(self, part: Part, history: _History) -> None:
        """Record that a part answers, or kill it when its start takes too long."""
        if part.is_ready():
            history.answers, history.failed_starts = self._clock(), 0
            self._report(f'The {part.name} answers again.')
        elif self._clock() - history.started > self._start_seconds:
            self._report(f'The {part.name} does not answer after {self._start_seconds:.0f} seconds.')
            part.send_signal(signal.SIGKILL)

    def _report(self, sentence: str) -> None:
        self._print_line(f'{time.strftime("%Y-%m-%d %H:%M:%S")} {sentence}')
