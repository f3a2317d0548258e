"""The sha512 of a stream, by which assetstores name contents, made while the database is waited for."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING

from girder_zarr.server.common.spool import SPOOL_BYTES

if TYPE_CHECKING:
    from concurrent.futures import Future

_PIECE = 2**20
_hashing = ThreadPoolExecutor(8, thread_name_prefix='hashing')


def hash_ahead(stream: IO[bytes], size: int) -> Future[str] | None:
    """Begin to hash a stream of a size in bytes; None for one that is not in memory, and better read once.

    Nobody else may read the stream until that is done.
    """
    return _hashing.submit(hash_stream, stream) if size <= SPOOL_BYTES else None


def hash_stream(stream: IO[bytes], target: IO[bytes] | None = None) -> str:
    """Return the sha512 of a stream from its beginning, which is written to a target on the way."""
    digest = hashlib.sha512()
    stream.seek(0)
    while piece := stream.read(_PIECE):
        digest.update(piece)
        if target is not None:
            target.write(piece)
    return digest.hexdigest()
