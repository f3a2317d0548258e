"""The pages of a TIFF that holds several planes: which page is which channel, plane and time."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tifffile

from girder_zarr.errors import InvalidInputError, UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .entry import PatchEntry
    from .reading import FileLookup

#: The axes of tifffile's series that are those of an image; bands of a pixel are part of a page.
_AXES = {'T': 't', 'C': 'c', 'Z': 'z'}
#: Axes that tifffile gives to pages that it knows nothing of.
_UNKNOWN = 'QI'
_TIFF_STARTS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')


@dataclass(frozen=True, slots=True)
class PageIndex:
    """One page of a file and what it is along t, c and z."""

    page: int
    index: Mapping[str, int]


def is_tiff(path: Path) -> bool:
    """Return whether a file is a TIFF or BigTIFF, by its first bytes."""
    try:
        with path.open('rb') as stream:
            return stream.read(4) in _TIFF_STARTS
    except OSError:
        return False


def expand(
    entry: PatchEntry,
    files: FileLookup,
    *,
    series: int | None = None,
    offset: Mapping[str, int] | None = None,
) -> list[PatchEntry]:
    """Return one entry for each page of the file of an entry; the entry itself where it has one.

    :param series: of a file with several images, the one that is meant; None: the first.
    :param offset: added to the numbers along these axes, and given where the file does not have the axis.
    :raises InvalidInputError: there is no such series, or its axes are not known.
    """
    whole = replace(entry, index={**entry.index, **(offset or {})})
    found = () if entry.page is not None or entry.options.get('shape') else _found(entry, files, series)
    if not found:
        return [whole]
    if len(found) == 1 and not (series and found[0].page):
        return [whole]
    entries = []
    for one in found:
        twice = sorted(set(one.index) & set(entry.index))
        if twice:
            raise InvalidInputError(
                f'{entry.file}: expected one page, because {twice[0]} is given for the file; '
                f'found {len(found)} pages along {twice[0]}.'
            )
        index = {axis: number + (offset or {}).get(axis, 0) for axis, number in one.index.items()}
        entries.append(replace(whole, page=one.page, index={**whole.index, **index}))
    return entries


def _found(entry: PatchEntry, files: FileLookup, series: int | None) -> Sequence[PageIndex]:
    """Return the pages of the file of an entry, none where nothing is known of them."""
    if files.folder is None:
        return [PageIndex(page, index) for page, index in files.pages.get(entry.file, ())]
    path = Path(files.folder, entry.file)
    if not is_tiff(path):
        return ()
    try:
        return pages_of(path, series or 0, along=files.pages_along)
    except UnsupportedFormatError:
        return ()  # the reader of its header reports what is wrong with it


def pages_of(path: Path, series: int = 0, *, along: str | None = None) -> tuple[PageIndex, ...]:
    """Return the pages of one image of a TIFF, with their place along t, c and z.

    The axes are those of OME-XML, ImageJ or Micro-Manager's summary, as tifffile gives them. Reduced copies
    after an image do not count.

    :param along: the axis (c, z or t) of pages of which the file says nothing, or of one axis alone.
    :raises InvalidInputError: the file has no such image, or axes that are not known.
    :raises UnsupportedFormatError: it is damaged.
    """
    try:
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            return _pages(tiff, path, series, along)
    except InvalidInputError:
        raise
    except Exception as error:
        raise UnsupportedFormatError(f'{path} cannot be read as a TIFF: {error}.') from error


def _pages(tiff: Any, path: Path, number: int, along: str | None) -> tuple[PageIndex, ...]:
    images = [one for one in tiff.series if one.kind != 'thumbnail']
    if number >= len(images):
        raise InvalidInputError(f'{path}: expected an image {number}, found {len(images)} images.')
    image = images[number]
    shape, axes = list(image.shape), list(image.axes)
    while axes and axes[-1] in 'YXS':
        axes.pop()
        shape.pop()
    if 'S' in axes:
        at = axes.index('S')
        if at == len(axes) - 1:
            axes.pop()
            shape.pop()
    unknown = [axis for axis, size in zip(axes, shape, strict=True) if axis not in _AXES and size > 1]
    names = _names(path, dict(zip(axes, shape, strict=True)), unknown, along)
    bad = [axis for axis in unknown if axis not in names]
    if bad or len({names.get(axis) for axis in axes if axis in names}) < sum(axis in names for axis in axes):
        raise InvalidInputError(
            f'{path}: expected pages along t, c and z, found the axes {image.axes} of {image.shape}.'
        )
    if tiff.is_imagej and len(tiff.pages) == 1 and math.prod(shape) > 1:
        # behind one directory all planes follow each other
        numbers: Any = range(math.prod(shape))
    elif len(image.pages) < math.prod(shape):
        raise InvalidInputError(
            f'{path}: expected a page for each of {math.prod(shape)} planes, found {len(image.pages)}; '
            'save it anew as a TIFF with pages.'
        )
    else:
        numbers = [None if page is None else page.index for page in image.pages]
    found = []
    for page, place in zip(numbers, itertools.product(*map(range, shape)), strict=False):
        if page is None:
            continue
        index = {
            names[axis]: at
            for axis, at, size in zip(axes, place, shape, strict=True)
            if axis in names and size > 1
        }
        found.append(PageIndex(page, index))
    return tuple(found)


def _names(path: Path, sizes: Mapping[str, int], unknown: list[str], along: str | None) -> dict[str, str]:
    """Return our name of each axis of pages that is known.

    :param sizes: by the names of tifffile.
    :raises InvalidInputError: it has to be given, or contradicts the file.
    """
    several = [axis for axis, size in sizes.items() if size > 1]
    nameless = len(unknown) == 1 and unknown[0] in _UNKNOWN
    if along is None:
        if nameless:
            raise InvalidInputError(
                f'{path}: expected --pages c, z or t, the axis of its {sizes[unknown[0]]} pages, which the '
                'file does not say; found nothing.'
            )
        return _AXES
    if len(several) > 1:
        known = ', '.join(_AXES.get(axis, axis) for axis in several)
        raise InvalidInputError(f'{path}: expected no --pages, because its pages lie along {known}.')
    return {**_AXES, **dict.fromkeys(several, along)}
