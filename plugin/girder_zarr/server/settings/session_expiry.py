"""When sessions expire: the setting ``zarr.stitch_expires_hours``, and ``spec.expires`` of one session."""

from __future__ import annotations

import datetime as dt
from typing import Any

from girder.exceptions import ValidationException

from girder_zarr.errors import InvalidInputError

from .define import SettingKey, define

#: Eleven years: what is longer is never.
MAX_HOURS = 100_000


def check_hours(value: Any) -> Any:
    """Return the value of the setting.

    :raises ValidationException: it is neither null nor a number of hours.
    """
    try:
        if value is not None and isinstance(value, str):
            raise InvalidInputError(_EXPECTED)
        return parse(SettingKey.STITCH_EXPIRES_HOURS, value)
    except InvalidInputError:
        msg = (
            f'{SettingKey.STITCH_EXPIRES_HOURS}: expected null or a number of hours up to {MAX_HOURS}, '
            f'found {str(value)[:60]!r}.'
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


#: After how many hours without a change sessions expire that do not say so themselves; None: never.
define(SettingKey.STITCH_EXPIRES_HOURS, None, check_hours)
