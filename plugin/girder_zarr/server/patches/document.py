"""The document of a patch: what it holds, what the stitching floor and clients see of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder_zarr.server.common.names import now
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.spec.patch_parameters import PatchOptions

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

#: What lists show of a patch, besides what is not the default.
SHOWN = ('key', 'digest', 'size', 'shape', 'dtype', 'format', 'position', 'order')

#: What `to_patch` needs of a document, and who follows its changes.
READ = (
    'key', 'position', 'shape', 'dtype', 'order', 'arrival', 'digest', 'options', 'fileId', 'offset', 'size',
    'shared', 'stored', 'lockedBy', 'lockedAt',
)  # fmt: skip


def make(session: Document, key: str, fields: Document, locked_by: str) -> Document:
    """Return the document of a patch or reference image that is locked and not stored yet.

    :param fields: what is known of it, its file aside.
    :param locked_by: names the request that stores it.
    """
    moment = now()
    return {
        'sessionId': session['_id'],
        'key': key,
        **fields,
        'fileId': None,
        'stored': False,
        'lockedBy': locked_by,
        'lockedAt': moment,
        'created': moment,
        'updated': moment,
    }


def source_of(document: Document) -> str:
    """Return where the bytes of a stored patch are, for `patch_files.read_source`; another patch's differ.

    It is the id of a file, with offset and size where the patch is a part of it, and ``shared`` where the
    file is not the session's own.
    """
    file_id, offset = document['fileId'], document.get('offset')
    if document.get('shared'):
        return f'{file_id}:0:{document["size"]}:shared'
    return str(file_id) if offset is None else f'{file_id}:{offset}:{document["size"]}'


def to_patch(document: Document) -> Patch:
    """Return what the stitching floor knows of a patch."""
    height, width, bands = document['shape']
    options = document.get('options')
    return Patch(
        key=document['key'],
        placement=Placement.from_dict(document['position']),
        shape=(height, width, bands),
        dtype=document['dtype'],
        order=document['order'],
        source=source_of(document),
        arrival=document.get('arrival', 0),
        digest=document['digest'],
        **(PatchOptions.from_json(options).for_patch if options else {}),
    )


def view(document: Document, status: str | None = None) -> Document:
    """Return the patch as docs/rest.md shows it."""
    options = {name: value for name, value in document.get('options', {}).items() if name != 'layout'}
    return {
        **{name: document[name] for name in SHOWN},
        **options,
        **({'status': status} if status else {}),
    }
