"""Sessions that expire: after so many hours without a change, or at a date.

An expired session is removed with its patches; the item that was made of it stays. A session with an
unfinished job never expires: it is removed by one update that demands that it is still as it was found.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from typing import TYPE_CHECKING

from girder.models.setting import Setting

from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import FINALIZING
from girder_zarr.server.settings.define import SettingKey

from .removal import remove_session

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

logger = logging.getLogger(__name__)

#: Seconds between two sweeps of a server.
INTERVAL_SECONDS = 600
#: A removal that a dead server left unfinished is finished after so long.
_REMOVAL_HOURS = 1

_lock = threading.Lock()
_looked = float('-inf')


def sweep(now: dt.datetime | None = None) -> int:
    """Remove the sessions that have expired; return how many."""
    now = now or dt.datetime.now(dt.UTC)
    removed = 0
    for session in _expired(now):
        query = {'state': {'$ne': FINALIZING}, 'updated': session['updated']}
        changed = StitchSession().mark_removed(session['_id'], query)
        if changed is not None:
            remove_session(changed)
            removed += 1
    for session in list(StitchSession().find({'deleting': True})):
        if session['updated'] + dt.timedelta(hours=_REMOVAL_HOURS) < now:
            remove_session(session)
    if removed:
        logger.info('Removed %d expired stitch sessions', removed)
    return removed


def sweep_if_due() -> None:
    """Sweep if the last sweep was `INTERVAL_SECONDS` ago, in a thread of its own."""
    global _looked  # noqa: PLW0603 - one time for the process
    with _lock:
        if time.monotonic() - _looked < INTERVAL_SECONDS:
            return
        _looked = time.monotonic()
    # Removals that a crashed server left unfinished are finished too.
    if _expired(dt.datetime.now(dt.UTC)) or StitchSession().findOne({'deleting': True}):
        threading.Thread(target=sweep, name='expired stitch sessions', daemon=True).start()


def _expired(now: dt.datetime) -> list[Document]:
    general = Setting().get(SettingKey.STITCH_EXPIRES_HOURS)
    # Hours of their own, a date, and the hours of the setting, each by the index.
    queries: list[Document] = [{'expires': {'$gte': 0}}, {'expires': {'$lte': now}}]
    if general is not None:
        queries.append({'expires': None, 'updated': {'$lte': now - dt.timedelta(hours=general)}})
    found = [session for query in queries for session in StitchSession().find({'deleting': False, **query})]
    return [
        session for session in found if session['state'] != FINALIZING and _has_expired(session, general, now)
    ]


def _has_expired(session: Document, general: float | None, now: dt.datetime) -> bool:
    expires = session.get('expires')
    if isinstance(expires, dt.datetime):
        return expires <= now
    hours = general if expires is None else expires
    return hours is not None and bool(session['updated'] + dt.timedelta(hours=hours) <= now)
