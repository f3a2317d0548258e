"""How it is noticed that the database went away."""

from __future__ import annotations

from pymongo.errors import ConnectionFailure, CursorNotFound

#: What a database that goes away answers with, and one that has come back without the cursors of before.
LOST = (ConnectionFailure, CursorNotFound)


def was_lost(error: BaseException | None) -> bool:
    """Return whether an error comes of a database that went away, whatever was made of it on its way."""
    while error is not None and not isinstance(error, LOST):
        error = error.__cause__ or error.__context__
    return error is not None
