"""What an image of a growing session reads from, and where its blocks are kept."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from girder_zarr.common.cache import LRU

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import numpy as np

    from girder_zarr.stitch.blend.row_bands import RowBands
    from girder_zarr.stitch.patch import Patch

    from .index import BlockKey


class BlockStore(Protocol):
    """Stores blocks of coarse levels for all processes; it may lose any of them."""

    def load(self, key: BlockKey, fingerprint: str) -> np.ndarray | None:
        """Return the block ``(bands, y, x)`` that was stored with just this fingerprint, or None."""

    def store(self, key: BlockKey, fingerprint: str, block: np.ndarray) -> None:
        """Store a block ``(bands, y, x)``, replacing the stored block of its key."""


@dataclass(frozen=True, slots=True)
class Made:
    """A block of a preview.

    :param block: ``(bands, y, x)``, or None where no patch touches it.
    :param whole: whether all patches that touch it could be read. Only then it is cached.
    """

    block: np.ndarray | None
    whole: bool

    @property
    def nbytes(self) -> int:
        """Bytes of the block."""
        return 0 if self.block is None else self.block.nbytes


#: The blocks of any number of previews, by identity of the preview, level, frame, row and column.
BlockCache = LRU[Hashable, Made]


def block_cache(max_bytes: int) -> BlockCache:
    """Return an empty cache for the blocks of previews."""
    return LRU(max_bytes=max_bytes, size_of=lambda made: made.nbytes)


@dataclass(frozen=True)
class Sources:
    """The functions by which a preview reads pixels.

    :param pixels: returns the pixels ``(y, x, bands)`` of a patch; may raise anything.
    :param overviews: returns, by key, the overviews of some patches for a level of `patch_overview.LEVELS`,
        or the sentence that says why there is none.
    :param blocks: the stored blocks of coarse levels, or None if none are stored.
    :param waiting: returns the keys of those of some patches whose overviews somebody is going to make; asked
        for pictures that need not show all patches.
    :param bands: returns what reads parts of a large patch as ``pixels`` gives it, or None: it is read whole.
    """

    pixels: Callable[[Patch], np.ndarray]
    overviews: Callable[[Sequence[Patch], int], Mapping[str, np.ndarray | str]]
    blocks: BlockStore | None = None
    bands: Callable[[Patch], RowBands | None] = lambda _patch: None
    waiting: Callable[[Sequence[Patch]], Collection[str]] = lambda _patches: ()
