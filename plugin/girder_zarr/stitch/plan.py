"""The plan of an image: its axes and size, and which patches touch which part of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from girder_zarr.errors import ConflictError, InvalidInputError

from .extent import Extent
from .patch import order_axes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .illumination.flat_field import Illumination
    from .patch import Patch
    from .registration.result import Registration
    from .spec.model import StitchSpec

#: The index of a frame along each of `Plan.frame_axes`, 0 along those that no patch names.
Frame = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A patch that touches a block, and the row and column of the block where it begins; may be negative."""

    patch: Patch
    y: int
    x: int


class Plan:
    """The geometry of one image. Not changed once it is made, so safe under many threads.

    :param patches: all patches, at their final positions.
    :param spec: of the session.
    :param references: the images that patches and spec name as masks, flat and dark fields.
    :param registration: the corrections that the positions already contain, for the image's metadata.
    :param illumination: the estimated flat fields by channel (the index that patches name).
    :raises InvalidInputError: there is no patch, or patches name different frame axes.
    :raises ConflictError: the patches differ in dtype or bands.
    :raises LimitExceededError: the image would be too large.
    """

    #: The side, in pixels, of the squares by which patches are found: about that of a patch.
    CELL = 1024

    def __init__(
        self,
        patches: Sequence[Patch],
        spec: StitchSpec,
        references: Iterable[Patch] = (),
        registration: Registration | None = None,
        illumination: Illumination | None = None,
    ) -> None:
        if not patches:
            msg = 'There is no patch to stitch.'
            raise InvalidInputError(msg)
        by_arrival = spec.overlap_by == 'arrival'
        self.patches = sorted(patches, key=lambda one: one.rank_by_arrival if by_arrival else one.rank)
        self.spec = spec
        self.references = {reference.key: reference for reference in references}
        self.registration = registration
        self.illumination = illumination or {}
        kinds = {(patch.dtype, patch.shape[2]) for patch in patches}
        if len(kinds) > 1:
            msg = (
                f'The patches differ in dtype and bands: {", ".join(f"{d} x {b}" for d, b in sorted(kinds))}.'
            )
            raise ConflictError(msg)
        ((self.dtype, self.bands),) = kinds
        spec.check_dtype(self.dtype, self.bands)
        spec.check_block(self.dtype, self.bands)
        #: Whether any patch has a mask or a weight.
        self.weighted = not all(patch.is_plain for patch in patches)
        self._whole = Extent.of(self.patches)
        #: The index along each frame axis that becomes index 0 of the image, where it is not 0.
        self.starts = self._whole.starts(spec)
        self.extent = self._whole.declared(spec)
        #: The axes of a frame's index, slowest first, in NGFF order.
        self.frame_axes = order_axes(self.extent.frame)
        self.extent.check(spec, self.bands)
        self.origin = self.extent.origin(spec)
        self.size = self.extent.size(spec)
        self._cells = self._index()

    def fraction(self, patch: Patch) -> tuple[float, float]:
        """Return by what part of a pixel ``(y, x)`` a patch is moved beside its whole-pixel position."""
        return (0.0, 0.0) if self.registration is None else self.registration.fraction(patch.key)

    def check_channels(self) -> None:
        """Check that what the spec lists by channel fits the channels.

        :raises ConflictError: it does not.
        """
        self._whole.check_channels(self.spec)

    def check_references(self) -> None:
        """Check that every named mask and field exists and fits its patches in size and bands.

        :raises ConflictError: one does not; the message names it.
        """
        needed = {patch.mask_key for patch in self.patches} - {''} | self.spec.reference_keys
        missing = sorted(needed - set(self.references))
        if missing:
            msg = f'There is no reference image {missing[0]}, which the spec or a patch names.'
            raise ConflictError(msg)
        for key in needed:
            bands = self.references[key].shape[2]
            if bands not in {1, self.bands} or (bands > 1 and key not in self.spec.reference_keys):
                msg = f'The reference image {key} has {bands} bands; expected 1.'
                raise ConflictError(msg)
        for patch in self.patches:
            if patch.mask_key:
                mask = self.references[patch.mask_key].shape[:2]
                if mask != patch.shape[:2]:
                    msg = (
                        f'Patch {patch.key} has {patch.shape[1]} x {patch.shape[0]} pixels; '
                        f'its mask {patch.mask_key} has {mask[1]} x {mask[0]}.'
                    )
                    raise ConflictError(msg)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the output's axes, in NGFF order; ``c`` holds channels and bands, channel-major."""
        named = set(self.extent.frame) | ({'c'} if self.bands > 1 else set())
        return (*(axis for axis in self.frame_axes if axis in named), 'y', 'x')

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of the output along each of :attr:`axes`, in pixels."""
        counts = {axis: self.extent.frame.get(axis, 1) for axis in self.frame_axes}
        counts['c'] *= self.bands
        return tuple(counts[axis] for axis in self.axes[:-2]) + self.size

    def _index(self) -> dict[tuple[Frame, int, int], list[int]]:
        cells: defaultdict[tuple[Frame, int, int], list[int]] = defaultdict(list)
        for index, patch in enumerate(self.patches):
            indices = dict(patch.placement.frame)
            frame = tuple(
                indices[axis] - self.starts.get(axis, 0) if axis in indices else 0 for axis in self.frame_axes
            )
            top, left = patch.placement.y - self.origin[0], patch.placement.x - self.origin[1]
            bottom, right = min(top + patch.shape[0], self.size[0]), min(left + patch.shape[1], self.size[1])
            for row in _cells(max(top, 0), bottom, self.CELL):
                for column in _cells(max(left, 0), right, self.CELL):
                    cells[frame, row, column].append(index)
        return dict(cells)

    def touching(self, frame: Frame, y: slice, x: slice) -> list[Hit]:
        """Return the patches that have pixels in a block of one frame, in ascending rank.

        :param frame: the index along each of :attr:`frame_axes`.
        :param y: rows of the output, start and stop explicit.
        :param x: columns of the output, start and stop explicit.
        """
        found = {
            index
            for row in _cells(y.start, y.stop, self.CELL)
            for column in _cells(x.start, x.stop, self.CELL)
            for index in self._cells.get((frame, row, column), ())
        }
        hits = []
        for index in sorted(found):
            patch = self.patches[index]
            top, left = patch.placement.y - self.origin[0], patch.placement.x - self.origin[1]
            if (
                top < y.stop
                and left < x.stop
                and top + patch.shape[0] > y.start
                and left + patch.shape[1] > x.start
            ):
                hits.append(Hit(patch, top - y.start, left - x.start))
        return hits

    def occupied(self, region: tuple[slice, ...]) -> bool:
        """Return False if no patch can have pixels in a region.

        :param region: as for :meth:`frames`, of any size.
        """
        slices = dict(zip(self.axes, region, strict=True))
        rows = _cells(slices['y'].start, slices['y'].stop, self.CELL)
        columns = _cells(slices['x'].start, slices['x'].stop, self.CELL)
        frames = [frame for frame, _, _ in self.frames(region)]
        if len(rows) * len(columns) * len(frames) > len(self._cells):
            known = set(frames)
            return any(f in known and row in rows and column in columns for f, row, column in self._cells)
        return any((f, row, column) in self._cells for f in frames for row in rows for column in columns)

    def frames(self, region: tuple[slice, ...]) -> list[tuple[Frame, tuple[slice | int, ...], slice]]:
        """Return the frames that a region of the output contains.

        :param region: one slice for each axis of :attr:`axes`.
        :returns: for each frame its index along :attr:`frame_axes`, its place in an array of the region's
            shape (an index for each axis, or along ``c`` with bands a slice), and the slice of its bands that
            lies in the region.
        """
        found: list[tuple[Frame, tuple[slice | int, ...], slice]] = [((), (), slice(0, self.bands))]
        slices = dict(zip(self.axes, region, strict=True))
        for axis in self.frame_axes:
            if axis not in slices:
                found = [((*frame, 0), place, bands) for frame, place, bands in found]
            elif axis == 'c' and self.bands > 1:
                found = [
                    ((*frame, channel), (*place, where), bands)
                    for frame, place, _ in found
                    for channel, where, bands in self._channels(slices['c'])
                ]
            else:
                found = [
                    ((*frame, index), (*place, index - slices[axis].start), bands)
                    for frame, place, bands in found
                    for index in range(slices[axis].start, slices[axis].stop)
                ]
        return found

    def _channels(self, part: slice) -> list[tuple[int, slice, slice]]:
        """Return channel, place in the region and bands for a slice of axis c (channels x bands)."""
        found = []
        for channel in _cells(part.start, part.stop, self.bands):
            first = channel * self.bands
            low, high = max(part.start, first), min(part.stop, first + self.bands)
            found.append(
                (channel, slice(low - part.start, high - part.start), slice(low - first, high - first))
            )
        return found


def _cells(start: int, stop: int, side: int) -> range:
    """Return the numbers of the squares that a half-open interval touches; none if it is empty."""
    return range(start // side, -(-stop // side)) if stop > start else range(0)
