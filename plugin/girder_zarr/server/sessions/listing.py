"""Lists of sessions, at a cost that does not grow with the sessions that are not shown.

The embedded database reads, for a list in some order, all that a query finds. So a list of what has changed
last asks for the changes of a minute first, and goes further back while that is less than a page.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from girder.constants import SortDir

from girder_zarr.server.common.names import now

from .access import readable_folders
from .model import StitchSession, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.server.common.names import Document

#: How far back the first query looks, and how many times further each of the next ones.
_FIRST = dt.timedelta(minutes=1)
_FACTOR = 8
_QUERIES = 7


def find(
    query: Document, since: dt.datetime | None, sort: Sequence[tuple[str, int]], limit: int, offset: int
) -> list[Document]:
    """Return a page of the sessions of a query.

    :param since: only those that have changed at that moment or later.
    :param sort: the first field decides whether the page can be found without reading all.
    :param limit: 0: all.
    """
    newest = sort[0] == ('updated', SortDir.DESCENDING) and limit and since is None
    if newest and count(query) > limit + offset:
        moment, span = now(), _FIRST
        for _ in range(_QUERIES):
            found = _changed_since(query, moment - span, sort)
            if len(found) >= limit + offset:
                return found[offset : offset + limit]
            span *= _FACTOR
    return _find(query, since, sort, limit, offset)


def _changed_since(query: Document, since: dt.datetime, sort: Sequence[tuple[str, int]]) -> list[Document]:
    """Return what has changed at a moment or later.

    Of several folders those of others are dropped here: the embedded database has no use for an index of
    which one field is to be one of many and the next one lies in a range.
    """
    folders = query.get('folderId')
    if not isinstance(folders, dict):
        return _find(query, since, sort, 0, 0)
    wanted = set(folders['$in'])
    others = {name: value for name, value in query.items() if name != 'folderId'}
    return [session for session in _find(others, since, sort, 0, 0) if session['folderId'] in wanted]


def _find(
    query: Document, since: dt.datetime | None, sort: Sequence[tuple[str, int]], limit: int, offset: int
) -> list[Document]:
    changed = {**query, 'updated': {'$gte': since}} if since is not None else query
    return list(StitchSession().find(changed, limit=limit, offset=offset, sort=sort))


def count(query: Document) -> int:
    """Return how many sessions a query finds; what other processes have changed shows some seconds later."""
    key = ('count', repr(sorted(query.items(), key=str)))
    return int(counted.fetch(key, lambda: StitchSession().collection.count_documents(query)))


def own(user: Document) -> Document:
    """Return the query of the sessions that a user has created, in the folders that the user may read."""
    mine = {'creatorId': user['_id'], 'deleting': False}
    key = ('folders', user['_id'])
    folders: Any = counted.fetch(key, lambda: StitchSession().collection.distinct('folderId', mine))
    return {**mine, 'folderId': {'$in': list(readable_folders(folders, user))}}
