"""Events of sessions for whoever created them, over Girder's notifications.

They are delivered at most once, and only while the creator looks at a page; so a page asks as well, and what
an event holds is a hint that something has changed. A change of state is told at once; others at most once a
second for each session and process.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any

from girder.notification import Notification

#: The type of the notification.
EVENT = 'stitch_session'
INTERVAL = 1.0
#: How many sessions it is remembered of when they were told of last.
_REMEMBERED = 1000

_SHOWN = ('_id', 'folderId', 'name', 'state', 'counts', 'progress', 'revision', 'itemId', 'jobId')
_lock = threading.Lock()
_told: OrderedDict[Any, tuple[str, float]] = OrderedDict()


def announce(session: dict[str, Any]) -> bool:
    """Tell the creator of a session that it has changed; return whether that was due.

    :param session: as it is after the change.
    """
    if not _is_due(session):
        return False
    data = {name: session[name] for name in _SHOWN}
    data['deleted'] = session['deleting']
    Notification(EVENT, data, {'_id': session['creatorId']}).flush()
    return True


def _is_due(session: dict[str, Any]) -> bool:
    now = time.monotonic()
    state = 'deleted' if session['deleting'] else session['state']
    with _lock:
        known, when = _told.get(session['_id'], ('', 0.0))
        if known == state and now - when < INTERVAL:
            return False
        _told[session['_id']] = state, now
        _told.move_to_end(session['_id'])
        while len(_told) > _REMEMBERED:
            _told.popitem(last=False)
    return True
