"""The documents of all patches of a session, for a preview: a part is read while the one before is used."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from girder_zarr.server.patches.model import StitchPatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from girder_zarr.server.common.names import Document

#: How many documents are asked for at once, some 400 bytes each. Of those that follow in a second answer the
#: embedded database measures each before it sends it; and it answers nothing else while it looks for a part.
PART_PATCHES = 2000


def patch_parts(session: Document) -> Iterator[list[Document]]:
    """Yield all documents of the patches of a session, locked ones as well, in lists.

    A patch that is changed meanwhile is among them, or has arrived at a later revision than the session's.

    :param session: as it was read before.
    """
    parts = _read(_queries(session))
    with ThreadPoolExecutor(1, thread_name_prefix='girder-zarr-patches') as ahead:
        reading = ahead.submit(next, parts, None)
        while (found := reading.result()) is not None:
            reading = ahead.submit(next, parts, None)
            yield found


def _queries(session: Document) -> list[Document]:
    """Return queries that find all patches of a session. Each has an index with all of its fields.

    What has not arrived comes first and the others by their arrival: a patch that is released between two
    queries arrives later than it had before, so that it is found at its new place unless it was found locked.
    """
    own = {'sessionId': session['_id']}
    parts = -(-session['counts']['patches'] // PART_PATCHES)
    step = -(-session['revision'] // max(parts, 1))
    edges = [at * step for at in range(1, parts)]
    if not edges:
        return [own]
    between = [{'$gte': low, '$lt': high} for low, high in itertools.pairwise(edges)]
    ranges = [None, {'$lt': edges[0]}, *between, {'$gte': edges[-1]}]
    return [{**own, 'arrival': arrival} for arrival in ranges]


def _read(queries: list[Document]) -> Iterator[list[Document]]:
    """Yield what queries find, in lists that are no longer than a part: that of old versions is one range."""
    for query in queries:
        # Whole documents: leaving out fields takes the embedded database longer than sending them.
        found = iter(StitchPatch().find(query).batch_size(2 * PART_PATCHES))
        while documents := list(itertools.islice(found, PART_PATCHES)):
            yield documents
