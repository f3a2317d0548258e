"""Sessions removed with everything that belongs to them: patches, files, parts of results, their job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder_zarr.errors import ConflictError
from girder_zarr.server.jobs import girder_job
from girder_zarr.server.leases.part_lease import StitchPart
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions.model import StitchSession, counted
from girder_zarr.server.sessions.states import FINALIZING

if TYPE_CHECKING:
    from bson import ObjectId

    from girder_zarr.server.common.names import Document


def remove_session(session: Document) -> None:
    """Remove a session with its patches and their files, whatever its state.

    It is marked first: no request finds it from then on, and one that is storing a patch fails. What a server
    that dies meanwhile leaves is removed by `expired.sweep`, which looks for the mark.
    """
    StitchSession().mark_removed(session['_id'], {})
    StitchPatch().remove_all(session)
    StitchPart().discard(session['_id'])
    girder_job.close(session['jobId'])
    StitchSession().remove(session)
    counted.forget()


def delete_session(session_id: Any) -> None:
    """Remove a session that is not finalizing.

    :raises NotFoundError: there is none.
    :raises ConflictError: it is finalizing.
    """
    session = StitchSession().get(session_id)
    query = {'state': {'$ne': FINALIZING}}
    if StitchSession().mark_removed(session['_id'], query) is None:
        session = StitchSession().get(session_id)
        msg = f'A session that is {session["state"]} cannot be deleted; cancel it first.'
        raise ConflictError(msg)
    remove_session(session)


def remove_in_folder(folder_id: ObjectId) -> None:
    """Remove all sessions of a folder; one that is finalizing stops at its next block."""
    for session in list(StitchSession().find({'folderId': folder_id})):
        remove_session(session)
