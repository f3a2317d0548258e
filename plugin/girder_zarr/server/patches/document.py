"""The document of a patch: what it holds, what the stitching floor and clients see of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder_zarr.server.common.names import now
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.spec.patch_parameters import HIDDEN, PatchOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bson import ObjectId

    from girder_zarr.server.common.names import Document

#: Between the key of a file and the number of a page of it, in the key of that page.
PAGE_MARK = '@'
#: The fields that counts and extent of a session are made of.
COUNTED = ('size', 'position', 'shape', 'fileId', 'offset', 'options.page')
#: What lists show of a patch, besides what is not the default.
SHOWN = ('key', 'digest', 'size', 'shape', 'dtype', 'format', 'position', 'order')

#: How many patches that were removed or replaced a session knows the ranks of, for those who put them back.
MAX_VACATED = 20


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


def stored_at(fields: Document, offset: int | None, lender: Document | None) -> Document:
    """Return the update of a document whose file is stored.

    :param offset: where in the file it begins that it may share with others; None: it is its own.
    :param lender: the user who has lent the file, or None.
    """
    where: Document = {} if offset is None else {'offset': offset}
    if lender is not None:
        where.update(shared=True, lenderId=lender['_id'])
    update = {'$set': {**fields, **where}}
    gone = {'moving', 'offset', 'shared', 'lenderId', 'rank'} - set(where) - set(fields)
    return {**update, '$unset': dict.fromkeys(gone, '')}


def source_of(document: Document) -> str:
    """Return where the bytes of a stored patch are, for `reader.open_picture`; another patch's differ.

    It is the id of a file, with offset and size where the patch is a part of it, and ``shared`` where the
    file is not the session's own. A page, whose bytes other patches have as well, adds its own id.
    """
    file_id, offset = document['fileId'], document.get('offset')
    if is_page(document):
        lent = 'shared' if document.get('shared') else ''
        return f'{file_id}:{offset or 0}:{document["size"]}:{lent}:{document["_id"]}'
    if document.get('shared'):
        return f'{file_id}:0:{document["size"]}:shared'
    return str(file_id) if offset is None else f'{file_id}:{offset}:{document["size"]}'


def rank_of(document: Document) -> int:
    """Return which patch of equal ``order`` this one is, by arrival.

    That is the revision of the session in which it arrived, also after it was put back in a later one.
    """
    rank: int = document['rank'] if 'rank' in document else document.get('arrival', 0)
    return rank


def vacated_after(session: Document, gone: Sequence[Document]) -> list[Document]:
    """Return the ranks that no patch has any more, the last ones of a session, each with the key that had it.

    :param gone: the documents that are being removed or replaced.
    """
    new = [{'key': document['key'], 'arrival': rank_of(document)} for document in gone]
    return [*(one for one in session.get('vacated', ()) if one not in new), *new][-MAX_VACATED:]


def is_page(document: Document) -> bool:
    """Return whether a patch is a page of a file, which other patches may be as well."""
    return 'page' in document.get('options', {})


def page_key(key: str, document: Document) -> str:
    """Return the key of a page of a file.

    :param key: of the file.
    """
    return f'{key}{PAGE_MARK}{document["options"]["page"]}'


def bytes_once(document: Document, seen: set[tuple[ObjectId, int]]) -> int:
    """Return the bytes of a patch, 0 if those of its file were counted already.

    :param seen: the files of pages that were counted, and where in them; added to.
    """
    if is_page(document):
        part = (document['fileId'], document.get('offset') or 0)
        if part in seen:
            return 0
        seen.add(part)
    return int(document['size'])


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
        arrival=rank_of(document),
        digest=document['digest'],
        **(PatchOptions.from_json(options).for_patch if options else {}),
    )


def view(document: Document, status: str | None = None) -> Document:
    """Return the patch as docs/rest.md shows it."""
    options = {name: value for name, value in document.get('options', {}).items() if name not in HIDDEN}
    return {
        **{name: document[name] for name in SHOWN},
        'arrival': rank_of(document),
        **options,
        **({'status': status} if status else {}),
    }
