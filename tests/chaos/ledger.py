"""What the clients were told, kept outside of everything that is killed."""

from __future__ import annotations

import collections
import threading
import time


class Ledger:
    """Which patches were acknowledged, and what was counted on the way. Thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Digest by session and key; None: the removal was acknowledged.
        self.acknowledged: dict[tuple[str, str], str | None] = {}
        #: By what it is: requests, answers, failures.
        self.counts: collections.Counter[str] = collections.Counter()
        #: Sentences of sessions that went into error, and of answers that nobody expects.
        self.errors: collections.Counter[str] = collections.Counter()
        self.faults: list[str] = []
        self._each: collections.Counter[tuple[str, str]] = collections.Counter()
        self._began = time.monotonic()

    def acknowledge(self, session: str, key: str, digest: str | None, way: str) -> None:
        """Note that the server has said that a patch is stored, or removed."""
        with self._lock:
            self.acknowledged[session, key] = digest
            self.counts[f'acknowledged by {way}'] += 1

    def count(self, what: str, of: str = '') -> int:
        """Count something; return how often it was, of the same thing where that is named."""
        with self._lock:
            self.counts[what] += 1
            self._each[what, of] += 1
            return self._each[what, of]

    def error(self, sentence: str) -> None:
        """Note what the server said."""
        with self._lock:
            self.errors[sentence[:300]] += 1

    def fault(self, sentence: str) -> None:
        """Note that something is not as it has to be."""
        with self._lock:
            self.faults.append(sentence)

    def seconds(self) -> float:
        """Return how long it has been going on."""
        return time.monotonic() - self._began

    def of_session(self, session: str) -> dict[str, str | None]:
        """Return what was acknowledged of a session so far, by key."""
        with self._lock:
            return {key: digest for (one, key), digest in self.acknowledged.items() if one == session}
