"""A tar (ustar, pax or GNU), member by member in bounded memory.

``tarfile`` can read a stream too (``r|``), but reads a pax header of any size into memory; its parser of
single headers is used.
"""

from __future__ import annotations

import re
import tarfile
from typing import TYPE_CHECKING, Any

from girder_zarr.common.bounded_json import parse_json
from girder_zarr.errors import InvalidInputError, UnsupportedFormatError

from .member import MAX_HEADER_BYTES, PIECE_BYTES, Member

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .member import ByteStream

#: The record of a pax header that has the fields of its member's patch: a JSON object.
PAX_RECORD = 'girder_zarr.patch'
#: Values of this record, the parameters of one patch: more than all of them with an index.
MAX_RECORD_VALUES = 1000
_BLOCK = tarfile.BLOCKSIZE
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME)


def read_tar(body: ByteStream) -> Iterator[Member]:
    """Yield the members of a tar.

    :raises InvalidInputError: it is empty, damaged or ends too early.
    :raises UnsupportedFormatError: the body is no tar.
    """
    extended: dict[str, str] = {}
    first = True
    while True:
        header = _read_header(body, first=first)
        first = False
        if header is None:
            return
        if header.type in _EXTENDED:
            extended.update(_read_extended(body, header))
            continue
        size = _size_of(header, extended)
        content = _MemberReader(body, size)
        yield _tar_member(header, extended, content)
        content.skip()
        _exactly(body, -size % _BLOCK)
        extended = {}


def _read_header(body: ByteStream, *, first: bool) -> tarfile.TarInfo | None:
    """Return the next header, or None at the end."""
    block = body.read(_BLOCK)
    if first and not block:
        msg = 'The body is empty; expected a tar or multipart stream.'
        raise InvalidInputError(msg)
    if not block or not any(block):
        # Two empty blocks end a tar, and writers fill its last record with more of them.
        while body.read_some(PIECE_BYTES):
            pass
        return None
    try:
        return tarfile.TarInfo.frombuf(block, 'utf-8', 'surrogateescape')
    except tarfile.HeaderError as error:
        if first:
            msg = f'The body is neither tar nor multipart: it begins with {block[:8]!r}.'
            raise UnsupportedFormatError(msg) from error
        msg = f'The tar is damaged: {error}.'
        raise InvalidInputError(msg) from error


def _size_of(header: tarfile.TarInfo, extended: dict[str, str]) -> int:
    text = extended.get('size', str(header.size))
    if not re.fullmatch(r'[0-9]{1,18}', text):
        msg = f'The tar is damaged: a member claims a size of {text[:40]!r}.'
        raise InvalidInputError(msg)
    # Only files have content; what other members claim does not follow them.
    return int(text) if header.type in _FILES or header.type not in tarfile.SUPPORTED_TYPES else 0


def _read_extended(body: ByteStream, header: tarfile.TarInfo) -> dict[str, str]:
    """Return the records of an extended header."""
    if not 0 <= header.size <= MAX_HEADER_BYTES:
        msg = f'The tar has a header of {header.size} bytes; the limit is {MAX_HEADER_BYTES}.'
        raise InvalidInputError(msg)
    data = _exactly(body, header.size)
    _exactly(body, -header.size % _BLOCK)
    if header.type == tarfile.XGLTYPE:
        return {}
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {'path': data.rstrip(b'\0').decode('utf-8', 'surrogateescape')}
    return _pax_records(data)


def _pax_records(data: bytes) -> dict[str, str]:
    records, at = {}, 0
    while at < len(data):
        length = re.match(rb'([1-9][0-9]{0,6}) ', data[at:])
        record = data[at : at + int(length[1])] if length else b''
        name, equals, value = record[length.end() if length else 0 :].partition(b'=')
        if not length or not equals or not value.endswith(b'\n') or len(record) != int(length[1]):
            msg = 'The tar is damaged: an extended header is malformed.'
            raise InvalidInputError(msg)
        records[name.decode('utf-8', 'replace')] = value[:-1].decode('utf-8', 'surrogateescape')
        at += len(record)
    return records


def _tar_member(header: tarfile.TarInfo, extended: dict[str, str], content: _MemberReader) -> Member:
    name = extended.get('path', header.name)
    if header.type not in _FILES or any(key.startswith('GNU.sparse') for key in extended):
        problem = 'expected an ordinary file, found a link or something else.'
        return Member(name, content.read, problem=problem, is_folder=header.isdir())
    fields: Any = {}
    problem = ''
    if PAX_RECORD in extended:
        try:
            fields = parse_json(extended[PAX_RECORD], MAX_HEADER_BYTES, MAX_RECORD_VALUES)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            fields, problem = {}, f'the record {PAX_RECORD} of its header is not a JSON object.'
    return Member(name, content.read, fields, problem)


class _MemberReader:
    """The content of a member: the next ``left`` bytes of a body."""

    def __init__(self, body: ByteStream, left: int) -> None:
        self._body, self._left = body, left

    def read(self, size: int) -> bytes:
        if not self._left:
            return b''
        data = self._body.read_some(min(size, self._left))
        if not data:
            msg = f'The tar ends too early: {self._left} bytes of a member are missing.'
            raise InvalidInputError(msg)
        self._left -= len(data)
        return data

    def skip(self) -> None:
        while self.read(PIECE_BYTES):
            pass


def _exactly(body: ByteStream, length: int) -> bytes:
    data = body.read(length) if length else b''
    if len(data) != length:
        msg = 'The tar ends too early.'
        raise InvalidInputError(msg)
    return data
