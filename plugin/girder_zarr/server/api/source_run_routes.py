"""Routes that choose the sources of many items anew, ``/zarr/source_run``; administrators only."""

from __future__ import annotations

from typing import Any

from girder.api import access
from girder.api.describe import Description, autoDescribeRoute
from girder.api.rest import getCurrentUser
from girder.constants import TokenScope

from girder_zarr.errors import InvalidInputError
from girder_zarr.server.common.database import object_id
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.http_input import list_params, request_body
from girder_zarr.server.source_runs import source_jobs
from girder_zarr.server.source_runs.run_view import change_to_json, run_to_json, runs_to_json
from girder_zarr.server.source_runs.scope import scope_of
from girder_zarr.server.source_runs.source_change import STATES, SourceChange
from girder_zarr.server.source_runs.source_run import CHANGE, COUNT, SourceRun

_NOT_ADMIN = ('You are not an administrator.', 403)
_NO_RUN = ('There is no such run.', 404)
#: Runs that are listed, and items of one page.
LISTED, MAX_PAGE = 20, 1000


@access.admin(scope=TokenScope.DATA_WRITE)
@autoDescribeRoute(
    Description('Look for items that another tile source would open today, and give them that one.')
    .notes('A job does it; what it changes can be undone. Without a folder, collection or user: all items.')
    .param('kind', 'count: only say which; change: give them the other source.', enum=[COUNT, CHANGE])
    .param('folderId', 'Only items in this folder and those below it.', required=False)
    .param('collectionId', 'Only items in this collection.', required=False)
    .param('userId', 'Only items of this user.', required=False)
    .errorResponse('More than one of folder, collection and user is given.', 400)
    .errorResponse(*_NOT_ADMIN)
    .errorResponse('There is no such folder, collection or user.', 404)
    .errorResponse('Another run has not ended.', 409)
    .errorResponse('No job could be started.', 503)
)
@answers_errors
def begin_run(
    kind: str, folderId: str | None, collectionId: str | None, userId: str | None
) -> dict[str, Any]:
    """Answer ``POST /zarr/source_run``."""
    scope = scope_of({'folderId': folderId, 'collectionId': collectionId, 'userId': userId})
    return run_to_json(source_jobs.begin(getCurrentUser(), kind, scope))


@access.admin(scope=TokenScope.DATA_READ)
@autoDescribeRoute(
    Description(f'List the last {LISTED} runs over the sources of items, the newest first.').errorResponse(
        *_NOT_ADMIN
    )
)
@answers_errors
def list_runs() -> list[dict[str, Any]]:
    """Answer ``GET /zarr/source_run``."""
    return runs_to_json(SourceRun().newest(LISTED))


@access.admin(scope=TokenScope.DATA_READ)
@autoDescribeRoute(
    Description('Get a run over the sources of items.')
    .param('id', 'The run.', paramType='path')
    .errorResponse(*_NOT_ADMIN)
    .errorResponse(*_NO_RUN)
)
@answers_errors
def get_run(id: str) -> dict[str, Any]:  # noqa: A002 - Girder's name for it
    """Answer ``GET /zarr/source_run/{id}``."""
    return run_to_json(SourceRun().get(id))


@access.admin(scope=TokenScope.DATA_READ)
@autoDescribeRoute(
    Description('List what a run has found and done, in the order of the items.')
    .notes('Items that stay as they are have no entry. An undoing shows those of the run that it undoes.')
    .param('id', 'The run.', paramType='path')
    .param('state', 'Only those in this state.', required=False, enum=list(STATES))
    .param('after', 'The item before the first one: the last of the page before.', required=False)
    .param('limit', f'How many, at most {MAX_PAGE}.', required=False, dataType='integer', default=50)
    .errorResponse('A parameter is malformed.', 400)
    .errorResponse(*_NOT_ADMIN)
    .errorResponse('There is no such run, or after is no id.', 404)
)
@answers_errors
def list_items(id: str, state: str | None, after: str | None, limit: int) -> list[dict[str, Any]]:  # noqa: A002
    """Answer ``GET /zarr/source_run/{id}/item``."""
    list_params.check(limit, 0)
    if not 1 <= limit <= MAX_PAGE:
        msg = f'limit: expected 1 to {MAX_PAGE}, found {limit}.'
        raise InvalidInputError(msg)
    run = SourceRun().get(id)
    before = object_id(after, 'item') if after else None
    found = SourceChange().page(run['of'] or run['_id'], state, before, limit)
    return [change_to_json(entry) for entry in found]


@access.admin(scope=TokenScope.DATA_WRITE)
@autoDescribeRoute(
    Description('Stop a run; what it has changed stays, and can be undone.')
    .param('id', 'The run.', paramType='path')
    .errorResponse(*_NOT_ADMIN)
    .errorResponse(*_NO_RUN)
    .errorResponse('The run has ended.', 409)
)
@answers_errors
def cancel_run(id: str) -> dict[str, Any]:  # noqa: A002
    """Answer ``POST /zarr/source_run/{id}/cancel``."""
    return run_to_json(source_jobs.cancel(SourceRun().get(id)))


@access.admin(scope=TokenScope.DATA_WRITE)
@autoDescribeRoute(
    Description('Give the items that a run has changed their sources back, but for those changed since.')
    .notes('A job does it: the answer is its run.')
    .param('id', 'The run.', paramType='path')
    .errorResponse(*_NOT_ADMIN)
    .errorResponse(*_NO_RUN)
    .errorResponse('It has changed nothing, or has not ended, or another run has not ended.', 409)
    .errorResponse('No job could be started.', 503)
)
@answers_errors
def undo_run(id: str) -> dict[str, Any]:  # noqa: A002
    """Answer ``POST /zarr/source_run/{id}/undo``."""
    return run_to_json(source_jobs.undo(SourceRun().get(id), getCurrentUser()))


def register(info: dict[str, Any]) -> None:
    """Add the routes to those of tile sources, which must be there. Called from the plugin's ``load``."""
    request_body.install(info['serverRoot'], '/v1/zarr')
    add = info['apiRoot'].zarr.route
    add('POST', ('source_run',), begin_run)
    add('GET', ('source_run',), list_runs)
    add('GET', ('source_run', ':id'), get_run)
    add('GET', ('source_run', ':id', 'item'), list_items)
    add('POST', ('source_run', ':id', 'cancel'), cancel_run)
    add('POST', ('source_run', ':id', 'undo'), undo_run)
