"""Girder's own uploads, and files that are in Girder already, as patches.

An upload whose ``reference`` is a JSON object with ``stitchSession`` becomes a patch of that session: no item
is made of it, its file is attached to the session. A reference of any other form is left to others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder.api import access
from girder.api.rest import getCurrentUser
from girder.constants import AccessType
from girder.exceptions import AccessException, RestException
from girder.models.file import File
from girder.models.item import Item
from girder.models.upload import Upload
from girder.models.user import User

from girder_zarr.common.bounded_json import parse_json
from girder_zarr.errors import GirderZarrError, InvalidInputError, LimitExceededError, NotFoundError
from girder_zarr.server.common.database import object_id
from girder_zarr.server.common.http_errors import rest_exception
from girder_zarr.server.patches.incoming import CREATED
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions import quota
from girder_zarr.server.sessions.access import require_folder
from girder_zarr.server.sessions.model import StitchSession, spec_of
from girder_zarr.server.sessions.states import check_editable
from girder_zarr.server.settings import session_limits
from girder_zarr.server.storage import durable_files

from . import file_pages, patch_fields
from .bulk_ingest import Outcome, refused
from .girder_files import patches_of_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.server.common.names import Document
    from girder_zarr.server.patches.incoming import NewPatch

    from .patch_fields import PatchFields

SESSION = 'stitchSession'
_MAX_REFERENCE = 2**14


def parse_reference(text: Any) -> Document | None:
    """Return what a reference says, or None if it is not meant for a session."""
    if not isinstance(text, str) or SESSION not in text or len(text) > _MAX_REFERENCE:
        return None
    try:
        found = parse_json(text, _MAX_REFERENCE)
    except ValueError:
        return None
    return found if isinstance(found, dict) and SESSION in found else None


def _open(reference: Document, user: Document | None) -> tuple[Document, PatchFields]:
    """Return the session and the fields of the patch that a reference names.

    :raises GirderZarrError: there is no such session, it takes no patches, or a field is malformed.
    """
    session = StitchSession().require(reference[SESSION], user, AccessType.WRITE)
    check_editable(session)
    fields = {name: value for name, value in reference.items() if name != SESSION}
    return session, patch_fields.read(fields, spec_of(session))


def _check_quota(session: Document, user: Document | None, size: int) -> None:
    """Ask the quota of the session's folder, which need not be the one that the upload names."""
    quota.check_size(require_folder(session['folderId'], user, AccessType.WRITE), user, size)


@access.public
def check_upload(event: Any) -> None:
    """Refuse an upload before its bytes are sent, where it can be known by then (an event handler)."""
    params = event.info['params']
    reference = parse_reference(params.get('reference'))
    if reference is None:
        return
    try:
        user = getCurrentUser()
        session, fields = _open(reference, user)
        limit = file_pages.max_bytes(fields.parameters, session_limits.current())
        size = str(params.get('size') or '')
        if size.isdecimal() and int(size) > limit:
            msg = f'The patch has {size} bytes; the limit is {limit}.'
            raise LimitExceededError(msg)
        if size.isdecimal():
            _check_quota(session, user, int(size))
    except GirderZarrError as error:
        raise rest_exception(error) from error


def take_upload(event: Any) -> None:
    """Attach an upload that has all its bytes to its session, before an item is made of it (a handler)."""
    upload = event.info
    reference = parse_reference(upload.get('reference'))
    if reference is None:
        return
    try:
        if 'fileId' in upload:
            msg = 'reference: expected a new file, found new contents of one that exists.'
            raise InvalidInputError(msg)
        user = User().load(upload['userId'], force=True)
        session, _ = _open(reference, user)
        _check_quota(session, user, upload['size'])
    except (GirderZarrError, AccessException) as error:
        Upload().cancelUpload(upload)
        raise rest_exception(error) if isinstance(error, GirderZarrError) else error from error
    upload.update(attachParent=True, stitchSessionId=session['_id'])


def make_patch(event: Any) -> None:
    """Make a patch of an upload that is stored; if it is refused, its file is removed (an event handler)."""
    file, reference = event.info['file'], parse_reference(event.info.get('reference'))
    if reference is None:
        return
    try:
        session, fields = _open(reference, User().load(file['creatorId'], force=True))
        news = patches_of_file(file, fields, session_limits.current())
        _put_all(session, fields, news, file, replace=bool(fields.replace))
        if any(new.options.page is not None for new in news):
            StitchPatch().drop_unnamed(file)  # all of them were there already
    except BaseException as error:
        StitchPatch().drop_unnamed(file)
        if isinstance(error, GirderZarrError):
            raise rest_exception(error) from error
        raise


def drop_contents(event: Any) -> None:
    """Remove the contents of a patch's upload that goes without having become a file (an event handler).

    Girder moves contents to their place before it saves the file's document, and does not know of them any
    more when it dies in between.
    """
    upload = event.info
    digest = upload.get('sha512')
    if not digest or f'"{SESSION}"' not in str(upload.get('reference')):
        return
    durable_files.drop_contents(upload, upload['_id'])


def add_files(
    session: Document,
    entries: list[Document],
    user: Document,
    *,
    replace: bool,
) -> list[Outcome]:
    """Let files be patches of a session, each accepted or refused on its own.

    The files are not copied: the user needs READ on each, and a job that finds one gone or changed ends
    with an error that names it.
    """
    outcomes = []
    for entry in entries:
        key = str(entry.get('key') or entry.get('fileId') or entry.get('itemId'))[:200]
        try:
            file = _file_of(entry, user)
            key = str(entry.get('key') or file['name'])[:200]
            stored = _add(session, {**entry, 'key': key}, file, user, replace=replace)
        except (GirderZarrError, AccessException, RestException) as error:
            outcome = refused(key, error)
            denied = isinstance(error, AccessException)
            outcomes.append(Outcome(key, 'refused', 403, str(error)) if denied else outcome)
            continue
        outcomes += stored
    return outcomes


def _add(
    session: Document, entry: Document, file: Document, user: Document, *, replace: bool
) -> list[Outcome]:
    """Let a file be a patch, or its pages patches; after an error those before it are."""
    given = {name: value for name, value in entry.items() if name not in {'fileId', 'itemId', 'file'}}
    fields = patch_fields.read(given, spec_of(session))
    news = patches_of_file(file, fields, session_limits.current())
    may_replace = replace if fields.replace is None else fields.replace
    results = _put_all(session, fields, news, file, replace=may_replace, lender=user)
    return [
        Outcome(document['key'], status, 201 if status == CREATED else 200) for document, status in results
    ]


def _put_all(
    session: Document,
    fields: PatchFields,
    news: Sequence[NewPatch],
    file: Document,
    *,
    replace: bool,
    lender: Document | None = None,
) -> list[tuple[Document, str]]:
    """Store the patches that a Girder file is; its pages in place of all that its key stood for."""
    is_whole = fields.parameters.pages is not None
    old = file_pages.others(session, fields.key, news, replace=replace) if is_whole else []
    results = []
    for new in news:
        current = StitchSession().get(session['_id'])
        results.append(StitchPatch().put_file(current, new, file, replace=replace, lender=lender))
    file_pages.remove(session, old)
    return results


def _file_of(entry: Document, user: Document) -> Document:
    """Return the file that an entry names.

    :raises InvalidInputError: it names none, or an item of more than one file.
    :raises NotFoundError: there is none. :raises AccessException: the user may not read it.
    """
    file_id, item_id = entry.get('fileId'), entry.get('itemId')
    if bool(file_id) == bool(item_id):
        msg = 'fileId: expected the id of a file, or itemId in its place.'
        raise InvalidInputError(msg)
    if file_id:
        file = File().load(object_id(file_id, 'file'), user=user, level=AccessType.READ)
        found: list[Document] = [file] if file else []
    else:
        item = Item().load(object_id(item_id, 'item'), user=user, level=AccessType.READ)
        found = list(Item().childFiles(item, limit=2)) if item else []
    if len(found) > 1:
        msg = f'itemId: expected an item of one file, found more in {item_id}; name the fileId.'
        raise InvalidInputError(msg)
    if not found:
        msg = f'There is no file {str(file_id or item_id)[:80]}.'
        raise NotFoundError(msg)
    return found[0]
