"""The routes of stitch sessions. docs/rest.md describes them for client authors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cherrypy
from girder.api import access
from girder.api.describe import Description, autoDescribeRoute, describeRoute
from girder.api.rest import getCurrentUser, requireAdmin
from girder.constants import AccessType, SortDir, TokenScope
from girder.exceptions import AccessException

from girder_zarr.errors import InvalidInputError
from girder_zarr.server.common.database import object_id
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.common.strict_resource import StrictResource
from girder_zarr.server.http_input import list_params, request_body
from girder_zarr.server.http_input.conditional import only_if_new
from girder_zarr.server.jobs import finalize
from girder_zarr.server.maintenance import expired as expiry
from girder_zarr.server.maintenance import orphans
from girder_zarr.server.maintenance.removal import delete_session
from girder_zarr.server.sessions import edit as editing
from girder_zarr.server.sessions import listing
from girder_zarr.server.sessions.access import require_folder
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.view import to_json

from .bulk import BulkRoutes
from .correction import CorrectionRoutes
from .patches import PatchRoutes
from .plan_route import PlanRoutes
from .preview import PreviewRoutes
from .reference_images import ReferenceRoutes

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

_SORTS = ('updated', 'created', 'name', 'state')
_NOTES = 'See docs/rest.md of girder_zarr for the fields.'


#: The sessions that are listed at a time to somebody who has not signed in.
MAX_ANONYMOUS_SESSIONS = 2000


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
        for routes in (
            PatchRoutes,
            ReferenceRoutes,
            BulkRoutes,
            PreviewRoutes,
            PlanRoutes,
            CorrectionRoutes,
        ):
            routes(self)

    @access.user(scope=TokenScope.DATA_WRITE)
    @describeRoute(
        Description('Create a stitch session.')
        .notes(f'The body is {{"folderId": ..., "name": ..., "spec": {{...}}}}. {_NOTES}')
        .param('body', 'A JSON object with folderId, name and, optionally, spec.', paramType='body')
        .errorResponse('A field is missing, unknown or malformed.')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such folder.', 404)
        .errorResponse('The body exceeds a limit.', 413)
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
        return to_json(made)

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
        return to_json(editing.edit(session, request_body.read_json()))

    @access.admin(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Remove the sessions that have expired, and what dead servers have left behind, now.')
        .notes('Servers do so by themselves from time to time.')
        .errorResponse('You are not an administrator.', 403)
    )
    def sweepSessions(self) -> Document:
        """Remove expired sessions and leftovers."""
        return {'removed': expiry.sweep(), 'leftovers': orphans.sweep_all(everything=True)}

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('List the stitch sessions of a folder, or without one your own.')
        .notes('Send If-None-Match with the ETag of the last answer: 304 says that nothing has changed.')
        .param(
            'folderId', 'The folder. Default: those that you have created, in all folders.', required=False
        )
        .param(
            'everybody',
            'Without a folder: those of all users (administrators).',
            required=False,
            dataType='boolean',
            default=False,
        )
        .param('creatorId', 'With everybody: those of this user.', required=False)
        .param('itemId', 'In place of a folder: those whose image this item is.', required=False)
        .param('state', 'Only those in this state.', required=False)
        .param('name', 'Only those whose names hold this text, in upper or lower case.', required=False)
        .param(
            'since',
            'Only what has changed at that moment or later, such as an updated of an answer.',
            required=False,
        )
        .pagingParams(defaultSort='updated', defaultSortDir=SortDir.DESCENDING)
        .errorResponse('A parameter is malformed.')
        .errorResponse('Read access was denied on the folder.', 403)
        .errorResponse('There is no such folder or item.', 404)
        .errorResponse('More were asked for than are listed without signing in.', 413)
    )
    @answers_errors
    def listSessions(
        self,
        folderId: str | None,
        everybody: bool,
        creatorId: str | None,
        itemId: str | None,
        state: str | None,
        name: str | None,
        since: str | None,
        limit: int,
        offset: int,
        sort: Any,
    ) -> Any:
        """List the sessions of a folder or a user."""
        list_params.check(limit, offset)
        if sort[0][0] not in _SORTS:
            msg = f'sort: expected one of {", ".join(_SORTS)}, found {sort[0][0][:80]!r}.'
            raise InvalidInputError(msg)
        wanted = listing.SessionFilter.parse(state, name)
        query = self._listed(folderId, itemId, creatorId, everybody=everybody)
        total = listing.count(query)
        if getCurrentUser() is None:
            # to find some by name or state all are looked at
            asked = (0, 0) if wanted else (limit, offset)
            list_params.check_for_all(*asked, total, MAX_ANONYMOUS_SESSIONS)
        if wanted:
            total = listing.count(query, wanted)
        expiry.sweep_if_due()
        moment = list_params.moment('since', since) if since else None
        order = [sort[0], ('_id', SortDir.ASCENDING)]
        found = [to_json(one) for one in listing.find(query, moment, order, limit, offset, wanted)]
        cherrypy.response.headers['Girder-Total-Count'] = str(total)
        return only_if_new(found)

    def _listed(
        self, folder_id: str | None, item_id: str | None, creator_id: str | None, *, everybody: bool
    ) -> Document:
        """Return the database query of the sessions that a list shows.

        :raises AccessException: the user may not see them.
        :raises NotFoundError: there is no such folder or item.
        :raises InvalidInputError: an id of a user is given, and not ``everybody``.
        """
        user = getCurrentUser()
        if creator_id is not None and not everybody:
            msg = 'creatorId: expected everybody beside it, found none.'
            raise InvalidInputError(msg)
        if item_id is not None:
            return listing.of_item(item_id, user)
        if folder_id is not None:
            folder = require_folder(folder_id, user, AccessType.READ)
            return {'folderId': folder['_id'], 'deleting': False}
        if user is None:
            msg = 'folderId: expected the id of a folder, because nobody is logged in; found nothing.'
            raise AccessException(msg)
        if not everybody:
            return listing.own(user)
        requireAdmin(user)
        if creator_id is not None:
            return {'creatorId': object_id(creator_id, 'user'), 'deleting': False}
        return {'deleting': False}

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Get a stitch session.')
        .notes(f'With If-None-Match it is answered with 304 where nothing has changed. {_NOTES}')
        .param('id', 'The session.', paramType='path')
        .errorResponse('Read access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
    )
    @answers_errors
    def getSession(self, id: str) -> Any:  # noqa: A002 - Girder's name for it
        """Return a session."""
        return only_if_new(to_json(StitchSession().require(id, getCurrentUser(), AccessType.READ)))

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
        .errorResponse('The disk has no room.', 507)
    )
    @answers_errors
    def finalizeSession(self, id: str, force: bool) -> Document:  # noqa: A002
        """Start the job of a session."""
        user = getCurrentUser()
        session = StitchSession().require(id, user, AccessType.WRITE)
        return to_json(finalize.finalize(session, user, force=force))

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
        return to_json(finalize.cancel(session))


def register(info: Document) -> None:
    """Add the routes to a server. Called from the plugin's ``load``."""
    info['apiRoot'].stitch_session = StitchSessionResource()
    request_body.install(info['serverRoot'], '/v1/stitch_session')
