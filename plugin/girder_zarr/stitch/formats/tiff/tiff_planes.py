"""The pages of a TIFF: where each begins, and which one is which channel, plane and time.

Axes come from OME-XML, ImageJ's description, the tags of Micro-Manager or the JSON of tifffile.
Nothing is made of the numbers in them before they are held against the pages that the file has.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

import tifffile

from girder_zarr.errors import LimitExceededError, UnsupportedFormatError
from girder_zarr.stitch.formats.info import PageAt

from .ome_planes import is_ome_xml, read_ome_planes
from .tiff_directory import MAX_PAGES, check_directory, list_directories

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Along what the pages of a file lie; ``auto``: along the axes that the file itself names.
PageAxis = Literal['auto', 'c', 'z', 't']
PAGE_AXES: tuple[PageAxis, ...] = ('auto', 'c', 'z', 't')
#: The tag of a page with Micro-Manager's description of it, as JSON, and characters of it that are read.
_PAGE_TAG, _MAX_TAG = 51123, 2**18
_MM_AXES = {'c': 'ChannelIndex', 'z': 'SliceIndex', 't': 'FrameIndex'}
#: The axes of ImageJ's hyperstacks, slowest first.
_IMAGEJ = {'t': 'frames', 'z': 'slices', 'c': 'channels'}
#: The axes of one page, which tifffile's description names after those of the pages.
_INSIDE = 'YXS'

#: The place of pages along axes, by the number of the page.
Index = dict[int, dict[str, int]]


@dataclass(frozen=True, slots=True)
class PlaneAt:
    """A page that is a plane of its file.

    :param page: where it lies.
    :param index: along c, z and t, as far as the file has several along them.
    """

    page: PageAt
    index: Mapping[str, int]


def count_planes(description: str) -> int:
    """Return how many planes the description of a first page says that its file has: ImageJ's, else 1."""
    numbers = _imagej(description)
    return max(1, numbers.get('images', 1)) if numbers else 1


def locate(stream: IO[bytes], number: int) -> PageAt:
    """Return where a page of a TIFF begins.

    :raises UnsupportedFormatError: the file has no such page, or is damaged.
    """
    pages = locate_all(stream)
    if not 0 <= number < len(pages):
        msg = f'page: expected 0 to {len(pages) - 1}, found {number}.'
        raise UnsupportedFormatError(msg)
    return pages[number]


def locate_all(stream: IO[bytes]) -> list[PageAt]:
    """Return where each page of a TIFF begins.

    :raises UnsupportedFormatError: the file is damaged.
    """
    return _pages(stream, list_directories(stream))


def planes_of(stream: IO[bytes], along: PageAxis, most: int = MAX_PAGES) -> list[PlaneAt]:
    """Return the pages of a TIFF that are planes of one image, in their order in the file.

    Copies of less resolution do not count.

    :param along: the axis along which they lie; ``auto``: the file says it.
    :param most: pages that are accepted.
    :raises UnsupportedFormatError: the file says nothing of axes, or other ones, or holds several images.
    :raises LimitExceededError: there are more pages.
    """
    directories = list_directories(stream)
    reduced = {number for number, place in enumerate(directories) if check_directory(stream, place)}
    pages = [page for page in _pages(stream, directories) if page.number not in reduced]
    if len(pages) > most:
        msg = f'The tiff has {len(pages)} pages; the limit is {most}.'
        raise LimitExceededError(msg)
    try:
        known = _known_axes(stream, pages)
    except UnsupportedFormatError:
        if along == 'auto':
            raise
        known = None
    named = sorted({axis for index in (known or {}).values() for axis in index})
    if along != 'auto':
        if len(named) > 1:
            msg = f'pages: expected auto, because the file has pages along {", ".join(named)}; found {along}.'
            raise UnsupportedFormatError(msg)
        return [PlaneAt(page, {along: at}) for at, page in enumerate(pages)]
    if known is None:
        if len(pages) == 1:
            return [PlaneAt(pages[0], {})]
        msg = (
            f'pages: expected c, z or t, because the tiff has {len(pages)} pages and does not say along '
            'which axis they lie; found auto.'
        )
        raise UnsupportedFormatError(msg)
    return [PlaneAt(page, known[page.number]) for page in pages if page.number in known]


def _pages(stream: IO[bytes], directories: Sequence[int]) -> list[PageAt]:
    if len(directories) == 1:
        count = count_planes(_first_page(stream, directories[0])[0])
        if count > MAX_PAGES:
            msg = f'The tiff has {count} planes; no more than {MAX_PAGES} are read.'
            raise UnsupportedFormatError(msg)
        return [PageAt(number, directories[0], number) for number in range(count)]
    return [PageAt(number, place) for number, place in enumerate(directories)]


def _first_page(stream: IO[bytes], place: int) -> tuple[str, bool]:
    """Return the description of the first page, and whether it has a tag of Micro-Manager."""
    check_directory(stream, place)
    stream.seek(0)
    file: Any = tifffile.TiffFile(stream, name='patch.tif', _multifile=False)
    with file as tiff:
        return str(tiff.pages.first.description), _PAGE_TAG in tiff.pages.first.tags


def _known_axes(stream: IO[bytes], pages: Sequence[PageAt]) -> Index | None:
    """Return what the file says of its pages, or None where it says nothing."""
    if not pages:
        return None
    description, has_tags = _first_page(stream, pages[0].directory)
    if is_ome_xml(description):
        return read_ome_planes(description, pages[-1].number + 1)
    if has_tags:
        return _of_tags(stream, pages)
    sizes = _imagej_sizes(description) or _shaped(description)
    return None if sizes is None else _counted(sizes, pages)


def _counted(sizes: Mapping[str, int], pages: Sequence[PageAt]) -> Index:
    """Return the places of pages of which the last axis changes fastest."""
    if math.prod(sizes.values()) != len(pages):
        said = ', '.join(f'{axis} {size}' for axis, size in sizes.items() if size != 1) or 'none'
        msg = f'The tiff has {len(pages)} pages, and says that these are {said}.'
        raise UnsupportedFormatError(msg)
    found: Index = {}
    for at, page in enumerate(pages):
        index, left = {}, at
        for axis, size in reversed(list(sizes.items())):
            left, place = divmod(left, size)
            if size > 1:
                index[axis] = place
        found[page.number] = index
    return found


def _imagej(description: str) -> dict[str, int]:
    """Return the numbers of ImageJ's description; none if it is not one."""
    if not description.startswith('ImageJ='):
        return {}
    lines = re.findall(r'^(images|channels|slices|frames)=([0-9]{1,9})\s*$', description[:4096], re.MULTILINE)
    return {'images': 1, **{name: max(1, int(number)) for name, number in lines}}


def _imagej_sizes(description: str) -> dict[str, int] | None:
    """Return the sizes of the pages' axes, slowest first, by ImageJ's description; None if it names none."""
    numbers = _imagej(description)
    sizes = {axis: numbers.get(name, 1) for axis, name in _IMAGEJ.items()}
    return sizes if math.prod(sizes.values()) > 1 else None


def _shaped(description: str) -> dict[str, int] | None:
    """Return the sizes of the pages' axes, slowest first, by tifffile's description, or None."""
    if not description.startswith('{') or len(description) > 4096:
        return None
    try:
        document = json.loads(description)
        shape, axes = document['shape'], document['axes']
        pairs = list(zip(axes, map(int, shape), strict=True))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    outside = [(axis.lower(), size) for axis, size in pairs if axis not in _INSIDE and size != 1]
    if not {axis for axis, _ in outside} <= {'c', 'z', 't'} or any(size < 1 for _, size in outside):
        return None
    return dict(outside) if len(dict(outside)) == len(outside) else None


def _of_tags(stream: IO[bytes], pages: Sequence[PageAt]) -> Index:
    """Return the places of pages by the tags of Micro-Manager."""
    found: Index = {}
    positions = set()
    stream.seek(0)
    file: Any = tifffile.TiffFile(stream, name='patch.tif', _multifile=False)
    with file as tiff:
        for page in pages:
            tiff.filehandle.seek(page.directory)
            frame = _frame(tifffile.TiffPage(tiff, page.number), page.number)
            positions.add(frame.get('PositionIndex', 0))
            found[page.number] = {
                axis: frame[name] for axis, name in _MM_AXES.items() if isinstance(frame.get(name), int)
            }
    if len(positions) > 1:
        msg = (
            f'The tiff has pages of {len(positions)} positions; give each its place by its '
            'number with page, as girder-zarr stitch does.'
        )
        raise UnsupportedFormatError(msg)
    return without_lone_axes(found)


def _frame(page: Any, number: int) -> dict[str, Any]:
    tag = page.tags.get(_PAGE_TAG)
    value = tag.value if tag is not None and tag.count <= _MAX_TAG else None
    if isinstance(value, bytes | str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict):
        msg = f'The tiff has no description by Micro-Manager in its page {number}, as its first page has.'
        raise UnsupportedFormatError(msg)
    return value


def without_lone_axes(found: Index) -> Index:
    """Return places without the axes along which all pages have one number, or that some do not name."""
    kept = [
        axis
        for axis in ('c', 'z', 't')
        if len(numbers := {index.get(axis) for index in found.values()}) > 1 and None not in numbers
    ]
    return {page: {axis: index[axis] for axis in kept} for page, index in found.items()}
