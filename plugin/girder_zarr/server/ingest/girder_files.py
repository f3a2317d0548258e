"""Files that are in Girder already as patches."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from girder_zarr.common.cache import LRU
from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.server.storage.file_bytes import open_bytes
from girder_zarr.server.storage.file_stream import FileStream
from girder_zarr.stitch.patch import format_digest

from . import file_pages

if TYPE_CHECKING:
    from girder_zarr.image.store.bytesource import ByteSource
    from girder_zarr.server.common.names import Document
    from girder_zarr.server.patches.incoming import NewPatch
    from girder_zarr.server.settings.session_limits import StitchLimits

    from .patch_fields import PatchFields

#: The digests of files that were read lately, by their identity, which changes with their contents.
_digests: LRU[str, str] = LRU(max_items=64)


def patches_of_file(file: Document, fields: PatchFields, limits: StitchLimits) -> list[NewPatch]:
    """Return the patches that a Girder file is: one, or one for each of its pages.

    :raises LimitExceededError: it is too large.
    :raises InvalidInputError: it is empty, or differs from its fields.
    :raises UnsupportedFormatError: it is no image of a known format.
    """
    most = file_pages.max_bytes(fields.parameters, limits)
    if file['size'] > most:
        msg = f'The file has {file["size"]} bytes; the limit is {most}.'
        raise LimitExceededError(msg)
    if not file['size'] or not file.get('assetstoreId'):
        msg = f'The file {file["name"][:80]} is empty or only a link; expected an image.'
        raise InvalidInputError(msg)
    source = open_bytes(file)
    stream = io.BufferedReader(FileStream(source), 2**18)
    digest = _digest(source, stream)
    if fields.digest not in {None, digest}:
        msg = f'digest: announced {fields.digest}, the file has {digest}.'
        raise InvalidInputError(msg)
    received = file_pages.Received(stream, file['size'], digest)
    return file_pages.new_patches(fields.key, fields.parameters, received, limits)


def _digest(source: ByteSource, stream: io.BufferedReader[FileStream]) -> str:
    """Return the digest of a file; many entries in turn may name the pages of one."""
    return _digests.fetch(
        source.identity, lambda: format_digest(hashlib.file_digest(stream, 'sha256').digest())
    )
