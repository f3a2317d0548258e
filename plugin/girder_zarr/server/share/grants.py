"""Rights to read, checked in Girder once and cached for seconds.

A reader without rights and a target that does not exist get the same answer.
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
from girder_zarr.server.preview.tracker import MAX_ANONYMOUS_PATCHES
from girder_zarr.server.sessions.access import is_disabled

from .folder_tree import FolderTree
from .links import ZarrLink, load_target, maker_of, may_read, target_of
from .open_images import ImageTree, open_item
from .reads import Reader
from .session_tree import SessionTree

if TYPE_CHECKING:
    from girder_zarr.image.serve.tree import Tree
    from girder_zarr.image.store.entries import Entry
    from girder_zarr.server.common.names import Document

#: Seconds that a grant is cached. A link that is revoked, and rights that are taken, are gone after five.
GRANT_SECONDS = 4.0
MAX_GRANTS = 2000
#: Characters. Longer texts are no tokens of Girder; the database is not queried for them.
MAX_TOKEN = 256
#: Seconds that others may hand on a chunk of a public image without asking again.
PUBLIC_SECONDS = 60


class RefusedError(Exception):
    """There is nothing that may be read: unknown, deleted, foreign, revoked or expired alike."""


class Address(NamedTuple):
    """The target that a request names, with the token of the reader.

    :param kind: 'item', 'session' or 'k'. :param name: an id or a share key.
    :param token: Girder's token; none with a share key.
    """

    kind: str
    name: str
    token: str | None


class Rights(NamedTuple):
    """The right to read a target for some seconds.

    :param target: its document.
    :param user: whose rights count, also for what lies in a folder; None: those of the public.
    :param is_public: everybody may read it, so that shared caches may store it.
    :param until: as of `time.monotonic`.
    """

    kind: str
    target: Document
    user: Document | None
    is_public: bool
    reader: Reader
    until: float


@dataclass
class Grant:
    """The right to read a tree for some seconds.

    :param is_public: everybody may read it, so that shared caches may store it.
    :param until: as of `time.monotonic`.
    """

    tree: Tree
    is_public: bool
    reader: Reader
    until: float

    def cache_control(self, key: str) -> str:
        """Return the header for a value. A private value is stored by the reader only, and validated."""
        if not self.is_public:
            return 'private, no-cache'
        return 'public, no-cache' if is_metadata(key) else f'public, max-age={PUBLIC_SECONDS}'

    def makes(self, key: str) -> bool:
        """Whether values are made of pixels below a key, which takes work."""
        tree = self.tree
        return isinstance(tree, ImageTree | FolderTree | SessionTree) and tree.makes(key)

    def entry(self, key: str) -> Entry | None:
        """Return a value; see `image.serve.tree.Tree`."""
        return self.tree.entry(key)


_grants: LRU[Address, Grant] = LRU(max_items=MAX_GRANTS)
#: The same, for the event loop: looking into the other takes a tenth of a small answer. Emptied when full.
_ready: dict[Address, Grant] = {}


def cached_grant(address: Address) -> Grant | None:
    """Return the cached grant of an address, or None without one that is valid; asks no database."""
    found = _ready.get(address)
    return found if found is not None and time.monotonic() < found.until else None


def grant_of(address: Address) -> Grant:
    """Return the grant of an address, cached or checked now.

    :raises RefusedError: there is no right to read it, or it does not exist.
    :raises UnreadableImageError: it may be read but is damaged.
    """
    found = cached_grant(address)
    if found is not None:
        return found
    forget_grant(address)
    found = _grants.fetch(address, lambda: _check_rights(address))
    if len(_ready) >= MAX_GRANTS:
        _ready.clear()
    _ready[address] = found
    return found


def forget_grant(address: Address) -> None:
    """Drop the grant of an address, so that rights are checked and the image is opened anew."""
    _ready.pop(address, None)
    _grants.pop(address)


def forget_grants() -> None:
    """Drop all grants."""
    _ready.clear()
    _grants.clear()


def _check_rights(address: Address) -> Grant:
    rights = check_rights(address)
    tree = _tree_of(rights.kind, rights.target, rights.user)
    return Grant(tree, rights.is_public, rights.reader, rights.until)


def check_rights(address: Address) -> Rights:
    """Return the rights of an address, as they are now; nothing is opened.

    :param address: of kind 'item', 'folder', 'session' or 'k'.
    :raises RefusedError: there is no right to read it, or it does not exist.
    """
    until = time.monotonic() + GRANT_SECONDS
    if address.kind == 'k':
        return _by_link(address.name, until)
    if address.kind not in ('item', 'folder', 'session') or not ObjectId.is_valid(address.name):
        raise RefusedError
    target = load_target(address.kind, ObjectId(address.name))
    is_public = may_read(address.kind, target, None)
    user = None if address.token is None else user_of_token(address.token)
    if target is None or not (is_public or may_read(address.kind, target, user)):
        raise RefusedError
    is_public = is_public and address.kind != 'session'  # one grows, so that others store nothing of it
    reader = Reader(None, user['_id'] if user else None, address.kind, target['_id'])
    return Rights(address.kind, target, user, is_public, reader, until)


def _by_link(key: str, until: float) -> Rights:
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
    return Rights(kind, target, maker, False, reader, until)


def _tree_of(kind: str, target: Document, user: Document | None) -> Tree:
    """Return the keys of a target.

    :param user: the reader, who needs rights on the items inside too.
    """
    if kind == 'folder':
        return FolderTree(target, user, open_item)
    if kind == 'session':

        def open_result(item_id: ObjectId) -> Tree | None:
            item = load_target('item', item_id)
            return open_item(item) if item is not None and may_read('item', item, user) else None

        return SessionTree(target['_id'], open_result, MAX_ANONYMOUS_PATCHES if user is None else None)
    tree = open_item(target)
    if tree is None:
        raise RefusedError
    return tree


def user_of_token(text: str) -> Document | None:
    """Return the user of a token, or None: unknown, expired, or without the scope to read data."""
    if len(text) > MAX_TOKEN:
        return None
    token = Token().load(text, force=True, objectId=False)
    if token is None or token['expires'] < dt.datetime.now(dt.UTC) or 'userId' not in token:
        return None
    if not any(Token().hasScope(token, scope) for scope in (TokenScope.USER_AUTH, TokenScope.DATA_READ)):
        return None
    user = User().load(token['userId'], force=True)
    return None if user is None or is_disabled(user) else user
