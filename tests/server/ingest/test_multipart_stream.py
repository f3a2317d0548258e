"""Multipart bodies in pieces of any size: what is read of them, and what damaged and hostile ones do."""

import io

import pytest
from requests_toolbelt import MultipartEncoder

from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.server.ingest.multipart_stream import MAX_HEADERS, read_multipart


class Pieces:
    """A body that comes in pieces of at most so many bytes."""

    def __init__(self, data, size=2**16, limit=None):
        self._stream, self._size, self._limit = io.BytesIO(data), size, limit

    def read_some(self, size):
        if self._limit is not None and self._stream.tell() >= self._limit:
            raise LimitExceededError('too much')
        return self._stream.read(min(size, self._size))


def part(head, data, boundary='xyz'):
    return b''.join([b'--', boundary.encode(), b'\r\n', head, b'\r\n\r\n', data, b'\r\n'])


def named(name, data):
    return part(f'Content-Disposition: form-data; name="patch"; filename="{name}"'.encode(), data)


#: Bytes that look like a boundary until their last one.
NEARLY = b'\r\n--xy\r\n--xyZ\r\n-\r\r\n--\n' * 7
END = b'--xyz--\r\n'


def all_of(body, **options):
    return {
        member.name: b''.join(member.pieces()) for member in read_multipart(Pieces(body, **options), 'xyz')
    }


@pytest.mark.parametrize('size', [1, 2, 3, 7, 64, 2**16])
def test_members_are_those_of_another_writer(size):
    files = {'a': NEARLY, 'b.png': b'', 'c': bytes(range(256)) * 30}
    encoder = MultipartEncoder(
        [('patch', (name, io.BytesIO(data), 'image/png')) for name, data in files.items()], boundary='xyz'
    )
    assert all_of(encoder.read(), size=size) == files


def test_what_is_not_read_is_skipped():
    body = b'preamble\r\n' + named('a', b'1' * 200_000) + named('b', b'2') + END + b'epilogue'
    begun = [(member.name, member.read(1)) for member in read_multipart(Pieces(body), 'xyz')]
    assert begun == [('a', b'1'), ('b', b'2')]


def test_any_multipart_is_taken_not_only_forms():
    body = part(b'Content-Disposition: attachment; filename="a"', b'1') + part(b'X-Other: b', b'2') + END
    assert all_of(body) == {'a': b'1', '': b'2'}


def test_encoded_parts_are_refused_one_by_one():
    body = part(b'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64', b'MQ==')
    (member,) = read_multipart(Pieces(body + END), 'xyz')
    assert 'base64' in member.problem


@pytest.mark.parametrize(
    ('body', 'words'),
    [
        (b'', 'ends before its last boundary'),
        (named('a', b'1'), 'ends before its last boundary'),
        (b'--xyz\r\n' + b'X: y\r\n' * (MAX_HEADERS + 1) + b'\r\n' + END, 'head of a part'),
        (b'--xyz\r\nX: ' + b'y' * 2**20 + b'\r\n\r\n' + END, 'head of a part'),
        (b'--xyz\r\nno header\r\n\r\n1\r\n' + END, 'damaged'),
        (b'--xyz\r\nX: \xff\xfe\r\n\r\n1\r\n' + END, 'damaged'),
    ],
)
def test_damaged_and_hostile_bodies(body, words):
    with pytest.raises(InvalidInputError, match=words):
        all_of(body)


@pytest.mark.parametrize('boundary', [None, '', 'x' * 201, 'ü'])
def test_a_boundary_is_needed(boundary):
    with pytest.raises(InvalidInputError, match='boundary'):
        read_multipart(Pieces(b''), boundary)


def test_an_error_of_the_stream_stays_one():
    """A member whose bytes do not arrive is an error each time, and never looks as if it had ended."""
    members = read_multipart(Pieces(named('a', b'1' * 200_000) + END, limit=2**16), 'xyz')
    member = next(members)
    for _ in range(2):
        with pytest.raises(LimitExceededError):
            list(member.pieces())
    with pytest.raises(LimitExceededError):
        next(members)
