"""The states of a stitch session, and in which of them it takes patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder_zarr.errors import ConflictError

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

OPEN, FINALIZING, COMPLETE, ERROR, CANCELLED = 'open', 'finalizing', 'complete', 'error', 'cancelled'
#: Patches may be put and removed in these; the session is open again afterwards.
EDITABLE = (OPEN, ERROR, CANCELLED)
#: All but the last.
UNFINISHED = (*EDITABLE, FINALIZING)


def check_editable(session: Document) -> None:
    """Check that patches may be put and removed.

    :raises ConflictError: they may not.
    """
    if session['state'] not in EDITABLE:
        msg = f'The session is {session["state"]}; patches can be put or removed while it is open.'
        raise ConflictError(msg)
