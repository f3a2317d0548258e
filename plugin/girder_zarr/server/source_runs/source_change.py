"""What a run has found and done, one document an item: what the item was before, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder.constants import SortDir
from girder.models.model_base import Model

from girder_zarr.server.common.names import Document, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bson import ObjectId

#: A count has found it; it is being given another source; it has it; it was put back.
FOUND, CHANGING, CHANGED, UNDONE = 'found', 'changing', 'changed', 'undone'
#: No source that comes first opens it; it was left as it is, since it has changed or is gone.
FAILED, KEPT = 'failed', 'kept'
STATES = (FOUND, CHANGING, CHANGED, UNDONE, FAILED, KEPT)
MAX_REASON = 500


class SourceChange(Model):
    """The items of all runs that are kept. Items that stay as they are have no document."""

    def initialize(self) -> None:
        """Name the collection and its indexes."""
        self.name = 'source_change'
        one = [('runId', SortDir.ASCENDING), ('itemId', SortDir.ASCENDING)]
        by_state = [(name, SortDir.ASCENDING) for name in ('runId', 'state', 'itemId')]
        self.ensureIndices([(one, {'unique': True}), (by_state, {})])

    def validate(self, doc: Document) -> Document:
        """Accept the document; only we make them."""
        return doc

    def record(self, run_id: ObjectId, item: Document, state: str, **fields: Any) -> None:
        """Store what was found for an item, in the place of what was found before.

        :param fields: ``after``, ``reason``.
        """
        query = {'runId': run_id, 'itemId': item['_id']}
        large_image = item['largeImage']
        document = {
            'itemName': item['name'],
            'fileId': large_image['fileId'],
            'before': large_image['sourceName'],
            'after': fields.get('after'),
            'reason': _short(fields.get('reason')),
            'state': state,
            'updated': now(),
        }
        self.collection.update_one(query, {'$set': document}, upsert=True)

    def settle(self, entry: Document, state: str, reason: str | None = None) -> None:
        """Store what became of an item."""
        fields = {'state': state, 'reason': _short(reason), 'updated': now()}
        self.collection.update_one({'_id': entry['_id']}, {'$set': fields})

    def of_items(self, run_id: ObjectId, item_ids: Sequence[Any]) -> dict[Any, Document]:
        """Return what a run has recorded of some items, by their ids."""
        found = self.find({'runId': run_id, 'itemId': {'$in': list(item_ids)}})
        return {entry['itemId']: entry for entry in found}

    def in_state(self, run_id: ObjectId, state: str) -> list[Document]:
        """Return what is in a state, the ids alone."""
        return list(self.collection.find({'runId': run_id, 'state': state}, {'_id': 1}))

    def load_some(self, entries: Sequence[Document]) -> list[Document]:
        """Return documents whose ids are known."""
        return list(self.find({'_id': {'$in': [entry['_id'] for entry in entries]}}))

    def page(self, run_id: ObjectId, state: str | None, after: Any, limit: int) -> list[Document]:
        """Return a page in the order of the items.

        :param after: the item before the first one, or None.
        """
        query: Document = {'runId': run_id}
        if state is not None:
            query['state'] = state
        if after is not None:
            query['itemId'] = {'$gt': after}
        return list(self.find(query, sort=[('itemId', SortDir.ASCENDING)], limit=limit))

    def counts(self, run_id: ObjectId) -> dict[str, int]:
        """Return how many items are in each state, for those states that any is in."""
        found = {
            state: int(self.collection.count_documents({'runId': run_id, 'state': state})) for state in STATES
        }
        return {state: count for state, count in found.items() if count}

    def remove_run(self, run_id: ObjectId) -> None:
        """Forget what a run has recorded."""
        self.collection.delete_many({'runId': run_id})


def _short(reason: str | None) -> str | None:
    if reason is None or len(reason) <= MAX_REASON:
        return reason
    return reason[: MAX_REASON - 3] + '...'
