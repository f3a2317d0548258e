"""What the routes of patches and of reference images share: images under a key of their session."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from dataclasses import replace as with_changes
from typing import TYPE_CHECKING

import cherrypy
from girder.api.rest import getCurrentUser
from girder.constants import AccessType

from girder_zarr.errors import InvalidInputError
from girder_zarr.server.http_input import request_body
from girder_zarr.server.ingest import file_pages
from girder_zarr.server.patches.incoming import CREATED
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import check_editable
from girder_zarr.server.settings import session_limits
from girder_zarr.stitch.patch import check_key, parse_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from girder_zarr.server.common.names import Document
    from girder_zarr.server.common.spool import Spooled
    from girder_zarr.server.patches.references import StitchReference
    from girder_zarr.server.settings.session_limits import StitchLimits
    from girder_zarr.stitch.spec.patch_parameters import PatchParameters

    #: Checks the parameters of a request with the session at hand.
    Parse = Callable[[Document], PatchParameters]


def put(
    session_id: str,
    key: str,
    model: StitchPatch | StitchReference,
    parse: Parse,
    *,
    replace: bool,
    rank: int | None = None,
) -> tuple[Document, str]:
    """Store the body of the request under a key; return the stored document and what was done.

    :param parse: returns the checked parameters; called before the body is read.
    :param rank: that which the patch had before it was removed or replaced; None: it arrives now.
    :raises GirderZarrError: a parameter, the session or the body is not acceptable.
    """
    with received(session_id, key, parse) as request:
        (new,) = file_pages.new_patches(key, request.parameters, request.file, request.limits)
        document, status = model.put(
            request.session,
            with_changes(new, rank=rank),
            request.user,
            replace=replace,
            limits=request.limits,
            folder=request.folder,
        )
    _answer_created(status)
    return document, status


def put_pages(session_id: str, key: str, parse: Parse, *, replace: bool) -> tuple[list[Document], str]:
    """Store the body of the request as its pages; return the stored documents and what was done.

    :raises GirderZarrError: as :func:`put`.
    """
    with received(session_id, key, parse) as request:
        news = file_pages.new_patches(key, request.parameters, request.file, request.limits)
        found = file_pages.put_pages(
            request.session, key, news, request.user, request.limits, replace=replace
        )
    status = file_pages.together(status for _, status in found)
    _answer_created(status)
    return [document for document, _ in found], status


def put_held(session_id: str, key: str, same_as: str, parse: Parse, *, replace: bool) -> tuple[Document, str]:
    """Store another page of a file that the session has; return the stored document and what was done.

    :param same_as: the key of a patch that is a page of it.
    :raises GirderZarrError: as :func:`put`.
    """
    user = getCurrentUser()
    session, _ = StitchSession().require_both(session_id, user, AccessType.WRITE)
    check_key(key)
    parameters = parse(session)
    if parameters.options.page is None:
        msg = 'sameAs: expected page beside it, found none.'
        raise InvalidInputError(msg)
    check_editable(session)
    limits = session_limits.current()
    held, file = file_pages.held_file(session, same_as, user)
    file_pages.check_announced(_announced(), file)
    with file.stream:
        (new,) = file_pages.new_patches(key, parameters, file, limits)
    document, status = StitchPatch().put_held(session, new, held, replace=replace, limits=limits)
    _answer_created(status)
    return document, status


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request that brings a file: who asks, for which session, and what arrived."""

    user: Document
    session: Document
    folder: Document
    parameters: PatchParameters
    limits: StitchLimits
    file: Spooled


@contextlib.contextmanager
def received(session_id: str, key: str, parse: Parse) -> Iterator[ReceivedRequest]:
    """Read the body of a request after everything else about it was checked; it is closed at the end."""
    user = getCurrentUser()
    session, folder = StitchSession().require_both(session_id, user, AccessType.WRITE)
    check_key(key)
    parameters = parse(session)
    announced = _announced()
    check_editable(session)
    limits = session_limits.current()
    body = request_body.spool_body(file_pages.max_bytes(parameters, limits), announced)
    with body.stream:
        yield ReceivedRequest(user, session, folder, parameters, limits, body)


def _announced() -> str | None:
    return parse_digest(cherrypy.request.headers.get('Content-Digest', ''))


def _answer_created(status: str) -> None:
    if status == CREATED:
        cherrypy.response.status = 201


def delete(session_id: str, key: str, model: StitchPatch | StitchReference) -> Document:
    """Remove what is stored under a key; return the answer.

    :raises NotFoundError: there is nothing. :raises ConflictError: the session is finalizing or complete.
    """
    session = StitchSession().require(session_id, getCurrentUser(), AccessType.WRITE)
    model.discard(session, key)
    return {'message': f'Deleted {model.noun} {key}.'}


def delete_patches(session_id: str, key: str) -> Document:
    """Remove a patch, or the pages of the file of that key; return the answer.

    :raises NotFoundError: there is neither. :raises ConflictError: the session is finalizing or complete.
    """
    session = StitchSession().require(session_id, getCurrentUser(), AccessType.WRITE)
    if StitchPatch().find_key(session, key) is not None:
        return delete(session_id, key, StitchPatch())
    pages = pages_of(session, key)
    StitchPatch().discard_pages(session, pages)
    return {'message': f'Deleted {len(pages)} patches, the pages of {key}.'}


def pages_of(session: Document, key: str) -> list[Document]:
    """Return the patches that are the pages of the file of a key.

    :raises NotFoundError: there is neither such a patch nor such a file.
    """
    return StitchPatch().list_pages(session, key) or [StitchPatch().get(session, key)]
