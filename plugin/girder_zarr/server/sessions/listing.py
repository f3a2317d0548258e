"""Lists of sessions, at a cost that does not grow with the sessions that are not shown.

The embedded database reads, for a list in some order, all that a query finds. So a list of what has changed
last asks for the changes of a minute first, and goes further back while that is less than a page. Lists of
one state, or of names that hold a text, read state and name of all that the query finds, which a list by name
does as well; indexes for them would have to be written with each patch.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from girder.constants import AccessType, SortDir
from girder.models.item import Item

from girder_zarr.errors import InvalidInputError, NotFoundError
from girder_zarr.server.common.database import find_named, object_id
from girder_zarr.server.common.names import now

from .access import readable_folders
from .model import MAX_NAME, StitchSession, counted
from .states import COMPLETE, UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.server.common.names import Document

#: How far back the first query looks, and how many times further each of the next ones.
_FIRST = dt.timedelta(minutes=1)
_FACTOR = 8
_QUERIES = 7


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions of a query a list shows.

    :param state: only those in this state, or None.
    :param name: only those whose names hold this text, whatever its case; empty: all.
    """

    state: str | None = None
    name: str = ''

    @classmethod
    def parse(cls, state: str | None, name: str | None) -> SessionFilter:
        """Return what the parameters of a request ask for.

        :raises InvalidInputError: there is no such state, or the text is longer than a name.
        """
        states = (*UNFINISHED, COMPLETE)
        if state and state not in states:
            msg = f'state: expected one of {", ".join(states)}, found {state[:80]!r}.'
            raise InvalidInputError(msg)
        if name and len(name) > MAX_NAME:
            msg = f'name: expected up to {MAX_NAME} characters, found {len(name)}.'
            raise InvalidInputError(msg)
        return cls(state or None, (name or '').strip().casefold())

    def __bool__(self) -> bool:
        return bool(self.state or self.name)

    def takes(self, session: Document) -> bool:
        """Return whether the list shows a session."""
        return self.state in {None, session['state']} and self.name in session['name'].casefold()


def find(
    query: Document,
    since: dt.datetime | None,
    sort: Sequence[tuple[str, int]],
    limit: int,
    offset: int,
    wanted: SessionFilter | None = None,
) -> list[Document]:
    """Return a page of the sessions of a query.

    :param since: only those that have changed at that moment or later.
    :param sort: the first field decides whether the page can be found without reading all.
    :param limit: 0: all.
    :param wanted: which of them.
    """
    if wanted:
        if since is not None:
            changed = [one for one in _find(query, since, sort, 0, 0) if wanted.takes(one)]
            return changed[offset : offset + limit] if limit else changed[offset:]
        return _sorted_page(_matching(query, wanted, [name for name, _ in sort]), sort, limit, offset)
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


def _matching(query: Document, wanted: SessionFilter, more: Sequence[str] = ()) -> list[Document]:
    """Return the sessions of a query that a list shows, with few of their fields.

    :param more: names of fields besides those by which they are chosen.
    """
    fields = list({'name', 'state', *more})
    return [one for one in StitchSession().find(query, fields=fields) if wanted.takes(one)]


def _sorted_page(
    found: list[Document], sort: Sequence[tuple[str, int]], limit: int, offset: int
) -> list[Document]:
    """Return a page of sessions of which only some fields were read."""
    for name, direction in reversed(sort):
        found.sort(key=itemgetter(name), reverse=direction == SortDir.DESCENDING)
    ids = [one['_id'] for one in (found[offset : offset + limit] if limit else found[offset:])]
    whole = {one['_id']: one for one in find_named(StitchSession().find, '_id', ids)}
    return [whole[one] for one in ids if one in whole and not whole[one]['deleting']]


def count(query: Document, wanted: SessionFilter | None = None) -> int:
    """Return how many sessions a query finds; what other processes have changed shows some seconds later.

    :param wanted: which of them.
    """
    asked = repr(sorted(query.items(), key=str))
    if wanted:
        return int(counted.fetch(('matching', wanted, asked), lambda: len(_matching(query, wanted))))
    return int(counted.fetch(('count', asked), lambda: StitchSession().collection.count_documents(query)))


def of_item(item_id: Any, user: Document | None) -> Document:
    """Return the query of the sessions that have made an item, in the folders that a user may read.

    Also of those that have made another one since.

    :raises NotFoundError: there is no such item. :raises AccessException: the user may not read it.
    """
    item = Item().load(object_id(item_id, 'item'), user=user, level=AccessType.READ)
    if item is None:
        msg = f'There is no item {item_id}.'
        raise NotFoundError(msg)
    found = StitchSession().find({'made': item['_id']}, fields=['folderId', 'deleting'])
    folders = {one['_id']: one['folderId'] for one in found if not one['deleting']}
    readable = set(readable_folders(set(folders.values()), user))
    return {'_id': {'$in': [one for one, folder in folders.items() if folder in readable]}}


def own(user: Document) -> Document:
    """Return the query of the sessions that a user has created, in the folders that the user may read."""
    mine = {'creatorId': user['_id'], 'deleting': False}
    key = ('folders', user['_id'])
    folders: Any = counted.fetch(key, lambda: StitchSession().collection.distinct('folderId', mine))
    readable = list(readable_folders(folders, user))
    # Mostly all of them: no folder has to be compared then.
    return mine if len(readable) == len(folders) else {**mine, 'folderId': {'$in': readable}}
