"""The spec of a stitched image: parsed and checked as a whole before anything is stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from girder_zarr.errors import ConflictError, EditError, LimitExceededError
from girder_zarr.image.write.encode import Codec
from girder_zarr.image.write.resample import check_method

from . import axes as spec_axes
from . import field_checks
from .axes import AxisSpec, ChannelWindow
from .field_checks import (
    MAX_CHANNELS,
    MAX_SIDE,
    MAX_TEXT,
    UNITS,
    Crop,
    IlluminationSpec,
    PixelSize,
    RegistrationSpec,
    TileGrid,
    Version,
    wrong,
)
from .outputs import LOSSY_CODECS, OUTPUTS, TIFF, check_installed, check_kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.image.write.resample import Resample
    from girder_zarr.stitch.patch import Placement

__all__ = [
    'MAX_CHANNELS',
    'MAX_PIXELS',
    'MAX_SIDE',
    'OVERLAPS',
    'UNITS',
    'AxisSpec',
    'ChannelWindow',
    'Crop',
    'IlluminationSpec',
    'Overlap',
    'PixelSize',
    'RegistrationSpec',
    'StitchSpec',
    'TileGrid',
]  # fmt: skip

Overlap = Literal['last', 'first', 'mean', 'max', 'min', 'feather']
OverlapBy = Literal['key', 'arrival']
OriginName = Literal['corner', 'absolute']
OutputName = Literal['zarr.zip', 'ozx', 'db', 'tiff']

OVERLAPS: tuple[Overlap, ...] = ('last', 'first', 'mean', 'max', 'min', 'feather')
VERSIONS: tuple[Version, ...] = ('0.5', '0.4', '0.6')
#: Sides of chunks: smaller ones make too many files, larger ones take too much memory and transfer.
CHUNKS = tuple(2**power for power in range(6, 13))
#: Sides of shards; `MAX_BLOCK_BYTES` bounds them further.
SHARDS = tuple(2**power for power in range(6, 15))
#: Patches that a session may expect.
MAX_EXPECTED = 10_000_000
#: Values (pixels x frames x bands) of a whole result: a terabyte or more uncompressed.
MAX_PIXELS = 2**40
#: Bytes of a shard: it is made in memory as a whole, several times over (blended, encoded, by each thread).
MAX_BLOCK_BYTES = 2**26


@dataclass(frozen=True, slots=True)
class StitchSpec:
    """The description of a stitched image; the section "Spec" of docs/rest.md describes each field.

    ``version`` is ``ngffVersion`` there, ``resample_name`` is ``resample``; ``size`` is ``(x, y)`` in pixels.
    """

    output: OutputName = 'zarr.zip'
    version: Version = '0.5'
    overlap: Overlap = 'last'
    overlap_by: OverlapBy = 'key'
    background: int | float = 0
    pixel_size: PixelSize | None = None
    channel_names: tuple[str, ...] | None = None
    channel_colors: tuple[str, ...] | None = None
    channel_windows: tuple[ChannelWindow | None, ...] | None = None
    axes: tuple[AxisSpec, ...] | None = None
    expected: int | None = None
    size: tuple[int, int] | None = None
    crop: Crop | None = None
    grid: TileGrid | None = None
    flat_field: tuple[str | None, ...] | None = None
    dark_field: tuple[str | None, ...] | None = None
    illumination: IlluminationSpec | None = None
    registration: RegistrationSpec | None = None
    chunk: int = 512
    shard: int | None = None
    codec: Codec | None = None
    lossy: bool = False
    quality: int = 90
    resample_name: str = 'area'
    keep_patches: bool = True
    origin: OriginName = 'corner'
    index_base: int | None = None

    @classmethod
    def from_json(cls, document: Any) -> StitchSpec:
        """Return the spec that a JSON object describes, with defaults for absent and null fields.

        >>> spec = StitchSpec.from_json({'overlap': 'feather', 'pixelSize': {'x': 0.25, 'y': 0.25}})
        >>> spec.overlap, spec.pixel_size.unit, spec.chunk
        ('feather', 'micrometer', 512)

        :param document: the object; None stands for an empty one.
        :raises InvalidInputError: the message names the field, what was expected and what was found.
        """
        given = {} if document is None else document
        if not isinstance(given, dict):
            raise wrong('spec', 'an object', given)
        unknown = sorted(set(given) - set(_FIELDS))
        if unknown:
            raise wrong(f'spec.{unknown[0]:.80}', f'one of the fields {", ".join(_FIELDS)}', unknown[0])
        values = {}
        for name, (attribute, check) in _FIELDS.items():
            if given.get(name) is not None:
                values[attribute] = check(f'spec.{name}', given[name])
        spec = cls(**values)
        spec._check_together()
        return spec

    def _check_together(self) -> None:
        if self.output == 'ozx' and self.version == '0.4':
            raise wrong('spec.ngffVersion', "'0.5' or '0.6' with output 'ozx'", '0.4')
        if self.size is not None and self.crop is not None:
            raise wrong('spec.crop', 'nothing where spec.size is given', asdict(self.crop))
        self._check_storage()
        self._check_channels()
        self._check_sizes()

    def _check_storage(self) -> None:
        if self.codec is not None and (self.lossy or self.output == TIFF):
            other = 'lossy' if self.lossy else "output 'tiff'"
            raise wrong('spec.codec', f'nothing with {other}', field_checks.codec_json(self.codec))
        if self.shard is None:
            return
        if self.version == '0.4' or self.output == TIFF:
            other = "output 'tiff'" if self.output == TIFF else "ngffVersion '0.4'"
            raise wrong('spec.shard', f'nothing with {other}, which has no shards', self.shard)
        if self.shard <= self.chunk:
            raise wrong('spec.shard', f'more than the chunk of {self.chunk}', self.shard)

    def _check_channels(self) -> None:
        count = self.axis_sizes.get('c')
        lists = (
            ('channelNames', self.channel_names),
            ('channelColors', self.channel_colors),
            ('channelWindows', self.channel_windows),
            ('flatField', self.flat_field),
            ('darkField', self.dark_field),
        )
        for name, listed in lists:
            if count is not None and listed is not None and len(listed) > count:
                raise wrong(f'spec.{name}', f'at most one for each of {count} channels', f'{len(listed)}')

    def _check_sizes(self) -> None:
        sizes = dict(self.axis_sizes)
        if self.size is not None:
            sizes |= {'x': self.size[0], 'y': self.size[1]}
        if (values := spec_axes.values_in(sizes)) > MAX_PIXELS:
            raise wrong('spec.axes', f'sizes of at most {MAX_PIXELS} pixels together', values)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that :meth:`from_json` parses, with every field."""
        pixel, grid = self.pixel_size, self.grid
        return {
            'output': self.output,
            'ngffVersion': self.version,
            'overlap': self.overlap,
            'overlapBy': self.overlap_by,
            'background': self.background,
            'pixelSize': None if pixel is None else asdict(pixel),
            'channelNames': _listed(self.channel_names),
            'channelColors': _listed(self.channel_colors),
            'channelWindows': _documents(self.channel_windows),
            'axes': None if self.axes is None else {axis.name: axis.to_json() for axis in self.axes},
            'expected': self.expected,
            'size': _pair(self.size),
            'crop': None if self.crop is None else asdict(self.crop),
            'grid': None if grid is None else {'tile': _pair(grid.tile), 'overlap': _pair(grid.overlap)},
            'flatField': _listed(self.flat_field),
            'darkField': _listed(self.dark_field),
            'illumination': None if self.illumination is None else asdict(self.illumination),
            'registration': (
                None if self.registration is None else field_checks.registration_json(self.registration)
            ),
            'chunk': self.chunk,
            'shard': self.shard,
            'codec': None if self.codec is None else field_checks.codec_json(self.codec),
            'lossy': self.lossy,
            'quality': self.quality,
            'resample': self.resample_name,
            'keepPatches': self.keep_patches,
            'origin': self.origin,
            'indexBase': self.index_base,
        }

    @property
    def resample(self) -> Resample:
        """The method that makes lower levels."""
        return field_checks.RESAMPLES[self.resample_name]

    @property
    def reference_keys(self) -> set[str]:
        """The keys of the flat and dark fields that the spec names."""
        return {key for key in (*(self.flat_field or ()), *(self.dark_field or ())) if key is not None}

    @property
    def axis_sizes(self) -> dict[str, int]:
        """The declared sizes of frame axes, by name."""
        return {axis.name: axis.size for axis in self.axes or () if axis.size is not None}

    def encoder(self, dtype: str) -> Codec:
        """Return the codec of chunks of a dtype; a TIFF is converted from losslessly compressed chunks.

        :raises KeyError: the spec is lossy and there is no such codec; :meth:`check_dtype` forbids this.
        """
        if self.lossy and self.output != TIFF:
            name: Any = LOSSY_CODECS[dtype]
            return Codec(name, self.quality)
        return self.codec or Codec()

    def check_dtype(self, dtype: str, bands: int = 1) -> None:
        """Check that patches of a dtype and so many bands can be stitched with this spec.

        :raises ConflictError: the background is not a value of the dtype, or the output cannot hold it.
        """
        kind = np.dtype(dtype)
        if kind.kind == 'f':
            fits = abs(self.background) <= float(np.finfo(kind).max)
        else:
            limits = np.iinfo(kind)
            fits = (
                int(limits.min) <= self.background <= int(limits.max) and float(self.background).is_integer()
            )
        if not fits:
            msg = f'The session has background {self.background}, which is not a value of {dtype}.'
            raise ConflictError(msg)
        try:
            check_method(self.resample, kind)
        except EditError as error:
            msg = f'spec.resample: {error}; the patches have {dtype}.'
            raise ConflictError(msg) from None
        check_kind(self.output, dtype, bands, lossy=self.lossy)

    def check_installed(self) -> None:
        """Check that the libraries that the result needs are installed on this machine.

        :raises InvalidInputError: one is missing; the message says what to install.
        """
        check_installed(self.output, self.version, lossy=self.lossy)

    def check_inside(self, placement: Placement, shape: tuple[int, int, int]) -> None:
        """Check that a patch touches the declared size and sizes of axes.

        :param shape: ``(y, x, bands)`` of the patch.
        :raises InvalidInputError: it lies outside; the message names the axis.
        """
        for axis, size in self.axis_sizes.items():
            if placement.index(axis) >= size:
                sizes = f'from 0 to {size - 1}, because spec.axes.{axis}.size is {size}'
                raise wrong(axis, f'an index {sizes}', placement.index(axis))
        if self.size is None:
            return
        for name, start, length, side in (
            ('x', placement.x, shape[1], self.size[0]),
            ('y', placement.y, shape[0], self.size[1]),
        ):
            if not -length < start < side:
                within = f'from {1 - length} to {side - 1}, because spec.size.{name} is {side}'
                raise wrong(name, f'a position {within} and the patch has {length} pixels', start)

    def check_block(self, dtype: str, bands: int) -> None:
        """Check that a shard of a dtype and so many bands is not larger than ``MAX_BLOCK_BYTES``.

        :raises LimitExceededError: it is; the message gives the limit.
        """
        side = self.shard or self.chunk
        nbytes = side * side * bands * np.dtype(dtype).itemsize
        if self.shard is not None and nbytes > MAX_BLOCK_BYTES:
            msg = f'spec.shard: a shard of {side} would hold {nbytes} bytes; the limit is {MAX_BLOCK_BYTES}.'
            raise LimitExceededError(msg)


def _listed(values: tuple[Any, ...] | None) -> list[Any] | None:
    return None if values is None else list(values)


def _documents(values: tuple[Any, ...] | None) -> list[Any] | None:
    return None if values is None else [one and one.to_json() for one in values]


def _pair(values: tuple[Any, Any] | None) -> dict[str, Any] | None:
    return None if values is None else {'x': values[0], 'y': values[1]}


_FIELDS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    'output': ('output', field_checks.choice(tuple(OUTPUTS))),
    'ngffVersion': ('version', field_checks.choice(VERSIONS)),
    'overlap': ('overlap', field_checks.choice(OVERLAPS)),
    'overlapBy': ('overlap_by', field_checks.choice(('key', 'arrival'))),
    'background': ('background', field_checks.number),
    'pixelSize': ('pixel_size', field_checks.pixel_size),
    'channelNames': (
        'channel_names',
        field_checks.texts(rf'[^\x00-\x1f]{{1,{MAX_TEXT}}}', f'1 to {MAX_TEXT} characters'),
    ),
    'channelColors': ('channel_colors', field_checks.texts(r'[0-9A-Fa-f]{6}', 'six hexadecimal digits')),
    'channelWindows': ('channel_windows', spec_axes.windows),
    'axes': ('axes', spec_axes.axes),
    'expected': ('expected', field_checks.integer_in(1, MAX_EXPECTED)),
    'size': ('size', field_checks.size),
    'crop': ('crop', field_checks.crop),
    'grid': ('grid', field_checks.grid),
    'flatField': ('flat_field', field_checks.field_keys),
    'darkField': ('dark_field', field_checks.field_keys),
    'illumination': ('illumination', field_checks.illumination),
    'registration': ('registration', field_checks.registration),
    'chunk': ('chunk', field_checks.choice(CHUNKS)),
    'shard': ('shard', field_checks.choice(SHARDS)),
    'codec': ('codec', field_checks.codec),
    'lossy': ('lossy', field_checks.boolean),
    'quality': ('quality', field_checks.integer_in(1, 100)),
    'resample': ('resample_name', field_checks.choice(tuple(field_checks.RESAMPLES))),
    'keepPatches': ('keep_patches', field_checks.boolean),
    'origin': ('origin', field_checks.choice(('corner', 'absolute'))),
    'indexBase': ('index_base', field_checks.choice((0,))),
}
