"""Ids of documents, and how it is noticed that the database went away."""

from __future__ import annotations

from typing import Any

from bson import ObjectId
from bson.errors import InvalidId
from pymongo.errors import ConnectionFailure, CursorNotFound

from girder_zarr.errors import NotFoundError

#: What calls raise while the database is away, and after it has come back without the cursors of before.
CONNECTION_ERRORS = (ConnectionFailure, CursorNotFound)


def was_lost(error: BaseException | None) -> bool:
    """Return True if the error or any in its chain of causes is a lost connection to the database."""
    while error is not None and not isinstance(error, CONNECTION_ERRORS):
        error = error.__cause__ or error.__context__
    return error is not None


def object_id(value: Any, what: str) -> ObjectId:
    """Return an id.

    :raises NotFoundError: the text cannot be the id of anything.
    """
    try:
        return ObjectId(value)
    except (InvalidId, TypeError):
        msg = f'There is no {what} {str(value)[:80]}.'
        raise NotFoundError(msg) from None
