"""The patches of a session: a Girder file for the bytes of each, and a document for what is known of it.

See `keyed` for how a patch changes.
"""

from __future__ import annotations

import math
import os
import string
from typing import TYPE_CHECKING, Any

from girder.constants import SortDir
from girder.models.file import File
from girder.utility.model_importer import ModelImporter

from girder_zarr.server.common.database import in_parts
from girder_zarr.server.common.names import ATTACHED_TO, Document
from girder_zarr.server.sessions.model import LAST_KEY, StitchSession
from girder_zarr.server.sessions.states import FINALIZING, check_editable
from girder_zarr.server.storage import durable_files
from girder_zarr.server.storage.transfer import remove_file

from . import hooks
from .document import PAGE_MARK, bytes_once, is_page, page_key, source_of, vacated_after
from .files import remove_uploads
from .incoming import CREATED, check_fits, check_rank, decide
from .keyed import KeyedModel
from .references import StitchReference
from .session_extent import box_of, edges, extent_of, extent_without, grown, reaches_edge

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from bson import ObjectId

    from girder_zarr.server.settings.session_limits import StitchLimits

    from .incoming import NewPatch

#: What keys are made of, in their order.
_KEY_CHARACTERS = ''.join(sorted(string.ascii_letters + string.digits + '._~,@=+-'))
#: A session of fewer pages than this is read as a whole.
_FEW_PAGES = 4
#: In how many of their last characters keys are taken to be numbered.
_LAST_PLACES = 4
#: Where fewer keys are asked for than one of so many in the session, each is looked up by itself: that costs
#: the embedded database several times as much for a key as reading documents of a session in turn.
_LOOK_UP_SHARE = 4
_BY_KEY = [('key', SortDir.ASCENDING)]


class StitchPatch(KeyedModel):
    """The patches of all sessions, at most one for each key of a session."""

    noun = 'patch'
    is_counted = True

    def initialize(self) -> None:
        """Name the collection and its indexes: one for each query, with all fields of it."""
        self.name = 'stitch_patch'
        keys = [('sessionId', SortDir.ASCENDING), ('key', SortDir.ASCENDING)]
        # Previews ask for what is changing and what has changed.
        polled: list[Any] = [([keys[0], (name, SortDir.ASCENDING)], {}) for name in ('lockedBy', 'arrival')]
        listed: list[Any] = [([keys[0], ('stored', SortDir.ASCENDING), keys[1]], {})]
        # What lies at an edge of the image, when a patch there is removed.
        x, y = (f'position.{axis}' for axis in 'xy')
        edges: list[Any] = [
            ([keys[0], (first, SortDir.ASCENDING), (second, SortDir.ASCENDING)], {})
            for first, second in ((x, y), (y, x))
        ]
        self.ensureIndices([(keys, {'unique': True}), 'fileId', *polled, *listed, *edges])

    # Reading

    def list_session(
        self, session: Document, limit: int = 0, offset: int = 0, fields: Sequence[str] | None = None
    ) -> Any:
        """Return a cursor over the stored patches of a session, ordered by key.

        :param fields: what is wanted of each; None: everything.
        """
        query = {'sessionId': session['_id'], 'stored': True}
        return self.find(query, limit=limit, offset=offset, sort=_BY_KEY, fields=fields)

    def list_page(
        self,
        session: Document,
        limit: int,
        offset: int = 0,
        after: str = '',
        fields: Sequence[str] | None = None,
    ) -> list[Document]:
        """Return some of the stored patches of a session, ordered by key.

        With a limit and without an offset few others are looked at, however many there are.

        :param after: only keys behind this one; the offset is counted from there.
        :param fields: as for :meth:`list_session`.
        """
        if limit and not offset and 'keyRange' in session:
            return self._walk(session, after, limit, fields)
        query: Document = {'sessionId': session['_id'], 'stored': True}
        if after:
            query['key'] = {'$gt': after}
        return list(self.find(query, limit=limit, offset=offset, sort=_BY_KEY, fields=fields))

    def _walk(
        self, session: Document, before: str, limit: int, fields: Sequence[str] | None
    ) -> list[Document]:
        """Return the patches behind a key, from ranges of keys that become wider until there are enough."""
        query = {'sessionId': session['_id'], 'stored': True}
        first, last = session['keyRange']['first'], session['keyRange']['last']
        if max(before, first) > last:
            return []
        low = {'$gte': first} if before < first else {'$gt': before}
        found: list[Document] = []
        for end in self._ends(session, max(before, first), limit):
            between = {**query, 'key': {**low, '$lt': end}}
            found += self.find(between, limit=limit - len(found), sort=_BY_KEY, fields=fields)
            if len(found) == limit or end > last:
                break
            low = {'$gte': end}
        return found

    def _ends(self, session: Document, begin: str, limit: int) -> list[str]:
        """Return where ranges of keys end that begin at a key and grow until all keys are in one."""
        shares = session['counts']['patches'] / limit
        if shares < _FEW_PAGES:
            return [LAST_KEY]
        common = os.path.commonprefix(list(session['keyRange'].values()))  # noqa: RUF071 - of any texts
        ends = set(key_ranges(begin, common, shares))
        # Where keys of several kinds have little in common: those that differ in the last characters alone.
        last = len(begin) - max(1, int(math.log10(limit)))
        ends.update(begin[:place] + LAST_KEY for place in range(last, max(last - _LAST_PLACES, 0), -1))
        # Where clients number their patches, those that arrived with the first one have the next keys.
        own = {'sessionId': session['_id']}
        at = self.findOne({**own, 'key': begin}, fields=['arrival'])
        if at is not None and 'arrival' in at:
            beside = {'$gte': at['arrival'] - limit, '$lte': at['arrival'] + limit}
            near = self.find({**own, 'arrival': beside}, fields=['key'])
            behind = sorted(one['key'] for one in near if one['key'] > begin)
            ends.update(behind[rank] for rank in (limit // 8, limit) if rank < len(behind))
        return sorted(ends)

    def list_named(self, session_id: ObjectId, keys: Iterable[str]) -> Iterator[Document]:
        """Yield the documents of some keys of a session, in no order; a few keys are asked for at a time."""
        for some in in_parts(keys):
            yield from self.find({'sessionId': session_id, 'key': {'$in': some}})

    def compare(self, session: Document, asked: Mapping[str, str | None]) -> Document:
        """Return which of the asked keys are missing, and which have another digest than the one given."""
        there = self._digests(session, list(asked))
        missing = [key for key in asked if key not in there]
        different = [
            key for key, digest in asked.items() if key in there and digest not in {None, there[key]}
        ]
        present = len(asked) - len(missing) - len(different)
        return {'missing': missing, 'different': different, 'present': present}

    def _digests(self, session: Document, keys: Sequence[str]) -> dict[str, str]:
        """Return the digests of what is stored by key: of some keys, or of all that lie between these."""
        own = {'sessionId': session['_id']}
        if len(keys) * _LOOK_UP_SHARE < session['counts']['patches']:
            queries = [{**own, 'key': {'$in': some}} for some in in_parts(keys)]
        else:
            # Whoever asks in several requests mostly asks for keys beside each other.
            queries = [{**own, 'key': {'$gte': min(keys), '$lte': max(keys)}}] if keys else []
        fields = {'_id': 0, 'key': 1, 'digest': 1, 'stored': 1}
        return {
            document['key']: document['digest']
            for query in queries
            for document in self.collection.find(query, fields)
            if document['stored']
        }

    def mask_keys(self, session: Document) -> list[str]:
        """Return the keys of the reference images that patches name as their masks."""
        query = {'sessionId': session['_id'], 'stored': True}
        found = self.collection.find(query, {'_id': 0, 'options.maskKey': 1})
        named = {document.get('options', {}).get('maskKey') for document in found}
        return sorted(named - {None})

    def count(self, session: Document) -> int:
        """Return how many patches are stored."""
        return int(self.collection.count_documents({'sessionId': session['_id'], 'stored': True}))

    def list_unlocked(self, session: Document) -> Iterator[Document]:
        """Wait until no request changes a patch of a finalizing session, then yield all of its patches."""
        self.wait_unlocked(session)
        yield from self.list_session(session)

    # How it changes

    def check(self, session: Document, new: NewPatch, limits: StitchLimits) -> None:
        """Check a patch against what its session takes, see `incoming.check_fits`."""
        check_fits(session, new, limits)

    def decide(
        self,
        session: Document,
        existing: Document | None,
        new: NewPatch,
        *,
        replace: bool,
        limits: StitchLimits,
    ) -> str:
        """Return what becomes of a patch, see `incoming.decide`."""
        del limits
        check_rank(session, existing, new)
        return CREATED if existing is None else decide(existing, new, replace=replace)

    def session_change(
        self, session: Document, news: Sequence[NewPatch], gone: Sequence[Document]
    ) -> Document:
        """Let the session have what patches share, an extent with them, and the ranks of those that go."""
        changes = self._grown(session, news) if news else {}
        if gone:
            changes['$set'] = {**changes.get('$set', {}), 'vacated': vacated_after(session, gone)}
        return changes

    def _grown(self, session: Document, news: Sequence[NewPatch]) -> Document:
        boxes = [new.box for new in news]
        lows, highs = edges(boxes)
        changes: Document = {
            '$set': news[0].kind,
            '$min': {f'extent.{axis}0': low for axis, low in lows.items()},
            '$max': {f'extent.{axis}1': high for axis, high in highs.items()},
        }
        if 'keyRange' in session:
            keys = [new.key for new in news]
            changes['$min']['keyRange.first'] = min(keys)
            changes['$max']['keyRange.last'] = max(keys)
            for axis in 'xy':
                changes['$max'][f'largest.{axis}'] = max(box[axis][1] - box[axis][0] for box in boxes)
        return changes

    def own_bytes(self, document: Document, besides: Collection[ObjectId] = ()) -> int:
        """Return the bytes that a session holds only because of a patch: none if another is of that file.

        :param besides: the ids of others that do not count.
        """
        size = int(document['size'])
        if not is_page(document):
            return size
        names = ('sessionId', 'offset')
        fields = dict.fromkeys((*names, 'stored'), 1)
        # of the thousands that may have this file, one of the first is as a rule the one that is looked for
        found = self.collection.find({'fileId': document['fileId']}, fields).batch_size(4)
        left_out = {document['_id'], *besides}
        same = (one for one in found if one['stored'] and one['_id'] not in left_out)
        return 0 if any(all(one.get(name) == document.get(name) for name in names) for one in same) else size

    def is_of(self, document: Document, user: Document) -> bool:
        """Return whether a user has sent the file of a patch."""
        file = File().load(document['fileId'], force=True, fields=['creatorId'])
        return file is not None and file['creatorId'] == user['_id']

    def list_pages(self, session: Document, key: str) -> list[Document]:
        """Return the patches that are the pages of a file stored under a key, ordered by page."""
        between = {'$gt': f'{key}{PAGE_MARK}', '$lt': f'{key}{chr(ord(PAGE_MARK) + 1)}'}
        found = self.find({'sessionId': session['_id'], 'key': between})
        pages = [one for one in found if one['stored'] and is_page(one) and one['key'] == page_key(key, one)]
        return sorted(pages, key=lambda one: int(one['options']['page']))

    def discard_pages(self, session: Document, documents: Sequence[Document]) -> None:
        """Remove patches that are pages of one file, by one change of the session.

        :raises NotFoundError: one is gone.
        :raises ConflictError: the session is not editable, or another request goes on changing one.
        """
        check_editable(session)
        locked: list[Document] = []
        try:
            # those that were locked before one that cannot be are in the list by then
            locked.extend(self._lock_stored(session, document['key']) for document in documents)
            ids = {one['_id'] for one in locked}
            parts = {(one['fileId'], one.get('offset')): one for one in locked}
            nbytes = sum(self.own_bytes(one, ids) for one in parts.values())
            changed = self.commit(session, [], -len(locked), -nbytes)
        except BaseException:
            for one in locked:
                self._unlock(one)
            raise
        for one in locked:
            self.collection.delete_one({'_id': one['_id']})
        for one in locked:
            self._remove_bytes(one)
        self.measure(changed)

    def dispose(self, session: Document, document: Document) -> None:
        """Remove the bytes of a patch, and set the session's extent where the patch was at its edge."""
        try:
            self._remove_bytes(document)
        finally:
            if reaches_edge(session['extent'], box_of(document['position'], document['shape'])):
                self.measure(session, document)

    def reverted(self, session: Document) -> None:
        """Set the session's extent, which a failed commit may have widened."""
        self.measure(session)

    def stored(self, session: Document, document: Document) -> None:
        """Notify those who prepare previews."""
        hooks.notify(hooks.stored, session['_id'], document)

    def _remove_bytes(self, document: Document) -> None:
        """Remove the bytes of a patch that is not stored any more, unless they are not its own.

        A file that several patches share goes with the last of them.
        """
        hooks.notify(hooks.removed, source_of(document))
        if document.get('shared') or not document['fileId']:
            return
        others = {'fileId': document['fileId']}
        if document.get('offset') is None or self.findOne(others) is None:
            remove_file(document['fileId'])

    def measure(self, session: Document, removed: Document | None = None) -> None:
        """Set the session's extent from its patches, and forget dtype, bands and axes when none is left.

        :param removed: a patch whose removal is all that has made it smaller.
        """
        while True:
            current = StitchSession().find_there(session['_id'])
            if current is None:
                return
            fields: Document = {}
            # Read before the others: one that has moved meanwhile is among those at its new place.
            moving = self._moving(session)
            extent = None if removed is None else extent_without(self._placed, current, removed)
            if extent is None:
                boxes = [*self._placed({'sessionId': session['_id']}), *moving]
                extent = extent_of(boxes)
                fields = {} if boxes else {'dtype': None, 'bands': None, 'axes': None}
            else:
                for place in moving:
                    extent = grown(extent, box_of(place['position'], place['shape']))
                if extent == current['extent']:
                    return
            fields['extent'] = extent
            query = {'revision': current['revision']}
            if StitchSession().change(session['_id'], query, {'$set': fields, '$inc': {'revision': 1}}):
                return

    def _moving(self, session: Document) -> list[Document]:
        """Return the places that patches will have which are being replaced."""
        locked = self.find({'sessionId': session['_id'], 'lockedBy': {'$gt': ''}}, fields=['moving'])
        return [document['moving'] for document in locked if 'moving' in document]

    def _placed(self, query: Document) -> Any:
        """Return a cursor over the places of patches, of those that are not stored yet as well."""
        return self.find(query, fields=['position', 'shape'])

    def recount(self, session: Document, documents: Iterable[Document]) -> None:
        """Set a finalizing session's counts and extent, which a dead server may have left wrong.

        :param documents: all of its patches.
        """
        references = StitchReference().list_session(session)
        counts = {'patches': 0, 'bytes': sum(document['size'] for document in references)}
        seen: set[tuple[ObjectId, int]] = set()

        def counted() -> Iterator[Document]:
            for document in documents:
                counts['patches'] += 1
                counts['bytes'] += bytes_once(document, seen)
                yield document

        extent = extent_of(counted())
        query = {'state': FINALIZING, 'attempt': session['attempt']}
        update = {'$set': {'counts': counts, 'extent': extent}, '$inc': {'revision': 1}}
        StitchSession().change(session['_id'], query, update)

    def remove_all(self, session: Document) -> None:
        """Remove all patches and reference images of a session, with their files and what is on its way."""
        remove_uploads(session)
        for file in list(File().find({'attachedToId': session['_id']})):
            durable_files.remove_file(file)
        self.collection.delete_many({'sessionId': session['_id']})
        StitchReference().remove_session(session)
        hooks.notify(hooks.emptied, session)
        durable_files.remove_temporary(session['_id'])


def key_ranges(begin: str, common: str, shares: float) -> Iterator[str]:
    """Yield the ends of ranges of keys that begin at a key, each further away, until all are in one.

    :param common: what all keys begin with.
    :param shares: of how many equal parts of all keys the first range should be one, if each character behind
        the common ones has some ten values.
    """
    places = min(len(begin), len(common) + math.ceil(math.log10(max(1.0, shares))))
    yield begin[:places] + LAST_KEY
    for place in range(places - 1, -1, -1):
        at, step = _KEY_CHARACTERS.index(begin[place]) + 1, 1
        while at + step < len(_KEY_CHARACTERS):
            yield begin[:place] + _KEY_CHARACTERS[at + step - 1] + LAST_KEY
            at, step = at + step, 4 * step
        yield begin[:place] + LAST_KEY


def register_models() -> None:
    """Let Girder find the models by name, in servers and in workers: files name what they are attached to."""
    ModelImporter.registerModel('stitch_session', StitchSession, plugin=ATTACHED_TO[1])
    ModelImporter.registerModel('stitch_patch', StitchPatch, plugin=ATTACHED_TO[1])
