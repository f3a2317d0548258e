"""Who may read what, asked of Girder once and held for seconds.

Whoever may not read, and whatever does not exist, gets one and the same answer.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bson import ObjectId
from girder.constants import TokenScope
from girder.models.token import Token
from girder.models.user import User

from girder_zarr.common.cache import LRU
from girder_zarr.image.serve.value_keys import is_metadata
from girder_zarr.image.serve.zmetadata import KEY as ZMETADATA
from girder_zarr.image.serve.zmetadata import consolidated
from girder_zarr.server.sessions.access import is_disabled

from .folder_tree import FolderTree
from .links import ZarrLink, load_target, maker_of, may_read, target_of
from .open_images import open_item
from .reads import Reader
from .session_tree import SessionTree

if TYPE_CHECKING:
    from girder_zarr.image.serve.tree import Tree
    from girder_zarr.image.store.entries import Entry
    from girder_zarr.server.common.names import Document

#: Seconds that an answer holds. A link that is revoked, and rights that are taken, are gone after five.
HOLD_SECONDS = 4.0
MAX_GRANTS = 2000
#: Longer ones are no tokens of Girder, and are not looked for.
MAX_TOKEN = 256
#: Seconds that others may hand on a chunk of a public image without asking again.
PUBLIC_SECONDS = 60


class RefusedError(Exception):
    """There is nothing that may be read: unknown, deleted, foreign, revoked or expired alike."""


class Door(NamedTuple):
    """What an address names, and who asks.

    :param kind: 'item', 'session' or 'k'. :param name: an id or a share key.
    :param token: Girder's token; none with a share key.
    """

    kind: str
    name: str
    token: str | None


@dataclass
class Grant:
    """The right to read a tree for some seconds.

    :param is_public: anybody may, so that anybody may store it.
    :param until: as of `time.monotonic`.
    """

    tree: Tree
    is_public: bool
    reader: Reader
    until: float

    def cache_control(self, key: str) -> str:
        """Return the header for a value: what is private stays with the reader, who asks each time."""
        if not self.is_public:
            return 'private, no-cache'
        return 'public, no-cache' if is_metadata(key) else f'public, max-age={PUBLIC_SECONDS}'

    def entry(self, key: str) -> Entry | None:
        """Return a value, or what is made where zarr v2 has no consolidated metadata."""
        found = self.tree.entry(key)
        return consolidated(self.tree) if found is None and key == ZMETADATA else found


_grants: LRU[Door, Grant] = LRU(max_items=MAX_GRANTS)


def held_grant(door: Door) -> Grant | None:
    """Return what may be read if that is known and holds, without asking anybody."""
    found = _grants.get(door)
    return found if found is not None and time.monotonic() < found.until else None


def grant_of(door: Door) -> Grant:
    """Return what may be read.

    :raises RefusedError: nothing. :raises UnreadableImageError: it may be read, and cannot.
    """
    found = held_grant(door)
    if found is not None:
        return found
    _grants.pop(door)
    return _grants.fetch(door, lambda: _ask(door))


def forget_grant(door: Door) -> None:
    """Ask again for what an address names, and open it anew."""
    _grants.pop(door)


def forget_grants() -> None:
    """Ask again for everything."""
    _grants.clear()


def _ask(door: Door) -> Grant:
    until = time.monotonic() + HOLD_SECONDS
    if door.kind == 'k':
        return _by_link(door.name, until)
    if door.kind not in ('item', 'session') or not ObjectId.is_valid(door.name):
        raise RefusedError
    target = load_target(door.kind, ObjectId(door.name))
    is_public = may_read(door.kind, target, None)
    user = None if door.token is None else user_of_token(door.token)
    if target is None or not (is_public or may_read(door.kind, target, user)):
        raise RefusedError
    is_public = is_public and door.kind == 'item'  # a session grows, so that others store nothing of it
    reader = Reader(None, user['_id'] if user else None, door.kind, target['_id'])
    return Grant(_tree_of(door.kind, target, user), is_public, reader, until)


def _by_link(key: str, until: float) -> Grant:
    link = ZarrLink().of_key(key)
    maker = None if link is None else maker_of(link)
    if link is None or maker is None:
        raise RefusedError
    kind, target = target_of(link)
    if target is None or not may_read(kind, target, maker):
        raise RefusedError
    if link['expires'] is not None:
        left = (link['expires'] - dt.datetime.now(dt.UTC)).total_seconds()
        until = min(until, time.monotonic() + left)
    reader = Reader(link['_id'], None, kind, target['_id'])
    return Grant(_tree_of(kind, target, maker), False, reader, until)


def _tree_of(kind: str, target: Document, user: Document | None) -> Tree:
    """Return the keys of a target.

    :param user: who may read it, and whose rights count for what lies in it.
    """
    if kind == 'folder':
        return FolderTree(target, user, open_item)
    if kind == 'session':

        def open_result(item_id: ObjectId) -> Tree | None:
            item = load_target('item', item_id)
            return open_item(item) if item is not None and may_read('item', item, user) else None

        return SessionTree(target['_id'], open_result)
    tree = open_item(target)
    if tree is None:
        raise RefusedError
    return tree


def user_of_token(text: str) -> Document | None:
    """Return whose token it is, or None: nobody's, one that has expired or that does not let data be read."""
    if len(text) > MAX_TOKEN:
        return None
    token = Token().load(text, force=True, objectId=False)
    if token is None or token['expires'] < dt.datetime.now(dt.UTC) or 'userId' not in token:
        return None
    if not any(Token().hasScope(token, scope) for scope in (TokenScope.USER_AUTH, TokenScope.DATA_READ)):
        return None
    user = User().load(token['userId'], force=True)
    return None if user is None or is_disabled(user) else user
