"""``POST stitch_session/plan`` and ``inspect``: what files would be and make, before anything is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder.api import access
from girder.api.describe import Description, describeRoute
from girder.api.rest import getCurrentUser
from girder.constants import AccessType, TokenScope

from girder_zarr.errors import InvalidInputError
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.http_input import request_body
from girder_zarr.server.ingest import file_headers
from girder_zarr.server.sessions.access import require_folder
from girder_zarr.server.settings import session_limits
from girder_zarr.stitch.arrange.plan_request import plan_of

if TYPE_CHECKING:
    from girder.api.rest import Resource

    from girder_zarr.server.common.names import Document

#: Bytes of a request: 20,000 patches of some hundred bytes, or a position file of 8 MiB.
MAX_BYTES = 16 * 2**20
#: Values of it, at all depths: some twenty for each of 20,000 patches.
MAX_VALUES = 500_000
#: Bytes and values of a request for headers: mostly directories of TIFFs.
MAX_HEADER_BYTES, MAX_HEADER_VALUES = 8 * 2**20, 4 * file_headers.MAX_FILES


class PlanRoutes:
    """Adds the route of plans to the resource of stitch sessions."""

    def __init__(self, resource: Resource) -> None:
        resource.route('POST', ('plan',), self.planSession)
        resource.route('POST', ('inspect',), self.inspectFiles)

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
        body = _of_folder(request_body.read_json(MAX_BYTES, max_values=MAX_VALUES))
        return plan_of(body)

    @access.user(scope=TokenScope.DATA_WRITE)
    @describeRoute(
        Description('Say what files would be as patches: sizes, types and pages.')
        .notes(
            'The body is {"folderId", "files", "pages"}; each file is {"itemId"}, an item of one file, or '
            '{"tiff", "name"}, the directories of a TIFF in base64, of which the pages are wanted, and where '
            'its tags say that they lie. Only headers are read. A file that cannot be a patch has a message '
            'in the answer.'
        )
        .param('body', 'A JSON object.', paramType='body')
        .errorResponse('A field is missing, unknown or malformed.')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such folder.', 404)
        .errorResponse('There are too many files.', 413)
    )
    @answers_errors
    def inspectFiles(self, params: Document) -> Document:  # noqa: ARG002 - Girder passes it
        """Return what files are."""
        body = _of_folder(request_body.read_json(MAX_HEADER_BYTES, max_values=MAX_HEADER_VALUES))
        return {'files': file_headers.describe(body, getCurrentUser(), session_limits.current())}


def _of_folder(given: Document) -> Document:
    """Return a body without the folder that it names, in which the user has to have the right to write."""
    body = dict(given)
    folder_id = body.pop('folderId', None)
    if not isinstance(folder_id, str):
        msg = f'folderId: expected the id of a folder, found {folder_id!r:.80}.'
        raise InvalidInputError(msg)
    require_folder(folder_id, getCurrentUser(), AccessType.WRITE)
    return body
