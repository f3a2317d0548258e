"""Patches are hashed for the assetstore by another thread, while the database is asked for their keys."""

import hashlib
import io
import threading

import pytest
from girder.models.file import File

from girder_zarr.server.common.spool import SPOOL_BYTES
from girder_zarr.server.storage import durable_files, stream_hash
from support.server import png, random_pixels


def test_a_stream_is_hashed_from_its_beginning_and_written_on_the_way():
    stream, target = io.BytesIO(b'abc' * 10**6), io.BytesIO()
    stream.seek(5)
    expected = hashlib.sha512(stream.getvalue()).hexdigest()
    assert stream_hash.hash_stream(stream, target) == expected
    assert target.getvalue() == stream.getvalue()
    assert stream_hash.hash_ahead(stream, 3 * 10**6).result() == expected


def test_a_stream_that_is_not_in_memory_is_read_only_once():
    assert stream_hash.hash_ahead(io.BytesIO(), SPOOL_BYTES + 1) is None


@pytest.mark.plugin('zarr')
def test_the_thread_of_a_request_does_not_hash(api, session, monkeypatch):
    threads, original = [], stream_hash.hash_stream

    def noted(*arguments):
        threads.append(threading.current_thread().name)
        return original(*arguments)

    for module in (stream_hash, durable_files):
        monkeypatch.setattr(module, 'hash_stream', noted)
    body = png(random_pixels(8, 8))
    assert api.put(session, 'a', body, x=0)[0] == 201
    assert [name.startswith('hashing') for name in threads] == [True]
    (file,) = File().find({'sha512': hashlib.sha512(body).hexdigest()})
    with File().open(file) as stored:
        assert stored.read() == body
