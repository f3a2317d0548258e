"""Kills parts of the stack at random moments."""

from __future__ import annotations

import collections
import contextlib
import os
import re
import signal
import threading
from typing import TYPE_CHECKING

from support.stack import Stack, processes_below

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from support.rabbitmq import RabbitMQ

    from .ledger import Ledger

#: What the command line of each part contains.
PARTS = {
    'server': 'girder_zarr.stack.child.web',
    'worker': 'girder_zarr.stack.child.worker',
    'broker': 'valkey-server',
    'database': 'secantus',
}
#: What the supervisor calls them.
NAMES = {'Girder server': 'server', 'worker': 'worker', 'broker': 'broker', 'database': 'database'}
#: How often each is chosen.
WEIGHTS = {'server': 9, 'worker': 8, 'worker child': 3, 'broker': 1, 'database': 3}
#: The broker beside the stack, where there is one, and how often that is chosen.
OUTSIDE = 'rabbitmq'
OUTSIDE_WEIGHT = 4
#: Seconds until it is started again, at least and at most.
AWAY = (0.0, 10.0)
#: Seconds between two kills, at least and at most.
GAPS = (0.2, 5.0)
#: How often a part is killed that has just been started and does not answer yet.
WHILE_IT_STARTS = 0.2


class Watch(threading.Thread):
    """Follows what the supervisor says: which parts answer, and whether it goes on.

    :param ended: called when the supervisor has ended.
    """

    def __init__(self, stack: Stack, ledger: Ledger, ended: Callable[[], None]) -> None:
        super().__init__(name='watch', daemon=True)
        self._stack, self._ledger, self._ended = stack, ledger, ended
        #: Parts that do not answer.
        self.away: set[str] = set()

    def run(self) -> None:
        """Read lines until there are none any more."""
        while (line := self._stack.lines.get()) is not None:
            found = re.search(r'The (.+?) (has ended|answers again)', line)
            if found is not None:
                part = NAMES[found[1]]
                self._ledger.count(f'{part} {found[2]}')
                (self.away.add if found[2] == 'has ended' else self.away.discard)(part)
        self._ended()


class Killer(threading.Thread):
    """Kills until it has killed often enough or is told to stop.

    :param outside: the broker beside the stack; this starts it again.
    """

    def __init__(
        self,
        stack: Stack,
        watch: Watch,
        parts: list[str],
        kills: int,
        rng: random.Random,
        ledger: Ledger,
        outside: RabbitMQ | None = None,
    ) -> None:
        super().__init__(name='killer', daemon=True)
        self._stack, self._watch, self._ledger = stack, watch, ledger
        self._parts, self._left, self._rng = parts, kills, rng
        self._outside, self._starting = outside, threading.Thread()
        self._enough = threading.Event()
        self.killed: collections.Counter[str] = collections.Counter()
        #: Seconds since the beginning, and what was killed.
        self.log: list[tuple[float, str]] = []

    def run(self) -> None:
        """Kill a part, wait for a random time, and again."""
        while self._left > 0 and not self._enough.wait(self._rng.uniform(*GAPS)):
            weights = [WEIGHTS.get(one, OUTSIDE_WEIGHT) for one in self._parts]
            part = self._rng.choices(self._parts, weights)[0]
            if part == OUTSIDE:
                self._kill_outside()
                continue
            starts = part.split(maxsplit=1)[0] in self._watch.away
            victim = None if starts and self._rng.random() > WHILE_IT_STARTS else self._find(part)
            if victim is None:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                self._note(part, ', starting' if starts else '')

    def _note(self, part: str, more: str = '') -> None:
        self._left -= 1
        self.killed[part] += 1
        self.log.append((round(self._ledger.seconds(), 2), part + more))

    def _kill_outside(self) -> None:
        """Kill the broker beside the stack unless it is away, and have it started after a while."""
        if self._outside is None or self._starting.is_alive():
            return
        self._outside.kill()
        self._note(OUTSIDE)
        pause = self._rng.uniform(*AWAY)
        self._starting = threading.Thread(target=self._start_outside, args=(pause,), daemon=True)
        self._starting.start()

    def _start_outside(self, pause: float) -> None:
        self._enough.wait(pause)
        assert self._outside is not None
        try:
            self._outside.start()
        except AssertionError as error:
            self._ledger.fault(f'{OUTSIDE} does not start again: {error}')

    def end(self) -> None:
        """Stop killing, with the broker beside the stack started again."""
        self._enough.set()
        self.join()
        if self._starting.is_alive():
            self._starting.join()

    def _find(self, part: str) -> int | None:
        """Return the process of a part, or None while it has none."""
        words = PARTS[part.split(maxsplit=1)[0]]
        found = sorted(
            (start, pid)
            for pid, (start, command) in processes_below(self._stack.process.pid).items()
            if words in command
        )
        if part == 'worker child':
            found = found[1:]
            self._rng.shuffle(found)
        return found[0][1] if found else None
