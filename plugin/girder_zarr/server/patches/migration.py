"""Documents in the form of before 2026-12, brought to the form of now.

The fields of a lock were called ``held`` and ``heldAt`` then. The index of ``held`` shows that such documents
may be there: without it nothing is looked through, with it the fields are renamed, and the index goes last.
So any number of servers may do this at the same time, and one that dies meanwhile is followed by the next.
A server of before that is started once more brings its index back, and with it the next renaming.
"""

from __future__ import annotations

import contextlib
import logging

from pymongo.errors import OperationFailure

from .model import StitchPatch
from .references import StitchReference

logger = logging.getLogger(__name__)

_FIELDS = {'held': 'lockedBy', 'heldAt': 'lockedAt'}
_INDEX = [('sessionId', 1), ('held', 1)]


def rename_lock_fields() -> int:
    """Rename the fields of locks in the documents of an earlier version; return how many there were.

    Called when a server starts, before it answers requests.
    """
    patches = StitchPatch().collection
    names = [name for name, index in patches.index_information().items() if list(index['key']) == _INDEX]
    if not names:
        return 0
    renamed = 0
    for collection in (StitchReference().collection, patches):
        found = collection.update_many({'held': {'$exists': True}}, {'$rename': _FIELDS})
        renamed += found.modified_count
    for name in names:
        with contextlib.suppress(OperationFailure):  # another server was faster
            patches.drop_index(name)
    if renamed:
        logger.info('Renamed the fields of locks in %d patches and reference images', renamed)
    return renamed
