"""TIFFs of several pages as programs write them, with the pixels of every page and its place."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

if TYPE_CHECKING:
    from collections.abc import Callable

#: The planes of the samples, t x z x c, and the side of a page.
SIZES, SIDE = {'t': 2, 'z': 3, 'c': 2}, 24


@dataclass(frozen=True)
class PageFile:
    """A file, and what it holds.

    :param pages: the pixels of each page, in the order of the file.
    :param index: the place of each page along the axes that have several.
    """

    data: bytes
    pages: list[np.ndarray]
    index: list[dict[str, int]]


def planes(count: int, side: int = SIDE, dtype: str = 'uint16') -> np.ndarray:
    """Return pictures that differ from each other, ``(plane, y, x)``."""
    return np.random.default_rng(7).integers(0, 4000, (count, side, side)).astype(dtype)


def _file(order: str, sizes: dict[str, int], **options: Any) -> PageFile:
    """Write planes with tifffile; ``order`` names the axes of pages, slowest first."""
    shape = tuple(sizes[axis] for axis in order)
    stack = planes(int(np.prod(shape))).reshape(*shape, SIDE, SIDE)
    stream = io.BytesIO()
    axes = f'{order.upper()}YX'
    tifffile.imwrite(stream, stack, photometric='minisblack', metadata={'axes': axes}, **options)
    index = [dict(zip(order, place, strict=True)) for place in itertools.product(*map(range, shape))]
    return PageFile(stream.getvalue(), list(stack.reshape(-1, SIDE, SIDE)), index)


def imagej(order: str = 'tzc', **options: Any) -> PageFile:
    """A hyperstack of ImageJ."""
    return _file(order, SIZES, imagej=True, **options)


def imagej_of_one_directory() -> PageFile:
    """A hyperstack as ImageJ writes those beyond 4 GB: one directory, behind which all planes lie."""
    found = imagej('zc')
    with tifffile.TiffFile(io.BytesIO(found.data)) as tiff:
        page = tiff.pages.first
        start, link = page.dataoffsets[0], page.offset + 2 + 12 * len(page.tags)
        assert all(other.dataoffsets[0] == start + at * page.nbytes for at, other in enumerate(tiff.pages))
    data = bytearray(found.data)
    data[link : link + 4] = bytes(4)
    return PageFile(bytes(data), found.pages, found.index)


def ome(order: str = 'czt', **options: Any) -> PageFile:
    """An OME-TIFF; ``order`` is that of its planes, slowest first."""
    return _file(order, SIZES, ome=True, **options)


def shaped(order: str = 'zc', **options: Any) -> PageFile:
    """A TIFF with tifffile's own description."""
    return _file(order, SIZES, **options)


def plain(count: int = 5, **options: Any) -> PageFile:
    """A TIFF of which nothing says what its pages are."""
    stack = planes(count)
    stream = io.BytesIO()
    tifffile.imwrite(stream, stack, photometric='minisblack', metadata=None, **options)
    return PageFile(stream.getvalue(), list(stack), [{} for _ in stack])


def ome_of_two_files() -> tuple[PageFile, PageFile]:
    """Two OME-TIFFs of one image of four planes: each has the whole document and half of the planes."""
    stack, found = planes(4), []
    for own in range(2):
        blocks = ''.join(
            f'<TiffData FirstZ="{2 * at}" IFD="0" PlaneCount="2">'
            f'<UUID FileName="{at}.ome.tif">urn:uuid:{at}</UUID></TiffData>'
            for at in range(2)
        )
        text = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{own}"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="24" SizeY="24" '
            f'SizeZ="4" SizeC="1" SizeT="1"><Channel ID="Channel:0:0"/>{blocks}</Pixels></Image></OME>'
        )
        stream, half = io.BytesIO(), stack[2 * own : 2 * own + 2]
        tifffile.imwrite(stream, half, photometric='minisblack', metadata=None, description=text)
        found.append(PageFile(stream.getvalue(), list(half), [{'z': 2 * own}, {'z': 2 * own + 1}]))
    return found[0], found[1]


def mmstack(positions: int = 1) -> PageFile:
    """A file of an MMStack: the tag of each page says which plane of which position it is."""
    stream, pages, index = io.BytesIO(), [], []
    stack = iter(planes(positions * 6))
    with tifffile.TiffWriter(stream) as tiff:
        for at, z, c in itertools.product(range(positions), range(3), range(2)):
            frame = {'PositionIndex': at, 'ChannelIndex': c, 'SliceIndex': z, 'FrameIndex': 0}
            pages.append(next(stack))
            index.append({'z': z, 'c': c})
            tag = (51123, 's', 0, json.dumps(frame), True)
            tiff.write(pages[-1], photometric='minisblack', metadata=None, extratags=[tag], contiguous=False)
    return PageFile(stream.getvalue(), pages, index)


#: Files whose axes are known, by name.
KNOWN: dict[str, Callable[[], PageFile]] = {
    'ImageJ TZCYX': imagej,
    'ImageJ CZYX': lambda: imagej('zc'),
    'ImageJ T': lambda: imagej('t'),
    'ImageJ of one directory': imagej_of_one_directory,
    'OME XYTZC': ome,
    'OME XYCZT': lambda: ome('tzc'),
    'OME XYZTC': lambda: ome('ctz', compression='zlib'),
    'OME BigTIFF': lambda: ome('tz', bigtiff=True, tile=(16, 16)),
    'tifffile': shaped,
    'tifffile, big-endian': lambda: shaped('tc', byteorder='>', compression='lzw', predictor=True),
    'MMStack': mmstack,
    'OME of two files, first': lambda: ome_of_two_files()[0],
    'OME of two files, second': lambda: ome_of_two_files()[1],
}
