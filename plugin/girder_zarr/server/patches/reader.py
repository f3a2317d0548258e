"""The pixels of the patches of one image, from their Girder files, with few questions to the database."""

from __future__ import annotations

import hashlib
import io
import threading
from typing import IO, TYPE_CHECKING, Any

from bson import ObjectId
from girder.models.assetstore import Assetstore
from girder.models.file import File
from girder.utility import assetstore_utilities

from girder_zarr.common.cache import LRU
from girder_zarr.errors import ConflictError, GirderZarrError, UnsupportedFormatError
from girder_zarr.server.common.database import find_named
from girder_zarr.server.storage.file_bytes import open_bytes
from girder_zarr.server.storage.file_stream import FileStream
from girder_zarr.stitch.formats import registry as formats
from girder_zarr.stitch.patch import format_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from girder_zarr.image.store.bytesource import ByteSource
    from girder_zarr.server.common.names import Document
    from girder_zarr.stitch.patch import Patch

#: For how many files the database is asked at once, in the order of the patches: one query for all patches
#: that the next blocks of the image need.
FILES_PER_QUERY = 64
#: Of how many files the places are cached: several rows of blocks.
MAX_SOURCES = 1024
#: What is read at once of a file of pages, unless more is asked for: its directories are small and scattered.
_BUFFER_BYTES = 2**16
_LENT = 'shared'
#: Lent files of pages whose digest was computed in this process: their identity and digest.
_verified: LRU[tuple[str, str], bool] = LRU(max_items=1000)


class PatchReader:
    """Loads patches, as `assemble.assemble` wants it. Thread safe.

    :param patches: all that may be asked for; neighbours in this order are likely to be needed together.
    """

    def __init__(self, patches: Sequence[Patch]) -> None:
        self._patches = patches
        self._places = {patch.source: at for at, patch in enumerate(patches)}
        self._lock = threading.Lock()
        self._sources: LRU[str, ByteSource | None] = LRU(max_items=MAX_SOURCES)
        self._adapters: dict[ObjectId, Any] = {}

    def __call__(self, patch: Patch) -> Any:
        """Return the pixels ``(y, x, bands)`` of a patch from its Girder file.

        :raises UnsupportedFormatError: it cannot be read or decoded; the message names it.
        """
        return _decoded(patch, open_picture(patch, lambda file_id: self._find(patch, file_id)))

    def rows(self, patch: Patch) -> Iterator[Any]:
        """Iterate over the pixels of a patch in pieces of whole rows, see `load_rows`."""
        return load_rows(patch, lambda file_id: self._find(patch, file_id))

    def _find(self, patch: Patch, file_id: str) -> ByteSource | None:
        with self._lock:
            if file_id not in self._sources:
                self._look_up(patch, file_id)
            return self._sources.get(file_id)

    def _look_up(self, patch: Patch, file_id: str) -> None:
        """Ask for a file and for those of the patches that follow."""
        wanted = {file_id: None}
        at = self._places.get(patch.source, len(self._patches))
        for after in self._patches[at : at + FILES_PER_QUERY]:
            wanted[after.source.partition(':')[0]] = None
        unknown = [ObjectId(one) for one in wanted if one not in self._sources]
        found = {str(file['_id']): file for file in find_named(File().find, '_id', unknown)}
        for one in unknown:
            file = found.get(str(one))
            if file is not None or str(one) == file_id:
                self._sources.put(str(one), None if file is None else self._open(file))

    def _open(self, file: Document) -> ByteSource:
        assetstore = file.get('assetstoreId')
        if assetstore is not None and assetstore not in self._adapters:
            document = Assetstore().load(assetstore)
            self._adapters[assetstore] = assetstore_utilities.getAssetstoreAdapter(document)
        return open_bytes(file, None if assetstore is None else self._adapters[assetstore])


def open_file(file_id: str) -> ByteSource | None:
    """Return the bytes of a file, or None where it is gone."""
    file = File().load(ObjectId(file_id), force=True)
    return None if file is None else open_bytes(file)


def open_picture(patch: Patch, find: Callable[[str], ByteSource | None] = open_file) -> IO[bytes]:
    """Return the bytes of a patch: in memory, or of a page as a stream that reads what is asked for.

    :param find: returns the bytes of a file by its id, as :func:`open_file`.
    :raises UnsupportedFormatError: they are gone or not what they were; the message says so.
    """
    file_id, *part = patch.source.split(':')
    source, lent = find(file_id), part[2:] and part[2] == _LENT
    if source is None:
        msg = f'Patch {patch.key}: its file is gone{" from Girder" if lent else ""}.'
        raise UnsupportedFormatError(msg)
    offset, size = (int(part[0]), int(part[1])) if part else (0, source.size)
    if patch.page is not None:
        stream = io.BufferedReader(FileStream(source, offset, size), _BUFFER_BYTES)
        if lent and not _is_known(patch, source, stream):
            raise _changed(patch, file_id)
        return stream
    if not lent:
        return io.BytesIO(source.read(offset, size))
    data = source.read(0, size) if source.size == size else b''
    if format_digest(hashlib.sha256(data).digest()) != patch.digest:
        raise _changed(patch, file_id)
    return io.BytesIO(data)


def open_stored(document: Document) -> IO[bytes]:
    """Return the file of a patch as it was sent, as a stream; of a page the file with all pages.

    :raises ConflictError: it is a file in Girder that was lent, and is read there.
    :raises UnsupportedFormatError: it is gone.
    """
    if document.get('shared'):
        msg = f'Patch {document["key"]} is a file in Girder, where it can be downloaded.'
        raise ConflictError(msg)
    source = open_file(str(document['fileId']))
    if source is None:
        msg = f'Patch {document["key"]}: its file is gone.'
        raise UnsupportedFormatError(msg)
    return io.BufferedReader(FileStream(source, document.get('offset') or 0, document['size']), _BUFFER_BYTES)


def _is_known(patch: Patch, source: ByteSource, stream: IO[bytes]) -> bool:
    """Return whether a lent file has the digest of a patch; a file of many pages is read once for all."""
    seen = (source.identity, patch.digest)
    if seen not in _verified:
        stream.seek(0)
        if format_digest(hashlib.file_digest(stream, 'sha256').digest()) != patch.digest:  # type: ignore[arg-type]
            return False
        _verified.put(seen, True)
    return True


def _changed(patch: Patch, file_id: str) -> UnsupportedFormatError:
    return UnsupportedFormatError(
        f'Patch {patch.key}: file {file_id} in Girder is not what it was when it became a patch.'
    )


def load_patch(patch: Patch) -> Any:
    """Return the pixels of one patch, as a `PatchReader` does."""
    return _decoded(patch, open_picture(patch))


def load_rows(patch: Patch, find: Callable[[str], ByteSource | None] | None = None) -> Iterator[Any]:
    """Iterate over the pixels of one patch in pieces of whole rows; a few megabytes where its format allows.

    :param find: as for :func:`open_picture`.
    :raises UnsupportedFormatError: as `PatchReader`.
    """
    try:
        yield from formats.decode_rows(open_picture(patch, find or open_file), **_options(patch))
    except GirderZarrError as error:
        msg = f'Patch {patch.key}: {error}'
        raise UnsupportedFormatError(msg) from error


def _options(patch: Patch) -> dict[str, Any]:
    return {'layout': patch.layout, 'alpha': patch.alpha, 'as_stored': patch.as_stored, 'page': patch.page}


def _decoded(patch: Patch, stream: IO[bytes]) -> Any:
    try:
        return formats.decode(stream, **_options(patch))
    except GirderZarrError as error:
        msg = f'Patch {patch.key}: {error}'
        raise UnsupportedFormatError(msg) from error
