"""Parts of a running stack that end by themselves are started again, as a service manager would do it."""

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
#: After so many starts in a row that led nowhere the stack gives up.
MOST_FAILED_STARTS = 10


@dataclass
class _History:
    """What happened to one part since all was well."""

    ends: int = 0
    failed_starts: int = 0
    #: When it is to be started again; None: it runs.
    due: float | None = None
    started: float = 0.0
    #: Since when it answers; None: not yet.
    answers: float | None = None


class Upkeep:
    """Watches parts that answer, and starts those again that end.

    :param parts: all of them answer by now.
    :param say: told what the user should read.
    :param start_seconds: a part that does not answer after so long is killed, which counts as an end.
    :param clock: the time in seconds, as `time.monotonic`.
    """

    def __init__(
        self,
        parts: Iterable[Part],
        say: Callable[[str], None],
        start_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._start_seconds = start_seconds
        self._clock = clock
        self._histories = [(part, _History(answers=clock())) for part in parts]

    def look(self) -> bool:
        """Start what has ended and is due again; return whether everything answers.

        :raises StackError: a part cannot be started however often it is tried.
        """
        for part, history in self._histories:
            if history.due is None and (why := part.ended()) is not None:
                self._plan(part, history, why)
            if history.due is not None and self._clock() >= history.due:
                history.due, history.started = None, self._clock()
                part.start_again()
            elif history.due is None and history.answers is None:
                self._await(part, history)
        return all(history.answers is not None for _, history in self._histories)

    def _plan(self, part: Part, history: _History, why: str) -> None:
        """Clear up after a part that has ended, decide when it is started again, and say so."""
        part.clear()
        if history.answers is None:
            history.failed_starts += 1
        elif self._clock() - history.answers >= STEADY_SECONDS:
            history.ends = 0
        if history.failed_starts >= MOST_FAILED_STARTS:
            tried = f'{MOST_FAILED_STARTS} starts in a row'
            msg = f'The {part.name} ended ({why}), and {tried} did not help; its log is {part.log}.'
            raise StackError(msg)
        pause = PAUSES[min(history.ends, len(PAUSES) - 1)]
        history.ends += 1
        history.due, history.answers = self._clock() + pause, None
        when = f'in {pause:g} seconds' if pause else 'now'
        self._tell(f'The {part.name} has ended ({why}) and is started again {when}; its log is {part.log}.')

    def _await(self, part: Part, history: _History) -> None:
        """Note that a part answers, or kill it when it takes too long."""
        if part.is_ready():
            history.answers, history.failed_starts = self._clock(), 0
            self._tell(f'The {part.name} answers again.')
        elif self._clock() - history.started > self._start_seconds:
            self._tell(f'The {part.name} does not answer after {self._start_seconds:.0f} seconds.')
            part.tell(signal.SIGKILL)

    def _tell(self, sentence: str) -> None:
        self._say(f'{time.strftime("%Y-%m-%d %H:%M:%S")} {sentence}')
