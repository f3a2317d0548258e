"""The routes of stitch sessions. docs/rest.md describes them for client authors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cherrypy
from girder.api import access
from girder.api.describe import Description, autoDescribeRoute, describeRoute
from girder.api.rest import getCurrentUser
from girder.constants import AccessType, SortDir, TokenScope

from girder_zarr.errors import InvalidInputError
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.jobs import finalize
from girder_zarr.server.maintenance import expired as expiry
from girder_zarr.server.maintenance import orphans
from girder_zarr.server.maintenance.removal import delete_session
from girder_zarr.server.sessions import edit as editing
from girder_zarr.server.sessions.model import StitchSession, require_folder, view

from . import list_params, request_body
from .bulk import BulkRoutes
from .patches import PatchRoutes
from .preview import PreviewRoutes
from .reference_images import ReferenceRoutes
from .strict_resource import StrictResource

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

_SORTS = ('updated', 'created', 'name', 'state')
_NOTES = 'See docs/rest.md of girder_zarr for the fields.'


class StitchSessionResource(StrictResource):
    """``/stitch_session``."""

    def __init__(self) -> None:
        super().__init__()
        self.resourceName = 'stitch_session'
        self.route('GET', (), self.listSessions)
        self.route('POST', (), self.createSession)
        self.route('GET', (':id',), self.getSession)
        self.route('PUT', (':id',), self.editSession)
        self.route('DELETE', (':id',), self.deleteSession)
        self.route('POST', ('sweep',), self.sweepSessions)
        self.route('POST', (':id', 'finalize'), self.finalizeSession)
        self.route('POST', (':id', 'cancel'), self.cancelSession)
        for routes in (PatchRoutes, ReferenceRoutes, BulkRoutes, PreviewRoutes):
            routes(self)

    @access.user(scope=TokenScope.DATA_WRITE)
    @describeRoute(
        Description('Create a stitch session.')
        .notes(f'The body is {{"folderId": ..., "name": ..., "spec": {{...}}}}. {_NOTES}')
        .param('body', 'A JSON object with folderId, name and, optionally, spec.', paramType='body')
        .errorResponse('A field is missing, unknown or malformed.')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such folder.', 404)
        .errorResponse('You have as many sessions that are not complete as one may have.', 429)
    )
    @answers_errors
    def createSession(self, params: Document) -> Document:  # noqa: ARG002 - Girder passes it
        """Create a session."""
        body = request_body.read_json()
        unknown = sorted(set(body) - {'folderId', 'name', 'spec'})
        if unknown:
            msg = f'{unknown[0][:80]}: expected one of the fields folderId, name, spec.'
            raise InvalidInputError(msg)
        folder_id = body.get('folderId')
        if not isinstance(folder_id, str):
            msg = f'folderId: expected the id of a folder, found {folder_id!r:.80}.'
            raise InvalidInputError(msg)
        user = getCurrentUser()
        folder = require_folder(folder_id, user, AccessType.WRITE)
        spec, expires = editing.split(body.get('spec'))
        made = StitchSession().create(folder, user, body.get('name'), spec, expires)
        expiry.sweep_if_due()
        return view(made)

    @access.user(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Change the name and the spec of a stitch session.')
        .notes(f'Fields that are not named stay as they are; null stands for the default. {_NOTES}')
        .param('id', 'The session.', paramType='path')
        .param('body', 'A JSON object with name or spec.', paramType='body')
        .errorResponse('A field is unknown or malformed.')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
        .errorResponse(
            'The session is finalizing, or complete without its patches, or they do not fit the spec.', 409
        )
        .errorResponse('The image would be too large.', 413)
    )
    @answers_errors
    def editSession(self, id: str) -> Document:  # noqa: A002 - Girder's name for it
        """Change a session."""
        session = StitchSession().require(id, getCurrentUser(), AccessType.WRITE)
        return view(editing.edit(session, request_body.read_json()))

    @access.admin(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Remove the sessions that have expired, and what dead servers have left behind, now.')
        .notes('Servers do so by themselves from time to time.')
        .errorResponse('You are not an administrator.', 403)
    )
    def sweepSessions(self) -> Document:
        """Remove expired sessions and leftovers."""
        return {'removed': expiry.sweep(), 'leftovers': orphans.sweep_all()}

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('List the stitch sessions of a folder.')
        .param('folderId', 'The folder.')
        .pagingParams(defaultSort='updated', defaultSortDir=SortDir.DESCENDING)
        .errorResponse('A parameter is malformed.')
        .errorResponse('Read access was denied on the folder.', 403)
        .errorResponse('There is no such folder.', 404)
    )
    @answers_errors
    def listSessions(self, folderId: str, limit: int, offset: int, sort: Any) -> list[Document]:
        """List the sessions of a folder."""
        list_params.check(limit, offset)
        if sort[0][0] not in _SORTS:
            msg = f'sort: expected one of {", ".join(_SORTS)}, found {sort[0][0][:80]!r}.'
            raise InvalidInputError(msg)
        folder = require_folder(folderId, getCurrentUser(), AccessType.READ)
        expiry.sweep_if_due()
        found = StitchSession().list_folder(folder, limit, offset, [sort[0], ('_id', SortDir.ASCENDING)])
        total = StitchSession().collection.count_documents({'folderId': folder['_id'], 'deleting': False})
        cherrypy.response.headers['Girder-Total-Count'] = str(total)
        return [view(session) for session in found]

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Get a stitch session.')
        .notes(_NOTES)
        .param('id', 'The session.', paramType='path')
        .errorResponse('Read access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
    )
    @answers_errors
    def getSession(self, id: str) -> Document:  # noqa: A002 - Girder's name for it
        """Return a session."""
        return view(StitchSession().require(id, getCurrentUser(), AccessType.READ))

    @access.user(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Remove a stitch session and its patches. A finished item stays.')
        .param('id', 'The session.', paramType='path')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
        .errorResponse('The session is finalizing.', 409)
    )
    @answers_errors
    def deleteSession(self, id: str) -> Document:  # noqa: A002
        """Remove a session."""
        session = StitchSession().require(id, getCurrentUser(), AccessType.WRITE)
        delete_session(session['_id'])
        return {'message': f'Deleted stitch session {session["name"]}.'}

    @access.user(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Make the image.')
        .notes(
            'Starts one job, however often it is asked. '
            'Poll the session until its state is complete, error or cancelled.'
        )
        .param('id', 'The session.', paramType='path')
        .param(
            'force',
            'Go on with fewer patches than expected.',
            dataType='boolean',
            required=False,
            default=False,
        )
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
        .errorResponse('There are no patches, or fewer than expected.', 409)
        .errorResponse('The image would be too large.', 413)
        .errorResponse('No job could be started.', 503)
    )
    @answers_errors
    def finalizeSession(self, id: str, force: bool) -> Document:  # noqa: A002
        """Start the job of a session."""
        user = getCurrentUser()
        session = StitchSession().require(id, user, AccessType.WRITE)
        return view(finalize.finalize(session, user, force=force))

    @access.user(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Stop the job of a session, or close an open session.')
        .param('id', 'The session.', paramType='path')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
        .errorResponse('The session is complete or in error.', 409)
    )
    @answers_errors
    def cancelSession(self, id: str) -> Document:  # noqa: A002
        """Stop the job of a session."""
        session = StitchSession().require(id, getCurrentUser(), AccessType.WRITE)
        return view(finalize.cancel(session))


def register(info: Document) -> None:
    """Add the routes to a server. Called from the plugin's ``load``."""
    info['apiRoot'].stitch_session = StitchSessionResource()
    request_body.install(info['serverRoot'], '/v1/stitch_session')
