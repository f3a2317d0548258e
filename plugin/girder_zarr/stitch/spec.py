"""What a client says a stitched image shall be, checked whole before anything is stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from girder_zarr.errors import ConflictError, LimitExceededError
from girder_zarr.image.write.encode import Codec

from . import spec_fields as fields
from .spec_fields import (
    MAX_CHANNELS,
    MAX_SIDE,
    MAX_TEXT,
    UNITS,
    Crop,
    Grid,
    PixelSize,
    RegistrationSpec,
    Version,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.image.write.resample import Resample

__all__ = [
    'MAX_CHANNELS', 'MAX_PIXELS', 'MAX_SIDE', 'OVERLAPS', 'UNITS', 'Crop', 'Grid', 'Overlap', 'PixelSize',
    'RegistrationSpec', 'StitchSpec',
]  # fmt: skip

Overlap = Literal['last', 'first', 'mean', 'max', 'min', 'feather']
OverlapBy = Literal['key', 'arrival']
Output = Literal['zarr.zip', 'ozx']

OVERLAPS: tuple[Overlap, ...] = ('last', 'first', 'mean', 'max', 'min', 'feather')
OUTPUTS: tuple[Output, ...] = ('zarr.zip', 'ozx')
VERSIONS: tuple[Version, ...] = ('0.5', '0.4', '0.6')
CHUNKS = tuple(2**power for power in range(6, 13))
SHARDS = tuple(2**power for power in range(6, 15))
MAX_EXPECTED = 10_000_000
#: Pixels of a whole result, all frames and bands together.
MAX_PIXELS = 2**40
#: What is written at once is made in memory whole, a few times over.
MAX_BLOCK_BYTES = 2**26


@dataclass(frozen=True, slots=True)
class StitchSpec:
    """What the result shall be; docs/rest.md says what each field means."""

    output: Output = 'zarr.zip'
    version: Version = '0.5'
    overlap: Overlap = 'last'
    overlap_by: OverlapBy = 'key'
    background: int | float = 0
    pixel_size: PixelSize | None = None
    channel_names: tuple[str, ...] | None = None
    channel_colors: tuple[str, ...] | None = None
    expected: int | None = None
    size: tuple[int, int] | None = None  # x, y
    crop: Crop | None = None
    grid: Grid | None = None
    flat_field: tuple[str | None, ...] | None = None
    dark_field: tuple[str | None, ...] | None = None
    registration: RegistrationSpec | None = None
    chunk: int = 512
    shard: int | None = None
    codec: Codec = field(default_factory=Codec)
    resample_name: str = 'area'
    keep_patches: bool = True

    @classmethod
    def from_json(cls, document: Any) -> StitchSpec:
        """Return the spec that a JSON document describes.

        :raises InvalidInputError: the message names the field, what was expected and what was found.
        """
        given = {} if document is None else document
        if not isinstance(given, dict):
            raise wrong('spec', 'an object', given)
        unknown = sorted(set(given) - set(_FIELDS))
        if unknown:
            raise wrong(f'spec.{unknown[0]}', f'one of the fields {", ".join(_FIELDS)}', unknown[0])
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
        if self.shard is not None:
            if self.version == '0.4':
                raise wrong('spec.shard', "nothing with ngffVersion '0.4', which has no shards", self.shard)
            if self.shard <= self.chunk:
                raise wrong('spec.shard', f'more than the chunk of {self.chunk}', self.shard)

    def to_json(self) -> dict[str, Any]:
        """Return the document of :meth:`from_json` with every field filled in."""
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
            'expected': self.expected,
            'size': _pair(self.size),
            'crop': None if self.crop is None else asdict(self.crop),
            'grid': None if grid is None else {'tile': _pair(grid.tile), 'overlap': _pair(grid.overlap)},
            'flatField': _listed(self.flat_field),
            'darkField': _listed(self.dark_field),
            'registration': (
                None if self.registration is None else fields.registration_json(self.registration)
            ),
            'chunk': self.chunk,
            'shard': self.shard,
            'codec': fields.codec_json(self.codec),
            'resample': self.resample_name,
            'keepPatches': self.keep_patches,
        }

    @property
    def resample(self) -> Resample:
        """How levels are made."""
        return fields.RESAMPLES[self.resample_name]

    @property
    def reference_keys(self) -> set[str]:
        """The keys of the reference images that the spec itself names."""
        return {key for key in (*(self.flat_field or ()), *(self.dark_field or ())) if key is not None}

    def check_dtype(self, dtype: str) -> None:
        """Check that patches of a dtype can be stitched under this spec.

        :raises ConflictError: the background is not a value of the dtype.
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

    def check_block(self, dtype: str, bands: int) -> None:
        """Check that what is written at once is not too large.

        :raises LimitExceededError: it is; the message gives the limit.
        """
        side = self.shard or self.chunk
        nbytes = side * side * bands * np.dtype(dtype).itemsize
        if self.shard is not None and nbytes > MAX_BLOCK_BYTES:
            msg = f'spec.shard: a shard of {side} would hold {nbytes} bytes; the limit is {MAX_BLOCK_BYTES}.'
            raise LimitExceededError(msg)


def _listed(values: tuple[Any, ...] | None) -> list[Any] | None:
    return None if values is None else list(values)


def _pair(values: tuple[Any, Any] | None) -> dict[str, Any] | None:
    return None if values is None else {'x': values[0], 'y': values[1]}


_FIELDS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    'output': ('output', fields.choice(OUTPUTS)),
    'ngffVersion': ('version', fields.choice(VERSIONS)),
    'overlap': ('overlap', fields.choice(OVERLAPS)),
    'overlapBy': ('overlap_by', fields.choice(('key', 'arrival'))),
    'background': ('background', fields.number),
    'pixelSize': ('pixel_size', fields.pixel_size),
    'channelNames': (
        'channel_names',
        fields.texts(rf'[^\x00-\x1f]{{1,{MAX_TEXT}}}', f'1 to {MAX_TEXT} characters'),
    ),
    'channelColors': ('channel_colors', fields.texts(r'[0-9A-Fa-f]{6}', 'six hexadecimal digits')),
    'expected': ('expected', fields.integer_in(1, MAX_EXPECTED)),
    'size': ('size', fields.size),
    'crop': ('crop', fields.crop),
    'grid': ('grid', fields.grid),
    'flatField': ('flat_field', fields.field_keys),
    'darkField': ('dark_field', fields.field_keys),
    'registration': ('registration', fields.registration),
    'chunk': ('chunk', fields.choice(CHUNKS)),
    'shard': ('shard', fields.choice(SHARDS)),
    'codec': ('codec', fields.codec),
    'resample': ('resample_name', fields.choice(tuple(fields.RESAMPLES))),
    'keepPatches': ('keep_patches', fields.boolean),
}
