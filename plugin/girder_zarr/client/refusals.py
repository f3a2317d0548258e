"""The patches of an upload that are refused: counted while it runs, named with their files at its end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from girder_zarr.errors import (
    ConflictError,
    GirderZarrError,
    InvalidInputError,
    LimitExceededError,
    TooManyError,
    UnsupportedFormatError,
)
from girder_zarr.stitch.arrange.refusal import Refusal, listed

if TYPE_CHECKING:
    from .patch import Patch

REFUSED = 'refused'
#: What is wrong with one patch; other errors are about the session or the server, and end the upload.
PATCH_REFUSALS = (InvalidInputError, UnsupportedFormatError, ConflictError, LimitExceededError)
#: An upload of which so many are refused is given up: something is wrong with all of them.
MAX_REFUSALS = 1000


class Refusals:
    """Collects refusals from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: list[tuple[Refusal, GirderZarrError]] = []

    def add(self, patch: Patch, error: GirderZarrError) -> None:
        """Note that a patch was refused.

        :raises TooManyError: what was refused is not this patch but any.
        """
        if isinstance(error, TooManyError):
            raise error
        with self._lock:
            self._found.append((Refusal(patch.key, patch.file_name, str(error)), error))

    @property
    def are_too_many(self) -> bool:
        """Whether it makes no sense to go on."""
        return len(self._found) >= MAX_REFUSALS

    def check(self, total: int) -> None:
        """Raise one error for all refusals, of the type of the first.

        :param total: how many patches were tried.
        """
        if not self._found:
            return
        first = self._found[0][1]
        refusals = tuple(refusal for refusal, _ in self._found)
        lines = listed(refusals)
        if len(lines) > 1:
            head = f'{len(refusals)} of {total} patches were refused:'
            lines = ['\n  '.join([head, *lines])]
        kind = type(first) if isinstance(first, PATCH_REFUSALS) else GirderZarrError
        error = kind(lines[0])
        error.refusals = refusals  # type: ignore[attr-defined]
        raise error from first
