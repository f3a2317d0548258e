"""Runs and their items as clients see them; docs/rest.md describes the fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder.models.user import User

from .source_change import CHANGED, SourceChange
from .source_run import CHANGE, RUNNING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.server.common.names import Document

_RUN = (
    '_id', 'kind', 'scope', 'of', 'state', 'userId', 'jobId', 'examined', 'total', 'counts', 'error',
    'created', 'updated',
)  # fmt: skip
_CHANGE = ('itemId', 'itemName', 'fileId', 'before', 'after', 'state', 'reason', 'updated')


def runs_to_json(runs: Sequence[Document]) -> list[Document]:
    """Return runs, each with the login of who began it, and whether it can be undone."""
    users = User().find({'_id': {'$in': list({run['userId'] for run in runs})}}, fields=['login'])
    logins = {user['_id']: user['login'] for user in users}
    found = []
    for run in runs:
        shown = {name: run[name] for name in _RUN}
        # An undoing changes the counts of the run that it undoes.
        ended = run['kind'] == CHANGE and run['state'] != RUNNING
        if ended:
            shown['counts'] = SourceChange().counts(run['_id'])
        can_undo = ended and bool(shown['counts'].get(CHANGED))
        found.append({**shown, 'userLogin': logins.get(run['userId']), 'canUndo': can_undo})
    return found


def run_to_json(run: Document) -> Document:
    """Return one run."""
    return runs_to_json([run])[0]


def change_to_json(entry: Document) -> Document:
    """Return what was found for an item."""
    return {name: entry[name] for name in _CHANGE}
