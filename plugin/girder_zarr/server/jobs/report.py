"""What was done to make the image of a session, as its result says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder.models.file import File

from girder_zarr.errors import ConflictError
from girder_zarr.server.sessions.states import COMPLETE
from girder_zarr.server.storage.file_bytes import open_bytes
from girder_zarr.stitch.output.stored_report import read_report
from girder_zarr.stitch.spec.outputs import TIFF

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document


def report_of(session: Document) -> dict[str, Any]:
    """Return the report of a session's result; docs/format.md describes it.

    :raises ConflictError: the session is not complete, or its result holds no report.
    :raises LimitExceededError: the report is too large to be read as a whole.
    """
    file = File().load(session['fileId'], force=True) if session['state'] == COMPLETE else None
    if file is None:
        msg = f'The session is {session["state"]}; there is a report once it is complete.'
        raise ConflictError(msg)
    found = None if session['spec']['output'] == TIFF else read_report(open_bytes(file))
    if found is None:
        msg = 'The result is a TIFF, which holds no report; other kinds of files do.'
        raise ConflictError(msg)
    return found
