"""The routes of many patches at once. docs/rest.md describes them for client authors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cherrypy
from girder.api import access
from girder.api.describe import Description, autoDescribeRoute
from girder.constants import AccessType, TokenScope
from girder.exceptions import RestException

from girder_zarr.errors import GirderZarrError

from . import archives, limits, request_body
from .bulk import Intake
from .http_errors import answers_errors, status_of
from .new_patch import UNCHANGED, check_editable
from .patches import to_patch
from .reducer import reducer
from .sessions import Document, StitchSession

if TYPE_CHECKING:
    from collections.abc import Callable


class BulkRoutes:
    """``/stitch_session/:id/patches``, mixed into the resource of the sessions."""

    def route_bulk(self) -> None:
        """Add the routes."""
        self.route('POST', (':id', 'patches'), self.putPatches)

    @access.user(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Store many patches from one stream.')
        .notes(
            'The body is a tar (ustar or pax) or multipart. Its first member may be manifest.json or '
            'manifest.csv, which says where each patch belongs. '
            'Each patch is accepted or refused on its own; the answer lists them all.'
        )
        .param('id', 'The session.', paramType='path')
        .param(
            'replace',
            'Put them in the place of others.',
            dataType='boolean',
            required=False,
            default=False,
        )
        .param('body', 'The stream.', paramType='body', dataType='binary')
        .errorResponse('The stream or its manifest is damaged; what came before is stored.')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
        .errorResponse('The session is finalizing or complete.', 409)
        .errorResponse('The request exceeds a limit; what came before is stored.', 413)
        .errorResponse('The body is neither tar nor multipart.', 415)
    )
    @answers_errors
    def putPatches(self, id: str, replace: bool) -> Document:  # noqa: A002 - Girder's name for it
        """Store many patches."""
        user = self.getCurrentUser()
        session = StitchSession().require(id, user, AccessType.WRITE)
        check_editable(session)
        allowed = limits.current()
        intake = Intake(session, user, allowed, replace=replace, stored=_offer(session))
        body = request_body.BodyReader(allowed.requestBytes)
        try:
            intake.take(archives.members(body, cherrypy.request.headers.get('Content-Type', '')))
        except GirderZarrError as error:
            extra = {'patches': [outcome.view for outcome in intake.outcomes]}
            raise RestException(str(error), code=status_of(error), extra=extra) from error
        return {'patches': [outcome.view for outcome in intake.outcomes]}


def _offer(session: Document) -> Callable[[Document, str], None]:
    def stored(document: Document, status: str) -> None:
        if status != UNCHANGED:
            reducer.offer(session['_id'], to_patch(document))

    return stored
