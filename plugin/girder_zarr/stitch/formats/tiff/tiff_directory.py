"""The directories of a TIFF or BigTIFF, counted before a library makes objects of them.

A directory is 6 bytes, so that a small file may hold a hundred thousand of them or a tag of millions of
values; TIFF 6.0, section 2, and the BigTIFF design of AWare Systems.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO

from girder_zarr.errors import UnsupportedFormatError

#: A patch is one page; beside it there may be copies of less resolution and masks.
MAX_DIRECTORIES = 64
#: Pages of a file of which each is a patch.
MAX_PAGES = 2**16
_FEW = 'a patch is one, which page (from 0) names, or pages=auto, c, z or t takes all'
_MANY = 'no more are read'
#: Tags of one directory; files with everything that standards name have some 200.
MAX_TAGS = 1000
#: Tags of all directories together: some thirty for each page.
MAX_ALL_TAGS = 2**21
#: Values of one tag of numbers: offsets of strips of one row in the highest patch, and the values of a
#: private tag of some instrument.
MAX_VALUES = 2**17
#: Bytes of one tag of bytes or text, such as a profile or a description.
MAX_TAG_BYTES = 2**24
#: The types of one byte: BYTE, ASCII, SBYTE and UNDEFINED.
_BYTES = frozenset((1, 2, 6, 7))
_SUBFILE_TYPE, _SHORT = 254, 3


def check_directories(stream: IO[bytes]) -> None:
    """Check the directories of a TIFF, from the first one along the chain.

    :raises UnsupportedFormatError: they are too many for one picture, or hold too many tags or values.
    :raises struct.error: the file ends too early.
    """
    for place in list_directories(stream, MAX_DIRECTORIES):
        check_directory(stream, place)


def list_directories(stream: IO[bytes], most: int = MAX_PAGES) -> list[int]:
    """Return at which bytes the directories of a TIFF begin, along the chain; their tags are not looked at.

    :raises UnsupportedFormatError: there are more than ``most``, or they follow each other in a circle.
    :raises struct.error: the file ends too early.
    """
    form = _Layout.of(stream)
    place, total = form.first, 0
    seen: dict[int, None] = {}
    while place:
        if place in seen or len(seen) >= most:
            msg = f'The tiff has more than {most} pages; {_FEW if most == MAX_DIRECTORIES else _MANY}.'
            raise UnsupportedFormatError(msg)
        seen[place] = None
        stream.seek(place)
        (tags,) = struct.unpack(form.count, stream.read(struct.calcsize(form.count)))
        total += tags
        if total > MAX_ALL_TAGS:
            msg = f'The tiff has more than {MAX_ALL_TAGS} tags in all its pages; no more are read.'
            raise UnsupportedFormatError(msg)
        stream.seek(tags * form.entry_bytes, 1)
        (place,) = struct.unpack(form.link, stream.read(struct.calcsize(form.link)))
    return list(seen)


def first_directory(stream: IO[bytes]) -> int:
    """Return the byte at which the first directory begins."""
    return _Layout.of(stream).first


def check_directory(stream: IO[bytes], place: int) -> bool:
    """Check the tags of one directory.

    :param place: the byte at which it begins.
    :returns: whether its picture is a copy of less resolution (NewSubfileType).
    :raises UnsupportedFormatError: it holds too many tags or values.
    :raises struct.error: the file ends too early.
    """
    form = _Layout.of(stream)
    stream.seek(place)
    (tags,) = struct.unpack(form.count, stream.read(struct.calcsize(form.count)))
    if tags > MAX_TAGS:
        msg = f'The tiff has {tags} tags in a directory; at most {MAX_TAGS} are read.'
        raise UnsupportedFormatError(msg)
    entries = stream.read(tags * form.entry_bytes)
    is_reduced = False
    for number in range(tags):
        at = number * form.entry_bytes
        tag, kind, count = struct.unpack_from(form.entry, entries, at)
        _check_tag(tag, kind, count)
        if tag == _SUBFILE_TYPE:
            value = struct.unpack_from(form.order + ('H' if kind == _SHORT else 'I'), entries, at + form.head)
            is_reduced = bool(value[0] & 1)
    return is_reduced


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the directories of a file are written.

    :param first: the byte at which the first one begins.
    """

    order: str
    count: str
    entry: str
    link: str
    first: int

    @property
    def entry_bytes(self) -> int:
        return 20 if self.link.endswith('Q') else 12

    @property
    def head(self) -> int:
        """Bytes of an entry before its value."""
        return 12 if self.link.endswith('Q') else 8

    @classmethod
    def of(cls, stream: IO[bytes]) -> _Layout:
        stream.seek(0)
        head = stream.read(16)
        order = '<' if head[:2] == b'II' else '>'
        is_big = head[2:4] in {b'+\0', b'\0+'}
        count, entry, link = ('Q', 'HHQ', 'Q') if is_big else ('H', 'HHI', 'I')
        (first,) = struct.unpack_from(order + link, head, 8 if is_big else 4)
        return cls(order, order + count, order + entry, order + link, first)


def _check_tag(tag: int, kind: int, count: int) -> None:
    most = MAX_TAG_BYTES if kind in _BYTES else MAX_VALUES
    if count > most:
        msg = f'The tag {tag} of the tiff has {count} values; at most {most} are read.'
        raise UnsupportedFormatError(msg)
