"""An upload that claims to be a zarr and cannot be read is refused with the reason; no job converts it."""

from __future__ import annotations

from typing import Any

from girder.api import access
from girder.api.rest import getCurrentUser
from girder.constants import AccessType
from girder.exceptions import RestException
from girder.models.file import File
from girder.models.item import Item
from girder_large_image import girder_tilesource
from large_image.exceptions import TileSourceError

from girder_zarr.errors import GirderZarrError
from girder_zarr.image.store.stores import open_store
from girder_zarr.image.store.zarr_names import ROOT_KEYS, ZARR_ONLY_SUFFIXES
from girder_zarr.server.common.hidden_paths import shown_to
from girder_zarr.server.storage.file_bytes import open_bytes

from .tile_source import ZarrGirderTileSource

EVENT = 'rest.post.item/:itemId/tiles.before'


@access.public  # type: ignore[untyped-decorator]  # Girder has no types
def refuse_unreadable(event: Any) -> None:
    """Answer ``POST /item/:itemId/tiles`` with 415 for a zarr that no tile source reads (an event handler).

    Everything else is left to the route: other files, missing files, missing permissions.
    """
    found = _find_file(event.info['itemId'], event.info['params'].get('fileId'))
    if found is None or not claims_zarr(found[1]):
        return
    reason = why_unreadable(*found)
    if reason is not None:
        reason = shown_to(getCurrentUser(), reason)
        msg = f'{found[1]["name"]} is named or built like an OME-Zarr and cannot be read: {reason}'
        raise RestException(msg, code=415)


def _find_file(item_id: str, file_id: str | None) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the item and the file that the route would use, or None where it will refuse by itself."""
    item = Item().load(item_id, user=getCurrentUser(), level=AccessType.WRITE)
    if item is None or item.get('largeImage'):
        return None
    files = list(Item().childFiles(item, limit=2))
    file = File().load(file_id, force=True) if file_id else files[0] if len(files) == 1 else None
    if file is None or file.get('itemId') != item['_id'] or not _is_somewhere(file):
        return None
    return item, file


def _is_somewhere(file: dict[str, Any]) -> bool:
    return bool(file.get('assetstoreId') or file.get('linkUrl'))


def claims_zarr(file: dict[str, Any]) -> bool:
    """Return whether a file is named like a zarr or its metadata, or is a zip that holds such metadata."""
    if file['name'].lower().endswith(ZARR_ONLY_SUFFIXES) or file['name'] in ROOT_KEYS:
        return True
    if not file.get('assetstoreId'):
        return False
    try:
        keys = open_store(open_bytes(file)).keys()
        return any(key.rpartition('/')[2] in ROOT_KEYS for key in keys)
    except GirderZarrError:
        return False


def why_unreadable(item: dict[str, Any], file: dict[str, Any]) -> str | None:
    """Return why our source cannot read a file, or None if it or another one can."""
    trial = {**item, 'largeImage': {'fileId': file['_id']}}
    try:
        ZarrGirderTileSource(trial, noCache=True)
    except TileSourceError as error:
        if girder_tilesource.getGirderTileSourceName(trial, file, noCache=True):
            return None
        return str(error)
    return None
