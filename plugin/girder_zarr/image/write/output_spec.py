"""The description of an OME-Zarr image to be written: its shape, dtype, chunks and metadata."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import EditError
from girder_zarr.image.ngff.metadata import (
    DEFAULT_AXIS_TYPES,
    Axis,
    Channel,
    Level,
    Multiscale,
    Version,
    Window,
)

from .encode import Codec
from .resample import AREA, Resample, check_method, margin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The side of a chunk along y and x by default: 768 KiB of RGB, which one request or one decode takes at
#: once; the tiles of large_image are as large as a chunk.
CHUNK_SIDE = 512
#: The versions of OME-NGFF that are written; 0.1 to 0.3 have no axis types and units.
WRITABLE: tuple[Version, ...] = ('0.4', '0.5', '0.6')
_KINDS = 'biuf'
_BAND_NAMES = {2: ('Gray', 'Alpha'), 3: ('Red', 'Green', 'Blue'), 4: ('Red', 'Green', 'Blue', 'Alpha')}
_BAND_COLORS = {'Red': 'FF0000', 'Green': '00FF00', 'Blue': '0000FF', 'Alpha': 'FFFFFF', 'Gray': 'FFFFFF'}


@dataclass(frozen=True)
class OutputSpec:
    """All parameters of `pyramid.write_image`; :meth:`create` fills in good defaults.

    Not to be taken for `StitchSpec`, which is what a client asks of a session; this describes one output.

    :param multiscale: axes in NGFF order (y and x last), name, channels, and one level: the full resolution.
    :param shape: pixels along each axis.
    :param dtype: boolean, integer or floating point, stored little-endian.
    :param chunks: the shape of a chunk; y and x even where the image is longer than one chunk.
    :param shards: the shape of a shard, a multiple of ``chunks``, or None. Zarr v3 only.
    :param version: the NGFF version; 0.4 is written as zarr v2, later ones as zarr v3.
    :param fill_value: what is read where nothing was written; such chunks are not stored.
    :param codec: how a chunk is compressed.
    :param resample: how levels are made; see `resample.py`.
    :param max_levels: the number of levels at most; None: until the image fits in one chunk.
    :param factor: how many times smaller each level is than the one before, a power of two.
    :param bands: how many positions of axis c are the bands of one pixel (0: none, c is frames).
    :param paths: of the first levels' arrays; by default, and for further ones, their numbers.
    :raises EditError: the parts do not fit together.
    """

    multiscale: Multiscale
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None
    version: Version = '0.5'
    fill_value: int | float = 0
    codec: Codec = field(default_factory=Codec)
    resample: Resample = AREA
    max_levels: int | None = None
    bands: int = 0
    factor: int = 2
    paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_axes()
        self._check_chunks()
        if self.version not in WRITABLE:
            raise EditError(f'version must be one of {", ".join(WRITABLE)}, not {self.version!r}')
        if self.dtype.kind not in _KINDS or self.dtype.itemsize > 8:
            raise EditError(f'An image holds booleans, integers or floats of up to 64 bits, not {self.dtype}')
        if self.max_levels is not None and self.max_levels < 1:
            raise EditError(f'max_levels must be at least 1, not {self.max_levels}')
        check_method(self.resample, self.dtype)
        self._check_factor()
        self.codec.check(self.dtype, self.zarr_format, bands=self.bands)

    def _check_factor(self) -> None:
        if not isinstance(self.factor, int) or self.factor < 2 or self.factor & (self.factor - 1):
            raise EditError(f'factor must be a power of two from 2 on, not {self.factor!r}')
        if self.factor > 2 and margin(self.resample):
            raise EditError(
                'Methods that look beyond 2 x 2 pixels need every level: a factor of 2 instead of '
                f'{self.factor}, or another method'
            )

    def _check_axes(self) -> None:
        names = [axis.name for axis in self.multiscale.axes]
        if names[-2:] != ['y', 'x']:
            raise EditError(f'The last two axes must be y and x, not {names}')
        if len(self.shape) != len(names) or any(size < 1 for size in self.shape):
            raise EditError(f'shape must hold a positive size for each of the axes {names}, not {self.shape}')
        if len(self.multiscale.levels) != 1:
            raise EditError(
                f'The multiscale must have one level, the full resolution, not {len(self.multiscale.levels)}'
            )
        if self.bands and ('c' not in names or self.shape[names.index('c')] % self.bands):
            raise EditError(
                f'Axis c must be a multiple of the {self.bands} bands; the axes {names} have {self.shape}'
            )

    def _check_chunks(self) -> None:
        if len(self.chunks) != len(self.shape) or any(size < 1 for size in self.chunks):
            raise EditError(
                f'chunks must hold a positive size for each axis of {self.shape}, not {self.chunks}'
            )
        if self.shards is not None:
            if self.version == '0.4':
                raise EditError('Shards need zarr v3, which is NGFF 0.5 or later')
            pairs = zip(self.shards, self.chunks, strict=False)
            if len(self.shards) != len(self.chunks) or any(
                shard % chunk or shard < 1 for shard, chunk in pairs
            ):
                raise EditError(f'shards must be multiples of the chunks {self.chunks}, not {self.shards}')
        for size, block in zip(self.shape[-2:], self.blocks[-2:], strict=True):
            if size > block and block % 2 and self.max_levels != 1:
                raise EditError(f'Chunks along y and x must have even sides for a pyramid, not {self.chunks}')

    @property
    def blocks(self) -> tuple[int, ...]:
        """The shape of what is written at once: a shard where there are shards, else a chunk."""
        return self.shards or self.chunks

    @property
    def zarr_format(self) -> int:
        """2 or 3."""
        return 2 if self.version == '0.4' else 3

    def level_shapes(self) -> list[tuple[int, ...]]:
        """Return the shape of every level: y and x shrink, rounded up, until one chunk holds them."""
        return self.halvings()[:: self.factor.bit_length() - 1]

    def halvings(self) -> list[tuple[int, ...]]:
        """Return the shape at every halving; where the factor is 2, each of them is a level."""
        shapes, step = [self.shape], self.factor.bit_length() - 1
        while any(size > chunk for size, chunk in zip(shapes[-1][-2:], self.chunks[-2:], strict=True)):
            if self.max_levels is not None and len(shapes) > (self.max_levels - 1) * step:
                break
            for _ in range(step):
                *outer, height, width = shapes[-1]
                shapes.append((*outer, math.ceil(height / 2), math.ceil(width / 2)))
        return shapes

    def path(self, level: int) -> str:
        """Return the path of a level's array below the group of the image."""
        return self.paths[level] if level < len(self.paths) else str(level)

    def described(self) -> Multiscale:
        """Return the multiscale with all its levels: scale, and offset of the first pixel's centre."""
        base = self.multiscale.levels[0]
        levels = []
        for index in range(len(self.level_shapes())):
            factors = [1] * (len(self.shape) - 2) + [self.factor**index] * 2
            scale = tuple(size * factor for size, factor in zip(base.scale, factors, strict=True))
            shift = zip(base.translation, base.scale, scale, strict=True)
            levels.append(
                Level(self.path(index), scale, tuple(start + (own - full) / 2 for start, full, own in shift))
            )
        extra = dict(self.multiscale.extra)
        if self.bands:
            extra['bands'] = self.bands
        return replace(self.multiscale, levels=tuple(levels), extra=extra, version=self.version)

    @classmethod
    def create(
        cls,
        shape: Sequence[int],
        dtype: np.dtype[Any] | type | str,
        *,
        axes: str | Sequence[str | Axis] = 'yx',
        bands: int = 0,
        scale: Mapping[str, float] | None = None,
        units: Mapping[str, str] | None = None,
        translation: Mapping[str, float] | None = None,
        name: str | None = None,
        description: str | None = None,
        channels: Sequence[Channel] | None = None,
        extra: Mapping[str, Any] | None = None,
        chunk: int | tuple[int, int] = CHUNK_SIDE,
        shard: int | None = None,
        **options: Any,
    ) -> OutputSpec:
        """Return a spec with the usual choices made.

        :param axes: names or :class:`Axis`, in the order of ``shape``; y and x last (such as ``'tczyx'``).
        :param bands: the bands of one pixel, part of axis c (3 for RGB); a chunk holds them all.
        :param scale: size of a pixel by axis name (1 where missing), in the unit of ``units``.
        :param channels: one for each position of axis c; made from the bands where missing.
        :param chunk: side of a chunk, or (y, x); never longer than the image.
        :param shard: side of a shard, a multiple of the chunk; None: no shards.
        :param options: other fields of the spec: version, codec, resample, shards, fill_value, max_levels.
        :raises EditError: the parts do not fit together.
        """
        sizes, pixel = tuple(int(size) for size in shape), np.dtype(dtype)
        listed = [_axis(one, units or {}) for one in axes]
        if len(listed) != len(sizes):
            raise EditError(
                f'shape must hold one size for each of the axes {[one.name for one in listed]}, not {sizes}'
            )
        sides = (chunk, chunk) if isinstance(chunk, int) else chunk
        # a chunk of JPEG is a picture, gray or in three colours
        together = 1 if 'codec' in options and options['codec'].lossy and bands != 3 else bands
        chunks = [together if together and axis.name == 'c' else 1 for axis in listed[:-2]]
        chunks += [min(side, size) for side, size in zip(sides, sizes[-2:], strict=True)]
        if shard is not None:
            options['shards'] = _shards(shard, chunks, sizes)
        level = Level('0', _by_name(listed, scale, 1), _by_name(listed, translation, 0))
        if channels is None:
            channels = default_channels(listed, sizes, pixel, bands)
        multiscale = Multiscale(
            axes=tuple(listed),
            levels=(level,),
            name=name,
            channels=tuple(channels) if channels else None,
            description=description,
            extra=dict(extra or {}),
        )
        return cls(multiscale, sizes, pixel, tuple(chunks), bands=bands, **options)


def _shards(side: int, chunks: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of a shard: as long as asked for along y and x, but no longer than needed."""
    if any(side % chunk and size > chunk for chunk, size in zip(chunks[-2:], shape[-2:], strict=True)):
        raise EditError(
            f'The side of a shard must be a multiple of that of a chunk, {tuple(chunks[-2:])}; found {side}'
        )
    whole = [-(-size // chunk) * chunk for size, chunk in zip(shape[-2:], chunks[-2:], strict=True)]
    return (
        *chunks[:-2],
        *(max(chunk, min(side, one)) for one, chunk in zip(whole, chunks[-2:], strict=True)),
    )


def _axis(one: str | Axis, units: Mapping[str, str]) -> Axis:
    if isinstance(one, Axis):
        return one
    return Axis(one, DEFAULT_AXIS_TYPES.get(one, 'custom'), units.get(one))


def _by_name(axes: Sequence[Axis], values: Mapping[str, float] | None, default: float) -> tuple[float, ...]:
    return tuple(float((values or {}).get(axis.name, default)) for axis in axes)


def default_channels(
    axes: Sequence[Axis], shape: Sequence[int], dtype: np.dtype[Any], bands: int, names: Sequence[str] = ()
) -> list[Channel]:
    """Return a channel for each position of axis c, named after channel and band, in the band's colour.

    :param names: the names of the channels, where known; each stands for ``bands`` positions.
    """
    where = next((index for index, axis in enumerate(axes) if axis.name == 'c'), None)
    if where is None:
        return []
    bands = bands if bands > 1 else 0
    each = max(bands, 1)
    window = full_window(dtype)
    found = []
    for position in range(shape[where]):
        channel, band = divmod(position, each)
        name = names[channel] if channel < len(names) else None
        word = _BAND_NAMES.get(bands, tuple(f'Band {index + 1}' for index in range(each)))[band]
        color = _BAND_COLORS.get(word, 'FFFFFF')
        if not bands:
            label = name or f'Channel {channel + 1}'
        else:
            label = (
                word if shape[where] == each and not name else f'{name or f"Channel {channel + 1}"} {word}'
            )
        found.append(Channel(label=label, color=color, window=window))
    return found


def full_window(dtype: np.dtype[Any]) -> Window:
    """Return the window that shows every value of an integer type, and 0 to 1 for booleans and floats."""
    if dtype.kind in 'iu':
        low, high = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    else:
        low, high = 0.0, 1.0
    return Window(min=low, max=high, start=max(low, 0.0), end=high)
