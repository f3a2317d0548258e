"""A tile that cannot be part of an image, and the sentences that name tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Refusal:
    """A tile that cannot be part of the image, and why."""

    key: str
    file: str
    message: str

    @property
    def line(self) -> str:
        """The sentence that names the tile."""
        where = f' (file {self.file})' if self.file else ''
        return f'Patch {self.key}{where}: {self.message}'

    def to_json(self) -> dict[str, str]:
        """Return the same as a document."""
        return {'key': self.key, 'file': self.file, 'message': self.message}


def listed(refusals: Iterable[Refusal], shown: int = 20) -> list[str]:
    """Return the sentences of refusals, the first ones, and how many more there are."""
    lines = [one.line for one in refusals]
    more = len(lines) - shown
    return lines[:shown] + ([f'... and {more} more'] if more > 0 else [])
