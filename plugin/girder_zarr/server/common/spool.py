"""An upload read in bounded memory, with its size and digest checked."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.stitch.patch import format_digest

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Uploads up to this size are held in memory, larger ones in a temporary file. Most patches are smaller than
#: that, and for them creating a file costs more than copying the bytes.
SPOOL_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Spooled:
    """An upload that has arrived.

    :param stream: a seekable temporary file at its end, for the receiver to close.
    :param size: bytes.
    :param digest: as RFC 9530 writes it, ``sha-256=:BASE64:``.
    """

    stream: IO[bytes]
    size: int
    digest: str


def spool(
    pieces: Iterable[bytes],
    limit: int,
    announced: str | None = None,
    *,
    what: str = 'The body',
    digest_field: str = 'Content-Digest',
) -> Spooled:
    """Read an upload in bounded memory.

    :param limit: bytes that are accepted.
    :param announced: the digest that the upload should have, if the client gave one.
    :param what: what is read, for messages.
    :param digest_field: where the client gave the digest, for messages.
    :raises LimitExceededError: it is larger.
    :raises InvalidInputError: it is empty or has another digest.
    """
    digest, size = hashlib.sha256(), 0
    stream = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES, prefix='girder-zarr-')  # noqa: SIM115 - returned
    try:
        for piece in pieces:
            size += len(piece)
            if size > limit:
                msg = f'{what} has more than {limit} bytes, which is the limit.'
                raise LimitExceededError(msg)
            digest.update(piece)
            stream.write(piece)
        if not size:
            msg = f'{what} is empty; expected an image.'
            raise InvalidInputError(msg)
        found = format_digest(digest.digest())
        if announced not in {None, found}:
            msg = f'{digest_field}: announced {announced}, what arrived has {found}.'
            raise InvalidInputError(msg)
    except BaseException:
        stream.close()
        raise
    return Spooled(stream, size, found)
