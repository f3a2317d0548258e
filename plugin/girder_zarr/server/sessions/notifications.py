"""Events of sessions for their creators, over Girder's notifications.

They are delivered at most once, and only while the creator has a page open; so a page polls as well, and an
event is only a hint that something has changed. A change of state is sent at once; others at most once a
second for each session and process.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from girder.notification import Notification

from girder_zarr.common.cache import LRU

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

#: The type of the notification.
EVENT = 'stitch_session'
#: Seconds between two events of one session in one state: as often as a page could draw them with sense.
INTERVAL_SECONDS = 1.0
#: For how many sessions the last event is remembered; a forgotten one is sent an event too many.
_MAX_SESSIONS = 1000

_SHOWN = ('_id', 'folderId', 'name', 'state', 'counts', 'progress', 'revision', 'itemId', 'jobId')
_lock = threading.Lock()
_sent: LRU[Any, tuple[str, float]] = LRU(max_items=_MAX_SESSIONS)


def announce(session: Document) -> bool:
    """Send the creator of a session an event of its change; return whether it was sent.

    :param session: as it is after the change.
    """
    if not _is_due(session):
        return False
    data = {name: session[name] for name in _SHOWN}
    data['deleted'] = session['deleting']
    Notification(EVENT, data, {'_id': session['creatorId']}).flush()
    return True


def _is_due(session: Document) -> bool:
    moment = time.monotonic()
    state = 'deleted' if session['deleting'] else session['state']
    with _lock:
        known, when = _sent.get(session['_id'], ('', 0.0))
        if known == state and moment - when < INTERVAL_SECONDS:
            return False
        _sent.put(session['_id'], (state, moment))
    return True
