"""Pages of TIFFs: which is which plane, and their pixels, against what tifffile wrote and Pillow reads."""

from __future__ import annotations

import io
import re
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageSequence

from girder_zarr.errors import LimitExceededError, UnsupportedFormatError
from girder_zarr.stitch.formats.registry import PageAt, decode, decode_rows, inspect, planes
from support import page_files


@pytest.mark.parametrize('name', page_files.KNOWN)
def test_each_page_is_the_plane_that_its_program_says(name: str) -> None:
    file = page_files.KNOWN[name]()
    stream = io.BytesIO(file.data)
    found = planes(stream, 'auto', 100)
    assert [plane.index for plane in found] == file.index
    assert [plane.page.number for plane in found] == list(range(len(file.pages)))
    for plane, pixels in zip(found, file.pages, strict=True):
        info = inspect(stream, page=plane.page)
        assert (info.shape, info.dtype, info.page) == ((*pixels.shape, 1), pixels.dtype.name, plane.page)
        assert np.array_equal(decode(stream, page=plane.page)[:, :, 0], pixels)
        rows = np.concatenate(list(decode_rows(stream, page=plane.page)))
        assert np.array_equal(rows[:, :, 0], pixels)


@pytest.mark.parametrize('name', ['ImageJ CZYX', 'OME BigTIFF', 'ImageJ of one directory'])
def test_a_page_is_found_by_its_number(name: str) -> None:
    file = page_files.KNOWN[name]()
    last = len(file.pages) - 1
    info = inspect(io.BytesIO(file.data), page=PageAt(last))
    assert info.page is not None
    assert info.page.directory > 0
    assert np.array_equal(decode(io.BytesIO(file.data), page=PageAt(last))[:, :, 0], file.pages[last])
    with pytest.raises(UnsupportedFormatError, match=f'page: expected 0 to {last}, found {last + 1}'):
        inspect(io.BytesIO(file.data), page=PageAt(last + 1))


def test_pages_are_what_pillow_reads_of_them() -> None:
    file = page_files.plain(compression='packbits')
    with Image.open(io.BytesIO(file.data)) as image:
        expected = [np.asarray(frame) for frame in ImageSequence.Iterator(image)]
    found = planes(io.BytesIO(file.data), 't', 100)
    assert [plane.index for plane in found] == [{'t': at} for at in range(5)]
    for plane, pixels in zip(found, expected, strict=True):
        assert np.array_equal(decode(io.BytesIO(file.data), page=plane.page)[:, :, 0], pixels)


def test_pages_of_different_kinds_are_each_their_own() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as tiff:
        tiff.write(np.full((8, 9), 7, np.uint8), metadata=None)
        tiff.write(np.full((5, 4, 3), 9, np.uint16), photometric='rgb', compression='zlib', metadata=None)
    shapes = [inspect(stream, page=PageAt(number)).shape for number in range(2)]
    assert shapes == [(8, 9, 1), (5, 4, 3)]
    assert decode(stream, page=PageAt(1)).tolist() == np.full((5, 4, 3), 9).tolist()


def test_copies_of_less_resolution_are_no_planes() -> None:
    stream, stack = io.BytesIO(), page_files.planes(3)
    with tifffile.TiffWriter(stream) as tiff:
        for page in stack:
            tiff.write(page, metadata=None)
            tiff.write(page[::2, ::2], subfiletype=1, metadata=None)
    found = planes(stream, 'z', 100)
    assert [(plane.page.number, plane.index) for plane in found] == [
        (0, {'z': 0}),
        (2, {'z': 1}),
        (4, {'z': 2}),
    ]
    assert np.array_equal(decode(stream, page=found[1].page)[:, :, 0], stack[1])


def test_a_file_of_several_pages_says_what_to_give() -> None:
    for data in (page_files.plain().data, page_files.imagej_of_one_directory().data):
        with pytest.raises(UnsupportedFormatError, match=r'[56] pages and a patch is one: .*pages=auto'):
            inspect(io.BytesIO(data))
    with pytest.raises(UnsupportedFormatError, match='expected c, z or t, because the tiff has 5 pages'):
        planes(io.BytesIO(page_files.plain().data), 'auto', 100)
    with pytest.raises(UnsupportedFormatError, match=r'expected auto, .* pages along c, z; found t'):
        planes(io.BytesIO(page_files.imagej('zc').data), 't', 100)
    with pytest.raises(LimitExceededError, match='5 pages; the limit is 4'):
        planes(io.BytesIO(page_files.plain().data), 'z', 4)
    with pytest.raises(UnsupportedFormatError, match='pages of 2 positions'):
        planes(io.BytesIO(page_files.mmstack(2).data), 'auto', 100)


def test_one_axis_may_be_called_another() -> None:
    """Time series are often saved by ImageJ as stacks along z."""
    file = page_files.imagej('z')
    assert [plane.index for plane in planes(io.BytesIO(file.data), 't', 9)] == [{'t': at} for at in range(3)]


def test_a_file_of_one_picture_is_its_first_page() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(stream, 'PNG')
    assert [(plane.page.number, plane.index) for plane in planes(stream, 'auto', 9)] == [(0, {})]
    assert [plane.index for plane in planes(stream, 'c', 9)] == [{'c': 0}]
    assert inspect(stream, page=PageAt(0)).shape == (4, 5, 1)
    with pytest.raises(UnsupportedFormatError, match='page: expected a TIFF'):
        inspect(stream, page=PageAt(1))


def described(text: str, count: int = 4) -> io.BytesIO:
    stream = io.BytesIO()
    tifffile.imwrite(
        stream, page_files.planes(count), photometric='minisblack', metadata=None, description=text.encode()
    )
    return stream


def ome_xml(blocks: str, sizes: str = 'SizeC="1" SizeZ="4" SizeT="1"', order: str = 'XYZCT') -> str:
    return f'<OME><Image><Pixels DimensionOrder="{order}" {sizes}>{blocks}</Pixels></Image></OME>'


def in_file(number: int) -> str:
    return f'<TiffData IFD="0"><UUID FileName="{number}.tif">{number}</UUID></TiffData>'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (ome_xml('<TiffData IFD="1" PlaneCount="4"/>'), 'names 4 planes from page 1 on, and the file has 4'),
        (ome_xml('<TiffData FirstZ="4" IFD="0"/>'), 'FirstZ is 4, and the size 4'),
        (ome_xml('<TiffData IFD="0"/><TiffData FirstZ="1" IFD="0"/>'), 'page 0 is there twice'),
        (ome_xml('<TiffData/>', 'SizeC="1" SizeZ="999999999" SizeT="999999999"'), 'the file has 4 pages'),
        (ome_xml('<TiffData/>', 'SizeC="0" SizeZ="4" SizeT="1"'), 'a size is 0'),
        (ome_xml('<TiffData/>', 'SizeC="-1" SizeZ="4" SizeT="1"'), "SizeC is '-1'"),
        (ome_xml('<TiffData/>', order='XYZZT'), 'DimensionOrder'),
        (ome_xml('<TiffData IFD="0"/>') * 2, 'junk after'),
        ('<!DOCTYPE OME [<!ENTITY a "b">]>' + ome_xml('<TiffData/>'), 'declares entities'),
        (ome_xml(in_file(0) + in_file(1)), 'names 2 files and does not say which'),
        (ome_xml('<TiffData IFD="0"/>')[:-6] + ome_xml('<TiffData IFD="1"/>')[5:], '2 images'),
        ('ImageJ=1.53\nimages=4\nchannels=3\nslices=2\n', 'has 4 pages, and says that these are z 2, c 3'),
        ('ImageJ=1.53\nimages=999999999\nslices=999999999\n', 'has 4 pages, and says'),
        ('{"shape": [5, 24, 24], "axes": "ZYX"}', 'has 4 pages, and says that these are z 5'),
        ('{"shape": [4, 24, 24], "axes": "QYX"}', 'expected c, z or t'),
        ('{"shape": [4, 24], "axes": "ZYX"}', 'expected c, z or t'),
        ('[' * 4000, 'expected c, z or t'),
    ],
)  # fmt: skip
def test_descriptions_that_do_not_fit_are_refused(text: str, message: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=re.escape(message)):
        planes(described(text), 'auto', 100)


def test_directories_in_a_circle_or_without_end_are_refused() -> None:
    data = bytearray(page_files.plain(2).data)
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as tiff:
        first, last = tiff.pages[0], tiff.pages[1].aspage()
    place = last.offset + 2 + 12 * len(last.tags)
    data[place : place + 4] = struct.pack('<I', first.offset)
    with pytest.raises(UnsupportedFormatError, match='more than 65536 pages'):
        planes(io.BytesIO(bytes(data)), 'z', 100)
    data[place : place + 4] = struct.pack('<I', len(data) + 8)
    with pytest.raises(UnsupportedFormatError, match='The pages of the tiff cannot be read'):
        planes(io.BytesIO(bytes(data)), 'z', 100)


def test_an_axis_that_is_given_counts_more_than_a_description_that_does_not_fit() -> None:
    """A stack that was cut off says that it has more planes than there are."""
    stream = described('ImageJ=1.53\nimages=9\nslices=9\n')
    with pytest.raises(UnsupportedFormatError, match='says that these are z 9'):
        planes(stream, 'auto', 100)
    assert [plane.index for plane in planes(stream, 'z', 100)] == [{'z': at} for at in range(4)]


def test_each_page_stands_upright_by_its_own_orientation() -> None:
    stream, stack = io.BytesIO(), np.arange(2 * 6 * 4, dtype=np.uint8).reshape(2, 6, 4)
    with tifffile.TiffWriter(stream) as tiff:
        for page, orientation in zip(stack, (1, 6), strict=True):
            tag = (274, 'H', 1, orientation, True)
            tiff.write(page, metadata=None, contiguous=False, extratags=[tag])
    first, second = planes(stream, 'z', 9)
    assert np.array_equal(decode(stream, page=first.page)[:, :, 0], stack[0])
    assert np.array_equal(decode(stream, page=second.page)[:, :, 0], np.rot90(stack[1], -1))
    assert np.array_equal(decode(stream, page=second.page, as_stored=True)[:, :, 0], stack[1])


def test_tags_of_all_pages_together_are_bounded() -> None:
    tags, count = 1000, 2200
    entries = struct.pack('<HHII', 65000, 3, 1, 0) * tags
    body = bytearray(b'II*\0' + struct.pack('<I', 8))
    for number in range(count):
        following = 8 + (number + 1) * (6 + len(entries)) if number < count - 1 else 0
        body += struct.pack('<H', tags) + entries + struct.pack('<I', following)
    with pytest.raises(UnsupportedFormatError, match='more than 2097152 tags in all its pages'):
        planes(io.BytesIO(bytes(body)), 'z', 10_000)
