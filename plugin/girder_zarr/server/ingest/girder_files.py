"""Files that are in Girder already as patches."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.server.patches.incoming import NewPatch
from girder_zarr.server.storage.file_stream import FileStream
from girder_zarr.stitch.formats import registry as formats
from girder_zarr.stitch.patch import format_digest

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document
    from girder_zarr.server.settings.session_limits import StitchLimits

    from .patch_fields import PatchFields


def patch_of_file(file: Document, fields: PatchFields, limits: StitchLimits) -> NewPatch:
    """Return the patch that a Girder file is.

    :raises LimitExceededError: it is too large.
    :raises InvalidInputError: it is empty, or differs from its fields.
    :raises UnsupportedFormatError: it is no image of a known format.
    """
    if file['size'] > limits.patchBytes:
        msg = f'The file has {file["size"]} bytes; the limit is {limits.patchBytes}.'
        raise LimitExceededError(msg)
    if not file['size'] or not file.get('assetstoreId'):
        msg = f'The file {file["name"][:80]} is empty or only a link; expected an image.'
        raise InvalidInputError(msg)
    stream = io.BufferedReader(FileStream(file), 2**18)
    digest = format_digest(hashlib.file_digest(stream, 'sha256').digest())
    if fields.digest not in {None, digest}:
        msg = f'digest: announced {fields.digest}, the file has {digest}.'
        raise InvalidInputError(msg)
    info = formats.inspect(stream, limits.for_formats, **fields.options.for_formats)
    return NewPatch(
        fields.key, fields.placement, fields.order, digest, file['size'], info, stream, fields.options
    )
