"""Share links: keys that give their bearer the maker's right to read one target.

A key is 160 bits of chance and is shown once; what is stored is its SHA-256. It needs no salt: no attacker
guesses a key of that length, whatever tables there are.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import secrets
from typing import TYPE_CHECKING, Any

from girder import events
from girder.constants import AccessType, SortDir
from girder.models.folder import Folder
from girder.models.item import Item
from girder.models.model_base import Model
from girder.models.user import User

from girder_zarr.errors import InvalidInputError, NotFoundError, TooManyError
from girder_zarr.server.common.database import object_id
from girder_zarr.server.common.names import Document, now
from girder_zarr.server.sessions.access import is_disabled
from girder_zarr.server.sessions.model import StitchSession

if TYPE_CHECKING:
    from bson import ObjectId

#: What a link may name: the field of its document, by the kind of the target.
KINDS = {'item': 'itemId', 'folder': 'folderId', 'session': 'sessionId'}
#: Lower case letters and digits, so that a key is the name of a bucket for S3's clients as well.
KEY = re.compile(r'[a-z2-7]{32}')
MAX_LABEL = 200
#: The most links of one user that can be used.
MAX_LINKS = 1000
HANDLER = 'girder_zarr_links'
_NOT_THERE = 'There is no such share link.'


class ZarrLink(Model):
    """Share links. The maker of one, and administrators of its target, see and revoke it."""

    def initialize(self) -> None:
        """Name the collection and its indexes."""
        self.name = 'zarr_link'
        self.ensureIndices([('digest', {'unique': True}), 'makerId', *KINDS.values()])

    def validate(self, doc: Document) -> Document:
        """Accept the document; everything in it was checked where it came in."""
        return doc

    def create(
        self, maker: Document, kind: str, target: Document, label: str, expires: dt.datetime | None
    ) -> tuple[Document, str]:
        """Make a link; return it with its key, which is not stored.

        :param target: the document of an item, folder or session, which the maker may read.
        :raises TooManyError: the maker has as many links as one may have.
        """
        key = base64.b32encode(secrets.token_bytes(20)).decode().lower()
        link = self.save(
            {
                'digest': digest_of(key),
                'hint': key[:4],
                'makerId': maker['_id'],
                **{field: target['_id'] if name == kind else None for name, field in KINDS.items()},
                'label': label,
                'created': now(),
                'expires': expires,
                'uses': 0,
                'lastUsed': None,
            }
        )
        # Counted afterwards: of two that are made at once neither passes over the limit.
        # For `$or` the embedded database would read the links of everybody.
        own = self.find({'makerId': maker['_id']}, fields=['expires'])
        count = sum(not _has_expired(one) for one in own)
        if count > MAX_LINKS:
            self.remove(link)
            msg = f'You would have {count} share links; the limit is {MAX_LINKS}: revoke some.'
            raise TooManyError(msg)
        return link, key

    def of_key(self, key: str) -> Document | None:
        """Return the link of a key if it is valid now; permissions are not checked."""
        if not KEY.fullmatch(key):
            return None
        found: Document | None = self.findOne({'digest': digest_of(key)})
        return None if found is None or _has_expired(found) else found

    def list_for(
        self, user: Document, kind: str | None, target: Document | None, limit: int, offset: int
    ) -> list[Document]:
        """Return links, newest first: those of a user, or all of a target for its administrators."""
        query: Document = {}
        if kind is not None and target is not None:
            query[KINDS[kind]] = target['_id']
        if kind is None or not may_read(kind, target, user, AccessType.ADMIN):
            query['makerId'] = user['_id']
        return list(self.find(query, limit=limit, offset=offset, sort=[('_id', SortDir.DESCENDING)]))

    def require(self, link_id: Any, user: Document) -> Document:
        """Return a link that a user may see and revoke.

        :raises NotFoundError: there is none, or it is none of the user's business.
        """
        link: Document | None = self.findOne({'_id': object_id(link_id, 'share link')})
        if link is not None and link['makerId'] != user['_id'] and not user.get('admin'):
            kind, target = target_of(link)
            if not may_read(kind, target, user, AccessType.ADMIN):
                link = None
        if link is None:
            raise NotFoundError(_NOT_THERE)
        return link


def _has_expired(link: Document) -> bool:
    return link['expires'] is not None and link['expires'] <= now()


def digest_of(key: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def target_of(link: Document) -> tuple[str, Document | None]:
    """Return what a link names: its kind and its document, or None where it has gone."""
    kind = next(name for name, field in KINDS.items() if link[field] is not None)
    return kind, load_target(kind, link[KINDS[kind]])


def load_target(kind: str, target_id: ObjectId) -> Document | None:
    """Return an item, folder or session, or None; permissions are not checked."""
    if kind == 'session':
        return StitchSession().find_there(target_id)
    return (Item() if kind == 'item' else Folder()).load(target_id, force=True)  # type: ignore[no-any-return]


def may_read(kind: str, target: Document | None, user: Document | None, level: int = AccessType.READ) -> bool:
    """Return whether a user (None: the public) has access of a level to a target."""
    if target is None or (user is not None and is_disabled(user)):
        return False
    if kind == 'item':
        return bool(Item().hasAccess(target, user, level))
    folder = target if kind == 'folder' else Folder().load(target['folderId'], force=True)
    return folder is not None and bool(Folder().hasAccess(folder, user, level))


def maker_of(link: Document) -> Document | None:
    """Return the user who made a link, or None if the account was removed."""
    return User().load(link['makerId'], force=True)  # type: ignore[no-any-return]


def check_label(label: Any) -> str:
    """Return the label of a link.

    :raises InvalidInputError: it is none.
    """
    if label is None:
        return ''
    if not isinstance(label, str) or len(label) > MAX_LABEL or (label and not label.isprintable()):
        msg = f'label: expected at most {MAX_LABEL} printable characters, found {str(label)[:80]!r}.'
        raise InvalidInputError(msg)
    return label.strip()


def check_expires(expires: Any) -> dt.datetime | None:
    """Return when a link expires.

    :param expires: None (never), hours from now, or a time of ISO 8601 with its time zone.
    :raises InvalidInputError: it is none of these, or has passed.
    """
    if expires is None:
        return None
    moment, when = now(), None
    if isinstance(expires, int | float) and not isinstance(expires, bool) and 0 < expires < 10**6:
        when = moment + dt.timedelta(hours=expires)
    elif isinstance(expires, str):
        try:
            when = dt.datetime.fromisoformat(expires)
        except ValueError:
            when = None
    if when is None or when.tzinfo is None or when <= moment:
        msg = (
            'expires: expected hours from now, or a time to come such as 2027-01-31T12:00:00+00:00, '
            f'found {str(expires)[:60]!r}.'
        )
        raise InvalidInputError(msg)
    return when


def view(link: Document) -> Document:
    """Return a link as docs/rest.md shows it."""
    shown = ('_id', 'hint', 'makerId', *KINDS.values(), 'label', 'created', 'expires', 'uses', 'lastUsed')
    return {name: link[name] for name in shown}


def bind() -> None:
    """Bind the handlers that remove links together with their target or their maker."""
    for kind, field in (*KINDS.items(), ('user', 'makerId')):
        model = 'stitch_session' if kind == 'session' else kind
        events.bind(f'model.{model}.remove', HANDLER, _remover(field))


def _remover(field: str) -> Any:
    return lambda event: ZarrLink().removeWithQuery({field: event.info['_id']})
