"""Kills parts of the stack at random moments."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

from support.stack import Stack, processes_below

if TYPE_CHECKING:
    import random

#: What the command line of each part contains.
PARTS = {
    'server': 'girder_zarr.stack.web',
    'worker': 'girder_zarr.stack.worker',
    'broker': 'valkey-server',
    'database': 'secantus',
}
#: How often each is chosen.
WEIGHTS = {'server': 9, 'worker': 8, 'worker child': 3, 'broker': 1, 'database': 3}
#: Seconds between two kills, at least and at most.
GAPS = (0.2, 5.0)


class Killer(threading.Thread):
    """Kills until it has killed often enough or is told to stop."""

    def __init__(
        self, stack: Stack, parts: list[str], kills: int, rng: random.Random, seconds: Any = lambda: 0.0
    ) -> None:
        super().__init__(name='killer', daemon=True)
        self._stack, self._parts, self._left, self._rng = stack, parts, kills, rng
        self._seconds = seconds
        self._enough = threading.Event()
        self.killed: collections.Counter[str] = collections.Counter()
        #: Seconds since the beginning, and what was killed.
        self.log: list[tuple[float, str]] = []

    def run(self) -> None:
        """Kill a part, wait for a random time, and again."""
        while self._left > 0 and not self._enough.wait(self._rng.uniform(*GAPS)):
            part = self._rng.choices(self._parts, [WEIGHTS[one] for one in self._parts])[0]
            victim = self._find(part)
            if victim is None:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                self._left -= 1
                self.killed[part] += 1
                self.log.append((round(self._seconds(), 2), part))

    def end(self) -> None:
        """Stop killing."""
        self._enough.set()
        self.join()

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
