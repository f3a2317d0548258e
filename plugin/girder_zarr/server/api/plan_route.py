"""``POST stitch_session/plan``: what patches would make, before anything is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder.api import access
from girder.api.describe import Description, describeRoute
from girder.api.rest import getCurrentUser
from girder.constants import AccessType, TokenScope

from girder_zarr.errors import InvalidInputError
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.http_input import request_body
from girder_zarr.server.sessions.access import require_folder
from girder_zarr.stitch.arrange.plan_request import plan_of

if TYPE_CHECKING:
    from girder.api.rest import Resource

    from girder_zarr.server.common.names import Document

#: Bytes of a request: 20,000 patches of some hundred bytes, or a position file of 8 MiB.
MAX_BYTES = 16 * 2**20
#: Values of it, at all depths: some twenty for each of 20,000 patches.
MAX_VALUES = 500_000


class PlanRoutes:
    """Adds the route of plans to the resource of stitch sessions."""

    def __init__(self, resource: Resource) -> None:
        resource.route('POST', ('plan',), self.planSession)

    @access.user(scope=TokenScope.DATA_WRITE)
    @describeRoute(
        Description('Say what patches would make, without storing anything.')
        .notes(
            'The body is {"folderId", "spec", "patches"} with place and size of each patch, or {"folderId", '
            '"spec", "files", "positions" or "pattern" or "preset"}: names and sizes of files, and what says '
            'where they lie. See docs/rest.md of girder_zarr for the fields and the answer.'
        )
        .param('body', 'A JSON object.', paramType='body')
        .errorResponse('A field is missing, unknown or malformed.')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such folder.', 404)
        .errorResponse('The names of channels do not fit the channels.', 409)
        .errorResponse('The request or the image would be too large.', 413)
    )
    @answers_errors
    def planSession(self, params: Document) -> Document:  # noqa: ARG002 - Girder passes it
        """Return the map of patches."""
        body = dict(request_body.read_json(MAX_BYTES, max_values=MAX_VALUES))
        folder_id = body.pop('folderId', None)
        if not isinstance(folder_id, str):
            msg = f'folderId: expected the id of a folder, found {folder_id!r:.80}.'
            raise InvalidInputError(msg)
        require_folder(folder_id, getCurrentUser(), AccessType.WRITE)
        return plan_of(body)
