"""Sessions that expire: after so many hours without a change, or at a date.

An expired session is removed with its patches; the item that was made of it stays. A session with an
unfinished job never expires: it is removed by one update that demands that it is still as it was found.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from typing import Any

from girder.exceptions import ValidationException
from girder.models.setting import Setting
from girder.utility import setting_utilities

from girder_zarr.errors import InvalidInputError
from girder_zarr.server.sessions.model import FINALIZING, Document, StitchSession

logger = logging.getLogger(__name__)

#: After how many hours without a change sessions expire that do not say so themselves; None: never.
EXPIRES_KEY = 'zarr.stitch_expires_hours'
MAX_HOURS = 100_000
#: How often a server looks for expired sessions, when sessions are created or listed.
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
        changed = StitchSession().change(session['_id'], query, {'$set': {'deleting': True}})
        if changed is not None:
            StitchSession().remove(changed)
            removed += 1
    for session in list(StitchSession().find({'deleting': True})):
        if session['updated'] + dt.timedelta(hours=_REMOVAL_HOURS) < now:
            StitchSession().remove(session)
    if removed:
        logger.info('Removed %d expired stitch sessions', removed)
    return removed


def sweep_if_due() -> None:
    """Look for expired sessions if that was long ago; remove them in a thread of its own."""
    global _looked  # noqa: PLW0603 - one time for the process
    with _lock:
        if time.monotonic() - _looked < INTERVAL_SECONDS:
            return
        _looked = time.monotonic()
    # A removal that a dead server has left unfinished is somebody's to finish, too.
    if _expired(dt.datetime.now(dt.UTC)) or StitchSession().findOne({'deleting': True}):
        threading.Thread(target=sweep, name='expired stitch sessions', daemon=True).start()


def _expired(now: dt.datetime) -> list[Document]:
    general = Setting().get(EXPIRES_KEY)
    query: Document = {'deleting': False, 'state': {'$ne': FINALIZING}}
    if general is None:
        query['expires'] = {'$nin': [None]}
    return [session for session in StitchSession().find(query) if _has_expired(session, general, now)]


def _has_expired(session: Document, general: float | None, now: dt.datetime) -> bool:
    expires = session.get('expires')
    if isinstance(expires, dt.datetime):
        return expires <= now
    hours = general if expires is None else expires
    return hours is not None and bool(session['updated'] + dt.timedelta(hours=hours) <= now)


def check_hours(value: Any) -> Any:
    """Return the value of the setting.

    :raises ValidationException: it is neither null nor a number of hours.
    """
    try:
        if value is not None and isinstance(value, str):
            raise InvalidInputError(_EXPECTED)
        return parse(EXPIRES_KEY, value)
    except InvalidInputError:
        msg = (
            f'{EXPIRES_KEY}: expected null or a number of hours up to {MAX_HOURS}, found {str(value)[:60]!r}.'
        )
        raise ValidationException(msg, 'value') from None


_EXPECTED = f'hours without a change (above 0, at most {MAX_HOURS}) or a date such as 2030-01-31T12:00:00Z'


def parse(name: str, value: Any) -> float | dt.datetime | None:
    """Check ``spec.expires``: null, hours without a change, or an ISO 8601 date (UTC where it has no zone).

    :raises InvalidInputError: it is something else; the message begins with ``name``.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            found = dt.datetime.fromisoformat(value)
        except ValueError:
            found = None
        if found is not None and 2000 < found.year < 9000:
            return found.replace(tzinfo=found.tzinfo or dt.UTC).astimezone(dt.UTC)
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_HOURS:
        return float(value)
    msg = f'{name}: expected {_EXPECTED}, found {str(value)[:80]!r}.'
    raise InvalidInputError(msg)


@setting_utilities.default(EXPIRES_KEY)
def _default() -> None:
    return None


def _validate(doc: Document) -> None:
    doc['value'] = check_hours(doc['value'])


# Replacing keeps a second import of this module from chaining the validator to itself.
setting_utilities.validator(EXPIRES_KEY, replace=True)(_validate)
