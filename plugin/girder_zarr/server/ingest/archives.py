"""A stream of many files, one after the other in bounded memory: tar (ustar, pax, GNU) and multipart.

Names are only compared, with a manifest or with the form of a key; none ever becomes a path.
"""

from __future__ import annotations

import json
import re
import tarfile
from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError, UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from girder_zarr.server.api.request_body import BodyReader

#: The largest extended header of a member, and the largest head of a part.
MAX_HEAD = 2**16
#: The record of a pax header that says of its member what a manifest would: a JSON object.
PAX_RECORD = 'girder_zarr.patch'
_BLOCK = tarfile.BLOCKSIZE
_PIECE = 2**16
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME)


@dataclass
class Member:
    """A file of a stream; what is not read of it is passed over when the next one is asked for.

    :param name: as it stands there.
    :param read: returns up to so many of the next bytes; none at the end.
    :param said: what its own header says of the patch.
    :param problem: why it is no file that can be taken.
    """

    name: str
    read: Callable[[int], bytes]
    said: dict[str, Any] = field(default_factory=dict)
    problem: str = ''
    is_folder: bool = False


def members(body: BodyReader, content_type: str) -> Iterator[Member]:
    """Yield the files of a body.

    :raises InvalidInputError: the stream is damaged or ends too early.
    :raises UnsupportedFormatError: it is neither tar nor multipart.
    """
    head = Message()
    head['Content-Type'] = content_type
    if head.get_content_maintype() == 'multipart':
        boundary = head.get_boundary()
        if not boundary or len(boundary) > 200 or not boundary.isascii():
            msg = 'Content-Type: expected multipart with a boundary, found none.'
            raise InvalidInputError(msg)
        return _multipart(_Buffer(body), boundary.encode('ascii'))
    return _tar(body)


# tar


def _tar(body: BodyReader) -> Iterator[Member]:
    extended: dict[str, str] = {}
    first = True
    while True:
        header = _tar_header(body, first=first)
        first = False
        if header is None:
            return
        if header.type in _EXTENDED:
            extended.update(_extended(body, header))
            continue
        size = _size_of(header, extended)
        rest = _Rest(body, size)
        yield _tar_member(header, extended, rest)
        rest.skip()
        _exactly(body, -size % _BLOCK)
        extended = {}


def _tar_header(body: BodyReader, *, first: bool) -> tarfile.TarInfo | None:
    """Return the next header, or None at the end."""
    block = body.read(_BLOCK)
    if first and not block:
        msg = 'The body is empty; expected a tar or multipart stream.'
        raise InvalidInputError(msg)
    if not block or not any(block):
        # Two empty blocks end a tar, and writers fill its last record with more of them.
        while body.read_some(_PIECE):
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


def _extended(body: BodyReader, header: tarfile.TarInfo) -> dict[str, str]:
    """Return the records of an extended header."""
    if not 0 <= header.size <= MAX_HEAD:
        msg = f'The tar has a header of {header.size} bytes; the limit is {MAX_HEAD}.'
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


def _tar_member(header: tarfile.TarInfo, extended: dict[str, str], rest: _Rest) -> Member:
    name = extended.get('path', header.name)
    if header.type not in _FILES or any(key.startswith('GNU.sparse') for key in extended):
        problem = 'expected an ordinary file, found a link or something else.'
        return Member(name, rest.read, problem=problem, is_folder=header.isdir())
    said, problem = {}, ''
    if PAX_RECORD in extended:
        try:
            said = json.loads(extended[PAX_RECORD])
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            said, problem = {}, f'the record {PAX_RECORD} of its header is not a JSON object.'
    return Member(name, rest.read, said, problem)


class _Rest:
    """The next ``left`` bytes of a body."""

    def __init__(self, body: BodyReader, left: int) -> None:
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
        while self.read(_PIECE):
            pass


def _exactly(body: BodyReader, length: int) -> bytes:
    data = body.read(length) if length else b''
    if len(data) != length:
        msg = 'The tar ends too early.'
        raise InvalidInputError(msg)
    return data


# multipart


class _Buffer:
    """A body that can be searched."""

    def __init__(self, body: BodyReader) -> None:
        self._body, self.data = body, b''

    def fill(self) -> None:
        """Take more bytes in.

        :raises InvalidInputError: there are no more.
        """
        more = self._body.read_some(_PIECE)
        if not more:
            msg = 'The multipart body ends before its last boundary.'
            raise InvalidInputError(msg)
        self.data += more

    def take(self, length: int) -> bytes:
        """Return and forget the first bytes, all of which are there."""
        taken, self.data = self.data[:length], self.data[length:]
        return taken

    def until(self, mark: bytes, limit: int) -> bytes:
        """Return what is before a mark, and forget it and the mark."""
        while (at := self.data.find(mark)) < 0:
            if len(self.data) > limit:
                msg = f'The head of a part has more than {limit} bytes, which is the limit.'
                raise InvalidInputError(msg)
            self.fill()
        found = self.take(at)
        self.take(len(mark))
        return found

    def drain(self) -> None:
        """Read the body to its end."""
        while self._body.read_some(_PIECE):
            pass


def _multipart(buffer: _Buffer, boundary: bytes) -> Iterator[Member]:
    buffer.data = b'\r\n'
    delimiter = b'\r\n--' + boundary
    buffer.until(delimiter, MAX_HEAD)
    while True:
        while len(buffer.data) < 2:
            buffer.fill()
        if buffer.data.startswith(b'--'):
            buffer.drain()
            return
        buffer.until(b'\r\n', MAX_HEAD)
        buffer.data = b'\r\n' + buffer.data
        part = _Part(buffer, delimiter)
        yield _part_member(buffer.until(b'\r\n\r\n', MAX_HEAD), part)
        while part.read(_PIECE):
            pass


def _part_member(head: bytes, part: _Part) -> Member:
    message = Message()
    for line in head.decode('utf-8', 'replace').replace('\r\n ', ' ').replace('\r\n\t', ' ').split('\r\n'):
        name, colon, value = line.partition(':')
        if colon and re.fullmatch(r'[A-Za-z0-9-]{1,100}', name):
            message[name] = value.strip().replace('\r', ' ').replace('\n', ' ')
    name = message.get_filename() or message.get_param('name', '', 'Content-Disposition')
    encoding = str(message.get('Content-Transfer-Encoding', 'binary')).lower()
    problem = ''
    if encoding not in {'binary', '8bit', '7bit'}:
        problem = f'expected its bytes as they are, found the transfer encoding {encoding[:40]!r}.'
    return Member(str(name), part.read, problem=problem)


class _Part:
    """The bytes of a part, up to the next delimiter."""

    def __init__(self, buffer: _Buffer, delimiter: bytes) -> None:
        self._buffer, self._delimiter, self._done = buffer, delimiter, False

    def read(self, size: int) -> bytes:
        buffer, mark = self._buffer, self._delimiter
        if self._done:
            return b''
        while True:
            at = buffer.data.find(mark, 0, size + len(mark))
            if at == 0:
                buffer.take(len(mark))
                self._done = True
                return b''
            if at > 0:
                return buffer.take(min(at, size))
            safe = len(buffer.data) - len(mark) + 1
            if safe > 0:
                return buffer.take(min(safe, size))
            buffer.fill()
