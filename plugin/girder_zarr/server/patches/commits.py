"""The step of a change by which a session takes or gives up what is stored under its keys."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from girder_zarr.common.cache import LRU
from girder_zarr.errors import ConflictError
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import OPEN, check_editable
from girder_zarr.server.settings.session_limits import current as limits_now

from .locking import LockedModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bson import ObjectId

    from girder_zarr.server.common.names import Document
    from girder_zarr.server.settings.session_limits import StitchLimits

    from .incoming import NewPatch

#: The revisions of sessions after the last commit of this process: a session that was read since and has
#: another one is changed by several requests at once. One that is forgotten costs a command.
_revisions: LRU[ObjectId, int] = LRU(max_items=1000)

#: How often a change of the session is tried while others change it.
MAX_TRIES = 20
#: For how many seconds a request waits at most until others of this process have changed the session.
_TURN_SECONDS = 1.0
#: One for some sessions each.
_turns = [threading.Lock() for _ in range(64)]


class CommittingModel(LockedModel):
    """Documents under keys of sessions, whose counts and extents follow them."""

    #: Whether the session counts its documents as patches; their bytes always count.
    is_counted = False

    def check(self, session: Document, new: NewPatch, limits: StitchLimits) -> None:
        """Check something new against its session, before anything is stored.

        :raises GirderZarrError: the session does not take it.
        """
        raise NotImplementedError

    def session_change(
        self, session: Document, news: Sequence[NewPatch], gone: Sequence[Document]
    ) -> Document:
        """Return what else a commit changes of the session.

        :param news: what is put; empty for a removal.
        :param gone: the documents of what is removed or replaced.
        """
        del session, news, gone
        return {}

    def commit(
        self,
        session: Document,
        news: Sequence[NewPatch],
        count: int,
        nbytes: int,
        limits: StitchLimits | None = None,
        gone: Sequence[Document] = (),
    ) -> Document:
        """Add what is put to the counts and the extent of its session, or take off what is removed.

        :param news: what is put, all of one dtype, bands and axes; empty for a removal.
        :param count: how many more documents there will be.
        :param nbytes: how many more bytes they will have.
        :param gone: the documents of single things that are removed or replaced, which may be put back.
        :returns: the session; its revision is the arrival of the last of them.
        :raises ConflictError: the session does not take them.
        :raises LimitExceededError: it has no room for them.
        """
        limits = limits or limits_now()
        patches = count if self.is_counted else 0
        inc = {'counts.patches': patches, 'counts.bytes': nbytes, 'revision': max(1, len(news))}
        with _turn(session['_id']):
            # Another revision than of this process's last commit: somebody has changed the session meanwhile.
            is_known = _revisions.get(session['_id'], session['revision']) == session['revision']
            for _ in range(MAX_TRIES):
                if not is_known:
                    session = StitchSession().get(session['_id'])
                    for new in news:
                        self.check(session, new, limits)
                check_editable(session)
                limits.check_session(session['counts'], patches, nbytes)
                changes = self.session_change(session, news, gone)
                reopened = {'state': OPEN, 'error': None, **changes.get('$set', {})}
                update = {**changes, '$inc': inc, '$set': reopened}
                changed = StitchSession().change_as_read(session, update)
                if changed is not None:
                    _revisions.put(session['_id'], changed['revision'])
                    return changed
                is_known = False
        msg = f'The session goes on changing while a {self.noun} is stored or removed; try again.'
        raise ConflictError(msg)


@contextlib.contextmanager
def _turn(session_id: ObjectId) -> Iterator[None]:
    """Let the requests of this process change a session one after the other, which none then tries in vain.

    Who waits for long, as where the database does not answer, goes on: the change itself holds in any order.
    """
    lock = _turns[hash(session_id) % len(_turns)]
    is_mine = lock.acquire(timeout=_TURN_SECONDS)
    try:
        yield
    finally:
        if is_mine:
            lock.release()
