"""Girder's downloads of an imported OME-Zarr: the image, where its item has nothing but a metadata file.

The file of such an item stands for a directory or a prefix (see `tile_sources.imports`). Asked for by itself
it comes as a zip; in the zip of a folder, or of the item, its keys are entries. REST says name and size of
the zip, since that is what clients compare.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
from typing import TYPE_CHECKING, Any

import cherrypy
from girder import auditLogger, events
from girder.api.rest import getCurrentUser, setContentDisposition, setResponseHeader
from girder.models.file import File
from girder.models.item import Item

from girder_zarr.errors import GirderZarrError
from girder_zarr.image.serve import zip_stream
from girder_zarr.image.store.keystore import KeyStore
from girder_zarr.image.store.zarr_names import ROOT_KEYS
from girder_zarr.server.common.http_errors import rest_exception
from girder_zarr.server.common.names import HANDLER
from girder_zarr.server.storage.locations import open_location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from girder_zarr.server.common.names import Document

logger = logging.getLogger(__name__)

#: Entries that are counted for the length of a zip: a second's work for somebody without a login, and for a
#: user, who waits for what is sent anyway, all that are likely.
MAX_COUNTED, MAX_COUNTED_FOR_USERS = 20_000, 2_000_000
_MARK = 'before_girder_zarr'
_HANDLER = f'{HANDLER}.downloads'


def install() -> None:
    """Let downloads of this process give images. May be called again."""
    if not hasattr(File.download, _MARK):
        File.download = _download(File.download)
    if not hasattr(Item.fileList, _MARK):
        Item.fileList = _file_list(Item.fileList)
    events.bind('rest.get.file/:id.after', _HANDLER, _describe_one)
    events.bind('rest.get.item/:id/files.after', _HANDLER, _describe_all)


def image_of(file: Document) -> KeyStore | None:
    """Return the hierarchy that an imported file stands for, or None where it is only itself."""
    if not file.get('imported') or file.get('name') not in ROOT_KEYS or not file.get('itemId'):
        return None
    item = Item().load(file['itemId'], force=True)
    if item is None or (item.get('largeImage') or {}).get('fileId') != file['_id']:
        return None
    try:
        store = open_location(file)
    except GirderZarrError as error:
        logger.warning('The image of file %s cannot be opened: %s', file['_id'], error)
        return None
    return store if isinstance(store, KeyStore) else None


def zip_name(file: Document) -> str:
    """Return what the zip of an image is called."""
    item = Item().load(file['itemId'], force=True)
    return f'{item["name"]}.zip' if item is not None else 'image.zarr.zip'


def length_of(store: KeyStore) -> int | None:
    """Return the length of an image's zip, or None where it has too many entries to be counted.

    It is counted each time: chunks change while the metadata stays as it was.
    """
    return zip_stream.length_of(store, MAX_COUNTED if getCurrentUser() is None else MAX_COUNTED_FOR_USERS)


def _download(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``File.download`` that streams images as zips."""

    @functools.wraps(original)
    def download(
        self: Any,
        file: Document,
        offset: int = 0,
        headers: bool = True,
        endByte: int | None = None,
        contentDisposition: str | None = None,
        extraParameters: Any = None,
    ) -> Any:
        store = image_of(file)
        if store is None:
            return original(
                self, file, offset=offset, headers=headers, endByte=endByte,
                contentDisposition=contentDisposition, extraParameters=extraParameters,
            )  # fmt: skip
        if headers and cherrypy.request.headers.get('Range'):
            offset = 0  # a part was asked for of what the metadata file is; all is answered, as HTTP allows
        info = {'file': file, 'startByte': offset, 'endByte': None}
        events.trigger('model.file.download.request', info=info)
        auditLogger.info('file.download', extra={'details': {**info, 'file': None, 'fileId': file['_id']}})
        if headers:
            try:
                _set_headers(file, store, offset, contentDisposition)
            except GirderZarrError as error:
                raise rest_exception(error) from error

        def stream() -> Iterator[bytes]:
            yield from _from(zip_stream.blocks(store), offset)
            events.trigger('model.file.download.complete', info={**info, 'redirect': False})

        return stream

    setattr(download, _MARK, original)
    return download


def _set_headers(file: Document, store: KeyStore, offset: int, disposition: str | None) -> None:
    length = length_of(store)
    setResponseHeader('Content-Type', 'application/zip')
    setResponseHeader('Accept-Ranges', 'none')
    setContentDisposition(zip_name(file), disposition or 'attachment')
    if length is not None:
        setResponseHeader('Content-Length', str(max(0, length - offset)))


def _from(blocks: Iterator[bytes], offset: int) -> Iterator[bytes]:
    """Yield what comes after so many bytes."""
    for block in blocks:
        if offset < len(block):
            yield block[offset:]
        offset = max(0, offset - len(block))


def _file_list(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``Item.fileList`` that lists the keys of an image in the place of its metadata file."""

    @functools.wraps(original)
    def fileList(
        self: Any,
        doc: Document,
        user: Any = None,
        path: str = '',
        includeMetadata: bool = False,
        subpath: bool = True,
        mimeFilter: Any = None,
        data: bool = True,
    ) -> Iterator[Any]:
        files = list(itertools.islice(self.childFiles(item=doc, limit=2), 2)) if data else []
        store = image_of(files[0]) if len(files) == 1 else None
        if store is None or (mimeFilter and files[0].get('mimeType') not in mimeFilter):
            yield from original(
                self, doc, user=user, path=path, includeMetadata=includeMetadata, subpath=subpath,
                mimeFilter=mimeFilter, data=data,
            )  # fmt: skip
            return
        below = os.path.join(path, doc['name']) if subpath else path  # noqa: PTH118 - a name in an archive
        for key, _ in zip_stream.entries_of(store):
            yield os.path.join(below, key), _stream_of(store, key)  # noqa: PTH118
        if includeMetadata and doc.get('meta'):
            rest = original(self, doc, user=user, path=path, includeMetadata=True, subpath=True, data=True)
            yield from (one for one in rest if one[0].endswith('girder-item-metadata.json'))

    setattr(fileList, _MARK, original)
    return fileList


def _stream_of(store: KeyStore, key: str) -> Callable[[], Iterator[bytes]]:
    return lambda: (bytes(block) for block in zip_stream.value_blocks(store, key))


def _describe_one(event: Any) -> None:
    _describe(event.info['returnVal'])


def _describe_all(event: Any) -> None:
    """Say what the files of an item are as downloads (an event handler); it is a list by now, or a cursor."""
    found = event.info['returnVal']
    if not isinstance(found, list):
        found = list(found)
        event.preventDefault().addResponse(found)
    for file in found:
        _describe(file)


def _describe(shown: Any) -> None:
    """Give the file of an image the name and size of what its download is."""
    if not isinstance(shown, dict) or shown.get('name') not in ROOT_KEYS:
        return
    file = File().load(shown['_id'], force=True)
    store = image_of(file) if file is not None else None
    if file is None or store is None:
        return
    try:
        length = length_of(store)
    except GirderZarrError as error:
        logger.warning('The files of the image of file %s cannot be counted: %s', file['_id'], error)
        return
    shown.update(name=zip_name(file), mimeType='application/zip', exts=['zarr', 'zip'])
    if length is not None:
        shown['size'] = length
