"""What the routes of patches and of reference images share: images under a key of their session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cherrypy
from girder.api.rest import getCurrentUser
from girder.constants import AccessType

from girder_zarr.server.http_input import request_body
from girder_zarr.server.patches.incoming import CREATED, NewPatch
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import check_editable
from girder_zarr.server.settings import session_limits
from girder_zarr.stitch.formats import registry as formats
from girder_zarr.stitch.patch import check_key, parse_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.server.common.names import Document
    from girder_zarr.server.patches.model import StitchPatch
    from girder_zarr.server.patches.references import StitchReference
    from girder_zarr.stitch.patch import Placement
    from girder_zarr.stitch.spec.patch_parameters import PatchOptions

    #: Checks the parameters of a request with the session at hand.
    Parse = Callable[[Document], tuple[Placement, int, PatchOptions]]


def put(
    session_id: str, key: str, model: StitchPatch | StitchReference, parse: Parse, *, replace: bool
) -> tuple[Document, str]:
    """Store the body of the request under a key; return the stored document and what was done.

    :param parse: returns placement, order and options; called before the body is read.
    :raises GirderZarrError: a parameter, the session or the body is not acceptable.
    """
    user = getCurrentUser()
    session, folder = StitchSession().require_both(session_id, user, AccessType.WRITE)
    check_key(key)
    placement, order, options = parse(session)
    announced = parse_digest(cherrypy.request.headers.get('Content-Digest', ''))
    check_editable(session)
    limits = session_limits.current()
    body = request_body.spool_body(limits.patchBytes, announced)
    with body.stream as stream:
        info = formats.inspect(stream, limits.for_formats, **options.for_formats)
        new = NewPatch(key, placement, order, body.digest, body.size, info, stream, options)
        document, status = model.put(session, new, user, replace=replace, limits=limits, folder=folder)
    if status == CREATED:
        cherrypy.response.status = 201
    return document, status


def delete(session_id: str, key: str, model: StitchPatch | StitchReference) -> Document:
    """Remove what is stored under a key; return the answer.

    :raises NotFoundError: there is nothing. :raises ConflictError: the session is finalizing or complete.
    """
    session = StitchSession().require(session_id, getCurrentUser(), AccessType.WRITE)
    model.discard(session, key)
    return {'message': f'Deleted {model.noun} {key}.'}
