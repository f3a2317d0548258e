"""The parameters of lists."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from girder_zarr.errors import InvalidInputError, LimitExceededError

if TYPE_CHECKING:
    from collections.abc import Sequence


def check(limit: int, offset: int) -> None:
    """Check the parameters of a list.

    :raises InvalidInputError: one is negative or larger than the database takes.
    """
    for name, value in (('limit', limit), ('offset', offset)):
        if not 0 <= value < 2**31:
            msg = f'{name}: expected an integer from 0 to {2**31 - 1}, found {value}.'
            raise InvalidInputError(msg)


def check_for_all(limit: int, offset: int, total: int, most: int) -> None:
    """Check that somebody who has not signed in asks for no longer list than that costs a second.

    :param limit: 0: all of what comes after the offset. :param total: how many there are.
    :param most: how many are listed at a time.
    :raises LimitExceededError: it would be longer; the message says what to give.
    """
    rest = max(0, total - offset)
    asked = min(limit, rest) if limit else rest
    if asked > most:
        msg = f'limit: without signing in at most {most} are listed at a time; {asked} were asked for.'
        raise LimitExceededError(msg)


def fields(text: str | None, known: Sequence[str]) -> list[str] | None:
    """Return the fields that are wanted, or None for all.

    :raises InvalidInputError: one is not known.
    """
    if text is None or not text.strip():
        return None
    names = [name.strip() for name in text.split(',')]
    for name in names:
        if name not in known:
            msg = f'fields: expected names of {", ".join(known)}, found {name[:80]!r}.'
            raise InvalidInputError(msg)
    return names


def moment(name: str, text: str) -> dt.datetime:
    """Return a moment that is written as answers have it (ISO 8601); UTC where it names no zone.

    :raises InvalidInputError: it is none.
    """
    try:
        # A plus sign that a client did not encode arrives as a space.
        found = dt.datetime.fromisoformat(text.strip().replace(' ', '+'))
    except ValueError:
        msg = f'{name}: expected a moment such as 2026-11-22T10:00:05+00:00, found {text[:80]!r}.'
        raise InvalidInputError(msg) from None
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found
