"""The extent of patches, and the size of their image under a spec."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from girder_zarr.errors import ConflictError, LimitExceededError

from .patch import check_same_axes
from .spec.model import MAX_PIXELS, MAX_SIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .patch import Patch
    from .spec.model import StitchSpec


@dataclass(frozen=True, slots=True)
class Extent:
    """The bounding box of patches.

    :param x: first and end (exclusive) column, in the coordinates of patches.
    :param y: first and end (exclusive) row.
    :param frame: the size along each frame axis that the patches name, counted from index 0.
    :param first: the smallest index along each of them; 0 where it is missing.
    """

    x: tuple[int, int]
    y: tuple[int, int]
    frame: Mapping[str, int]
    first: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, patches: Iterable[Patch]) -> Extent:
        """Return the extent of at least one patch.

        :raises InvalidInputError: they do not all name the same frame axes.
        """
        boxes = list(patches)
        axes = check_same_axes(p.placement for p in boxes)
        return cls(
            x=(min(p.placement.x for p in boxes), max(p.placement.x + p.shape[1] for p in boxes)),
            y=(min(p.placement.y for p in boxes), max(p.placement.y + p.shape[0] for p in boxes)),
            # a placement's frame is sorted, as these axes are
            frame={
                axis: max(p.placement.frame[at][1] for p in boxes) + 1 for at, axis in enumerate(sorted(axes))
            },
            first={
                axis: min(p.placement.frame[at][1] for p in boxes) for at, axis in enumerate(sorted(axes))
            },
        )

    def starts(self, spec: StitchSpec) -> dict[str, int]:
        """Return the index along each frame axis that becomes index 0 of the image, where it is not 0.

        It is the smallest that a patch names, unless the spec counts from 0 or declares size or values of the
        axis. With flat or dark fields channels count from 0 too: fields are listed by channel, and previews
        apply them before the smallest channel is known.
        """
        if spec.index_base == 0:
            return {}
        declared = {axis.name for axis in spec.axes or () if axis.size is not None or axis.values is not None}
        if spec.flat_field is not None or spec.dark_field is not None:
            declared.add('c')
        return {axis: at for axis, at in self.first.items() if at and axis not in declared}

    def declared(self, spec: StitchSpec) -> Extent:
        """Return the extent with the declared sizes of frame axes, others counted from the first index.

        :raises ConflictError: the patches reach further, or do not name an axis whose size is declared.
        """
        sizes = spec.axis_sizes
        for axis, size in sizes.items():
            if axis not in self.frame:
                msg = f'spec.axes.{axis}: expected an axis that the patches name; they name none or others.'
                raise ConflictError(msg)
            if self.frame[axis] > size:
                expected = f'at least {self.frame[axis]}, because the patches reach so far'
                msg = f'spec.axes.{axis}.size: expected {expected}; found {size}.'
                raise ConflictError(msg)
        starts = self.starts(spec)
        counts = {axis: end - starts.get(axis, 0) for axis, end in self.frame.items()}
        return replace(self, frame={**counts, **sizes}, first={})

    def check_channels(self, spec: StitchSpec) -> None:
        """Check what the spec lists by channel against the channels of all patches.

        :raises ConflictError: there is not one name for each channel, or there are fields by channel and no
            patch of channel 0: an image with wrong names is worse than none.
        """
        names, channels = spec.channel_names, self.declared(spec).frame.get('c', 1)
        if names is not None and len(names) != channels:
            msg = (
                f'spec.channelNames: expected a name for each of {channels} channels, '
                f'found {len(names)} names.'
            )
            raise ConflictError(msg)
        fields = spec.flat_field is not None or spec.dark_field is not None
        if fields and self.first.get('c', 0) > 0 and spec.index_base is None and 'c' not in spec.axis_sizes:
            msg = (
                f'spec.flatField: expected patches of channel 0, because fields are listed from there; found '
                f'{self.first["c"]} as the smallest channel. spec.indexBase 0 accepts that.'
            )
            raise ConflictError(msg)

    def origin(self, spec: StitchSpec) -> tuple[int, int]:
        """Return the position ``(y, x)`` of the image's upper left pixel, in the coordinates of patches."""
        if spec.crop is not None:
            return spec.crop.y, spec.crop.x
        if spec.size is not None:
            return 0, 0
        if spec.origin == 'absolute':
            return min(0, self.y[0]), min(0, self.x[0])
        return self.y[0], self.x[0]

    def size(self, spec: StitchSpec) -> tuple[int, int]:
        """Return the ``(height, width)`` of the image, in pixels."""
        if spec.crop is not None:
            return spec.crop.height, spec.crop.width
        if spec.size is not None:
            return spec.size[1], spec.size[0]
        top, left = self.origin(spec)
        return max(self.y[1] - top, 1), max(self.x[1] - left, 1)

    def check(self, spec: StitchSpec, bands: int) -> None:
        """Check that the image is not larger than ``MAX_SIDE`` and ``MAX_PIXELS`` allow.

        :param bands: of the patches.
        :raises LimitExceededError: it is; the message gives the limit.
        :raises ConflictError: the patches do not fit into the declared sizes.
        """
        frame = self.declared(spec).frame
        height, width = self.size(spec)
        if max(height, width) > MAX_SIDE:
            msg = f'The image would be {width} x {height} pixels; the limit is {MAX_SIDE} along x and y.'
            raise LimitExceededError(msg)
        pixels = height * width * bands * math.prod(frame.values())
        if pixels > MAX_PIXELS:
            frames = ', '.join(f'{axis} {count}' for axis, count in sorted(frame.items()))
            msg = (
                f'The image would hold {pixels} values ({width} x {height}, {bands} bands'
                f'{", " if frames else ""}{frames}); the limit is {MAX_PIXELS}.'
            )
            raise LimitExceededError(msg)
