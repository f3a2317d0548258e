"""The headers of tiles: size, bands and dtype; and which tiles do not fit the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

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


def read_kind(path: Path, page: int | None, options: Mapping[str, Any]) -> TileKind:
    """Return what the header of a tile says.

    :param page: of a TIFF with several; None: it has one.
    :param options: shape, dtype and compression of raw pixels, and whether its alpha is a mask.
    :raises GirderZarrError: it cannot be read.
    """
    try:
        with path.open('rb') as stream:
            if page is not None:
                return _page_kind(path, page)
            shape = options.get('shape')
            text = None if shape is None else ','.join(map(str, shape))
            layout = formats.Layout.parse(text, options.get('dtype'), options.get('compression'))
            info = formats.inspect(stream, layout=layout, alpha=options.get('mask') == 'alpha')
    except OSError as error:
        raise InvalidInputError(f'It cannot be read: {error.strerror}.') from error
    return TileKind(*info.shape, info.dtype)


def _page_kind(path: Path, number: int) -> TileKind:
    try:
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            if number >= len(tiff.pages):
                raise UnsupportedFormatError(f'expected a page {number}, found {len(tiff.pages)} pages.')
            page = tiff.pages[number].aspage()
            sizes = dict(zip(page.axes, page.shape, strict=True))
            return TileKind(sizes['Y'], sizes['X'], sizes.get('S', 1), np.dtype(page.dtype).name)
    except GirderZarrError:
        raise
    except Exception as error:
        raise UnsupportedFormatError(f'Page {number} cannot be read: {error}.') from error


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
    if entry.page is not None:
        return np.atleast_3d(read_page(path, entry.page))
    shape = entry.options.get('shape')
    text = None if shape is None else ','.join(map(str, shape))
    layout = formats.Layout.parse(text, entry.options.get('dtype'), entry.options.get('compression'))
    with path.open('rb') as stream:
        return formats.decode(stream, layout=layout)


def read_page(path: Path, number: int) -> np.ndarray:
    """Return the pixels of one page of a TIFF, ``(y, x)`` or ``(y, x, bands)``.

    :raises UnsupportedFormatError: there is no such page, or it is damaged.
    """
    try:
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            page = tiff.pages[number].aspage()
            pixels: np.ndarray = page.asarray(maxworkers=1)
            return np.moveaxis(pixels, 0, -1) if page.axes == 'SYX' else pixels
    except Exception as error:
        raise UnsupportedFormatError(f'Page {number} of {path} cannot be read: {error}.') from error
