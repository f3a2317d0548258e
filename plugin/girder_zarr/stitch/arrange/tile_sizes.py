"""The headers of tiles: size, bands and dtype; and which tiles do not fit the others."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import GirderZarrError, InvalidInputError, UnsupportedFormatError
from girder_zarr.stitch.formats import registry as formats

from .refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from girder_zarr.stitch.positions.entry import PatchEntry, PositionSet


@dataclass(frozen=True, slots=True)
class TileKind:
    """Size, bands and type of the pixels of a tile."""

    height: int
    width: int
    bands: int
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels."""
        return self.height * self.width * self.bands * np.dtype(self.dtype).itemsize


def read_kind(path: Path, page: int | None, options: Mapping[str, Any]) -> TileKind:
    """Return what the header of a tile says.

    :param page: of a TIFF with several; None: it has one.
    :param options: shape, dtype and compression of raw pixels, whether its alpha is a mask, and its
        orientation, by the names of docs/rest.md.
    :raises GirderZarrError: it cannot be read.
    """
    try:
        with path.open('rb') as stream:
            info = formats.inspect(stream, **_format_options(path, page, options))
    except OSError as error:
        raise InvalidInputError(f'It cannot be read: {error.strerror}.') from error
    return TileKind(*info.shape, info.dtype)


def _format_options(path: Path, page: int | None, options: Mapping[str, Any]) -> dict[str, Any]:
    shape = options.get('shape')
    text = None if shape is None else ','.join(map(str, shape))
    return {
        'layout': formats.Layout.parse(text, options.get('dtype'), options.get('compression')),
        'alpha': options.get('mask') == 'alpha',
        'as_stored': options.get('orientation') == 'stored',
        'page': None if page is None else _place(path, page),
    }


def _place(path: Path, number: int) -> formats.PageAt:
    status = path.stat()
    pages = _places(path, status.st_mtime_ns, status.st_size)
    return pages[number] if number < len(pages) else formats.PageAt(number)


@functools.lru_cache(maxsize=4)
def _places(path: Path, changed: int, size: int) -> list[formats.PageAt]:
    """Return where the pages of a file begin, of which each may be asked for."""
    del changed, size
    with path.open('rb') as stream:
        return formats.locate_pages(stream)


def read_kinds(
    positions: PositionSet, entries: Iterable[PatchEntry]
) -> tuple[dict[str, TileKind], list[Refusal]]:
    """Return the kind of each tile by key, and the tiles that cannot be read or are of another kind.

    Bands and type have to be those that most tiles have; sizes may differ.
    """
    kinds: dict[str, TileKind] = {}
    refusals: list[Refusal] = []
    files: dict[str, str] = {}
    for entry in entries:
        files[entry.key] = entry.file
        try:
            kinds[entry.key] = read_kind(positions.path_of(entry), entry.page, entry.options)
        except GirderZarrError as error:
            refusals.append(Refusal(entry.key, entry.file, str(error)))
    counts = Counter((kind.dtype, kind.bands) for kind in kinds.values())
    if len(counts) > 1:
        ((dtype, bands), _), *_ = counts.most_common(1)
        for key, kind in list(kinds.items()):
            if (kind.dtype, kind.bands) != (dtype, bands):
                found = f'{kind.dtype} with {kind.bands} bands'
                message = f'expected {dtype} with {bands} bands as most patches have, found {found}.'
                refusals.append(Refusal(key, files[key], message))
                del kinds[key]
    return kinds, refusals


def read_pixels(positions: PositionSet, entry: PatchEntry) -> np.ndarray:
    """Return the pixels of a tile, ``(y, x, bands)``.

    :raises GirderZarrError: they cannot be read.
    """
    path = positions.path_of(entry)
    with path.open('rb') as stream:
        return formats.decode(stream, **_format_options(path, entry.page, entry.options))


def read_page(path: Path, number: int, options: Mapping[str, Any]) -> np.ndarray:
    """Return the pixels of one page of a TIFF: ``(y, x)`` or ``(y, x, bands)``, a mask in its alpha last.

    :param options: as for :func:`read_kind`.
    :raises UnsupportedFormatError: there is no such page, or it is damaged.
    """
    try:
        with path.open('rb') as stream:
            pixels = formats.decode(stream, **_format_options(path, number, options))
    except OSError as error:
        raise InvalidInputError(f'{path} cannot be read: {error.strerror}.') from error
    except GirderZarrError as error:
        raise UnsupportedFormatError(f'Page {number} of {path} cannot be read: {error}') from error
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
