"""How much the sessions of each user hold, for administrators.

The counts are those in the documents of the sessions; patches are not read. One pass over the sessions takes
some milliseconds a thousand, so it is repeated only as often as its cost allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder.models.user import User

from girder_zarr.server.common.costly import CostlyAnswers
from girder_zarr.server.common.database import find_named

from .model import StitchSession

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

#: Rows of the answer, those with the most bytes; the sums are those of all.
MAX_ROWS = 2000
_known = CostlyAnswers()


def usage() -> Document:
    """Return ``rows``, one a user and state, and ``total``; both with ``sessions``, ``patches``, ``bytes``.

    ``oldest`` is when the first of them was created, ``latest`` when one has changed last.
    """
    rows = sorted(_known.fetch('rows', _count), key=lambda row: -row['bytes'])
    shown = rows[:MAX_ROWS]
    users = _users([row['userId'] for row in shown])
    sums = {name: sum(row[name] for row in rows) for name in ('sessions', 'patches', 'bytes')}
    return {
        'rows': [{**row, **users.get(row['userId'], _NOBODY)} for row in shown],
        'rowCount': len(rows),
        'total': {**sums, 'oldest': min((row['oldest'] for row in rows), default=None)},
    }


_NOBODY = {'login': None, 'userName': None}


def _count() -> list[Document]:
    query: list[Document] = [
        {'$match': {'deleting': False}},
        {
            '$group': {
                '_id': {'userId': '$creatorId', 'state': '$state'},
                'sessions': {'$sum': 1},
                'patches': {'$sum': '$counts.patches'},
                'bytes': {'$sum': '$counts.bytes'},
                'oldest': {'$min': '$created'},
                'latest': {'$max': '$updated'},
            }
        },
    ]
    found = StitchSession().collection.aggregate(query)
    return [{**row['_id'], **{name: value for name, value in row.items() if name != '_id'}} for row in found]


def _users(ids: list[Any]) -> dict[Any, Document]:
    fields = ['login', 'firstName', 'lastName']
    found = find_named(User().find, '_id', ids, fields=fields)
    return {
        user['_id']: {'login': user['login'], 'userName': f'{user["firstName"]} {user["lastName"]}'}
        for user in found
    }


def forget() -> None:
    """Count anew the next time."""
    _known.forget()
