"""A series: one multiscale image and a reader for each of its levels, as the tile source needs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from girder_zarr.image.ngff.metadata import Multiscale


@runtime_checkable
class LevelReader(Protocol):
    """One resolution of an image, an array stored or growing in memory. Safe under many threads."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along each axis, in the order of the multiscale's axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of one pixel, in native byte order."""

    @property
    def chunks(self) -> tuple[int, ...]:
        """The shape of the smallest block that can be read; of inner chunks where the array is sharded."""

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region.

        :param region: one slice an axis, with explicit start and stop inside the shape and step 1 or None.
        :returns: a fresh or read-only array of the region's shape, in native byte order.
        :raises UnreadableChunkError: a chunk exists and cannot be decoded.
        """


@runtime_checkable
class Sampling(Protocol):
    """A level made of many arrays, of which some pixels can be sampled with few reads."""

    def sample(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return some pixels of a frame, in any shape, that show which values it has.

        :param region: of the frame; its slices of y and x are ignored.
        """


@dataclass(frozen=True)
class Series:
    """One multiscale image with its arrays.

    :param multiscale: the parsed metadata; ``multiscale.levels[i]`` describes ``levels[i]``.
    :param levels: the readers, largest first; at least one, all with as many axes as the multiscale. Missing
        levels are left out in both.
    :param name: what to call the image among its siblings, or None.
    :param place: its position among its siblings, listed with its frames (``Row``, ``Field`` ...).
    :param attributes: the raw attributes of the group, what lies under ``ome`` included at the top.
    :param path: of its group, or None where it has none.
    """

    multiscale: Multiscale
    levels: Sequence[LevelReader]
    name: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    place: dict[str, Any] = field(default_factory=dict)
    path: str | None = None
