"""An audit record of reads: counts by hour, reader and target, which does not grow with each chunk."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from girder.constants import SortDir
from girder.models.model_base import Model

from girder_zarr.server.common.database import CONNECTION_ERRORS

from .links import ZarrLink

if TYPE_CHECKING:
    from bson import ObjectId

    from girder_zarr.server.common.names import Document

logger = logging.getLogger(__name__)

#: Seconds between two writes to the database.
FLUSH_SECONDS = 5.0
#: Days after which counts are removed: a year, and a month in which to look at it.
RETENTION_DAYS = 400
#: Different readers and targets that cause a write before `FLUSH_SECONDS`.
MAX_WAITING = 10_000


@dataclass(frozen=True, eq=False)
class Reader:
    """A reader and the target that is read. Each grant has one; counts of equal ones meet in the database.

    :param link_id: of the share link, or None.
    :param user_id: of the signed-in user; None: anonymous, or a link.
    :param kind: 'item', 'folder' or 'session'. :param target_id: what the address or the link names.
    """

    link_id: ObjectId | None
    user_id: ObjectId | None
    kind: str
    target_id: ObjectId


class ZarrRead(Model):
    """Counts: one document an hour, reader and target."""

    def initialize(self) -> None:
        """Name the collection and its indexes."""
        self.name = 'zarr_read'
        unique = [(name, SortDir.ASCENDING) for name in ('hour', 'linkId', 'userId', 'targetId')]
        self.ensureIndices([(unique, {'unique': True}), 'linkId', 'targetId'])

    def validate(self, doc: Document) -> Document:
        """Accept the document; this module writes it."""
        return doc

    def of_link(self, link: Document, limit: int, offset: int) -> list[Document]:
        """Return the counts of a link, newest hour first."""
        found = self.find(
            {'linkId': link['_id']}, limit=limit, offset=offset, sort=[('hour', SortDir.DESCENDING)]
        )
        return [{name: one[name] for name in ('hour', 'requests', 'bytes')} for one in found]


class ReadCounts:
    """Counts of reads that are not in the database yet. Thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[tuple[int, Reader], list[int]] = defaultdict(lambda: [0, 0])
        self._cleaned: dt.datetime | None = None

    def add(self, reader: Reader, size: int) -> int:
        """Count a request. Takes no time worth a thread.

        :param size: bytes of the answer.
        :returns: how many counts wait for a flush, where this one is the first of its reader; else 0.
        """
        hour = int(time.time()) // 3600
        with self._lock:
            before = len(self._waiting)
            counted = self._waiting[hour, reader]
            counted[0] += 1
            counted[1] += size
            after = len(self._waiting)
        return after if after > before else 0

    def flush(self) -> None:
        """Write the counts. What cannot be written because the database is away is written the next time."""
        with self._lock:
            waiting, self._waiting = self._waiting, defaultdict(lambda: [0, 0])
        try:
            while waiting:
                (hour, reader), (requests, size) = next(iter(waiting.items()))
                self._write(hour, reader, requests, size)
                del waiting[hour, reader]
            self._clean()
        except CONNECTION_ERRORS as error:
            logger.warning('The database was away when reads were counted: %s', error)
            with self._lock:
                for key, counted in waiting.items():
                    self._waiting[key][0] += counted[0]
                    self._waiting[key][1] += counted[1]

    def _write(self, hour: int, reader: Reader, requests: int, size: int) -> None:
        query = {
            'hour': dt.datetime.fromtimestamp(hour * 3600, dt.UTC),
            'linkId': reader.link_id,
            'userId': reader.user_id,
            'targetId': reader.target_id,
        }
        # Not in the query: with a field more than the index the embedded database reads all of the hour.
        change = {'$inc': {'requests': requests, 'bytes': size}, '$setOnInsert': {'kind': reader.kind}}
        ZarrRead().collection.update_one(query, change, upsert=True)
        if reader.link_id is not None:
            used = {'$inc': {'uses': requests}, '$set': {'lastUsed': dt.datetime.now(dt.UTC)}}
            ZarrLink().collection.update_one({'_id': reader.link_id}, used)

    def _clean(self) -> None:
        """Remove old counts, once a day."""
        now = dt.datetime.now(dt.UTC)
        if self._cleaned is None or now - self._cleaned > dt.timedelta(days=1):
            self._cleaned = now
            ZarrRead().removeWithQuery({'hour': {'$lt': now - dt.timedelta(days=RETENTION_DAYS)}})


counts = ReadCounts()
