"""The bytes of patches and results as Girder files, in whichever assetstore."""

from __future__ import annotations

import datetime as dt
import io
import shutil
from concurrent.futures import wait
from typing import IO, TYPE_CHECKING, Any

from girder.exceptions import GirderException
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.upload import Upload

from girder_zarr.errors import NotFoundError
from girder_zarr.server.common.names import ATTACHED_TO, Document
from girder_zarr.server.sessions import quota
from girder_zarr.server.storage import durable_files, stream_hash, target
from girder_zarr.server.storage.transfer import send_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from .incoming import NewPatch


_MIME_TYPES = {
    'png': 'image/png',
    'jpeg': 'image/jpeg',
    'tiff': 'image/tiff',
    'webp': 'image/webp',
    'jxl': 'image/jxl',
    'jp2': 'image/jp2',
    'bmp': 'image/bmp',
    'npy': 'application/octet-stream',
    'raw': 'application/octet-stream',
}


def store_file(
    session: Document,
    new: NewPatch,
    user: Document,
    folder: Document | None = None,
    pending: list[Future[None]] | None = None,
    hashed: Future[str] | None = None,
) -> Document:
    """Store the bytes of a patch as a Girder file attached to the session; on any error nothing remains.

    When it returns, they survive a crash of the server or its machine.

    :param pending: gets what has to be waited for until then, where the caller has work to do meanwhile.
    :param hashed: the sha512 of the stream, see :func:`hash_ahead`.
    """
    name, mime_type = f'patch.{new.info.format}', _MIME_TYPES[new.info.format]
    if hashed is not None:
        wait((hashed,))
    return _store(session, (name, mime_type, new.size), new.stream, user, folder, pending, hashed)


def hash_ahead(new: NewPatch, folder: Document | None) -> Future[str] | None:
    """Begin to hash the bytes of a patch for :func:`store_file`, which nobody else may read then.

    :param folder: of the session, where the caller has it.
    :returns: None where the hash is not needed, or is made while the bytes are written.
    """
    try:
        assetstore = folder and target.assetstore_of(folder)
    except GirderException:  # there is none, as `store_file` says where it comes to that
        return None
    if not assetstore or durable_files.adapter_of(assetstore) is None:
        return None
    return stream_hash.hash_ahead(new.stream, new.size)


def store_pack(session: Document, patches: Sequence[NewPatch], user: Document) -> tuple[Document, list[int]]:
    """Store the bytes of patches one after the other in one Girder file attached to the session.

    Patches that are pages of one file have one stream, which is stored once.

    :returns: the file, and where in it each patch begins. All bytes are in memory at once, unless it is one
        stream: keep it small.
    """
    places: dict[int, int] = {}
    if len({id(new.stream) for new in patches}) == 1:
        return store_file(session, patches[0], user), [0] * len(patches)
    pack = io.BytesIO()
    for new in patches:
        if id(new.stream) not in places:
            places[id(new.stream)] = pack.tell()
            new.stream.seek(0)
            shutil.copyfileobj(new.stream, pack, 2**20)
    offsets = [places[id(new.stream)] for new in patches]
    return _store(session, ('patches.bin', _MIME_TYPES['raw'], pack.tell()), pack, user), offsets


def _store(
    session: Document,
    described: tuple[str, str, int],
    stream: IO[bytes],
    user: Document,
    folder: Document | None = None,
    pending: list[Future[None]] | None = None,
    hashed: Future[str] | None = None,
) -> Document:
    """Store a file in the way that its assetstore takes the least time for.

    :param described: name, type and size.
    """
    name, mime_type, size = described
    folder = folder or Folder().load(session['folderId'], force=True)
    if folder is None:
        msg = 'The folder of the session is gone.'
        raise NotFoundError(msg)
    assetstore = target.assetstore_of(folder)
    adapter = durable_files.adapter_of(assetstore)
    if adapter is None:
        return _upload(session, folder, assetstore, user, described, stream)
    quota.check_size(folder, user, size)
    file = File().createFile(user, None, name, size, assetstore, mimeType=mime_type, saveFile=False)
    file.update(attachedToType=list(ATTACHED_TO), attachedToId=session['_id'])
    file, kept = durable_files.store(adapter, file, stream, session['_id'], hashed)
    if pending is None:
        try:
            kept.result()
        except BaseException:
            durable_files.remove_file(file)
            raise
    else:
        pending.append(kept)
    quota.count(file, folder['_id'])
    return file


def _upload(
    session: Document,
    folder: Document,
    assetstore: Document,
    user: Document,
    described: tuple[str, str, int],
    stream: IO[bytes],
) -> Document:
    """Store a file in the way that every assetstore knows.

    The upload is made into the folder, which is what quotas look at; `attach_upload` ties it to the session.

    :param described: name, type and size.
    """
    name, mime_type, size = described
    with quota.as_limit():
        upload = Upload().createUpload(
            user,
            name,
            'folder',
            folder,
            size,
            mimeType=mime_type,
            assetstore=assetstore,
            attachParent=True,
            save=False,
        )
        try:
            upload['stitchSessionId'] = session['_id']
            upload = Upload().save(upload)
            return send_file(upload, stream)
        except BaseException:
            Upload().cancelUpload(upload)
            raise


def attach_upload(event: Any) -> None:
    """Tie an upload of :func:`_upload` to its session before the file is saved (an event handler)."""
    session_id = event.info['upload'].get('stitchSessionId')
    if session_id is not None:
        event.info['file'].update(attachedToType=list(ATTACHED_TO), attachedToId=session_id)


def remove_uploads(session: Document, older_than: float = 0) -> int:
    """Remove what is half uploaded for a session; return how many uploads that were.

    :param older_than: seconds without a new piece; what is younger may still be going on.
    """
    reference = {'$regex': f'"stitchSession" *: *"{session["_id"]}"'}
    limit = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=older_than)
    query: Document = {'$or': [{'stitchSessionId': session['_id']}, {'reference': reference}]}
    found = list(Upload().find({**query, 'updated': {'$lt': limit}}))
    for upload in found:
        Upload().cancelUpload(upload)
    return len(found)
