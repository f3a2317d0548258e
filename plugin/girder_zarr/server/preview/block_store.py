"""Composed blocks of the coarse levels of previews, in the database, for all server processes.

Each is stored with a fingerprint of what it was composed of: the patches that touch it, their reference
images and the spec. A reader gives the fingerprint of now, so that no block that is out of date is ever shown
and none has to be invalidated. None is needed: a block that is missing is composed again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bson import Binary
from girder.constants import SortDir
from girder.models.model_base import Model

from girder_zarr.errors import UnreadableImageError
from girder_zarr.server.common.database import find_named
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.stitch.preview.patch_overview import decode_block, encode_pixels

if TYPE_CHECKING:
    from bson import ObjectId

    from girder_zarr.server.common.names import Document
    from girder_zarr.stitch.preview.index import BlockKey

logger = logging.getLogger(__name__)

#: Blocks with more bytes than this are not stored: MongoDB takes documents up to 16 MiB.
MAX_BYTES = 8 * 2**20


class PreviewBlock(Model):
    """The stored blocks of all sessions, each under the session and its place in the pyramid."""

    def initialize(self) -> None:
        """Name the collection and its index."""
        self.name = 'stitch_preview_block'
        self.ensureIndex(([('sessionId', SortDir.ASCENDING)], {}))

    def validate(self, doc: Document) -> Document:
        """Accept the document; only this module makes them."""
        return doc

    def remove_session(self, session_id: ObjectId) -> None:
        """Remove the blocks of a session."""
        self.collection.delete_many({'sessionId': session_id})

    def remove_lost(self) -> int:
        """Remove the blocks of sessions that no longer exist; return how many these were."""
        ids = self.collection.distinct('sessionId')
        there = {one['_id'] for one in find_named(StitchSession().find, '_id', ids, fields=['_id'])}
        lost = set(ids) - there
        return sum(self.collection.delete_many({'sessionId': one}).deleted_count for one in lost)


class SessionBlocks:
    """The stored blocks of one session; a `stitch.preview.BlockStore`."""

    def __init__(self, session_id: ObjectId) -> None:
        self._id = session_id

    def load(self, key: BlockKey, fingerprint: str) -> Any:
        """Return the block ``(bands, y, x)`` with this fingerprint, or None."""
        document = PreviewBlock().collection.find_one({'_id': self._name(key)})
        if document is None or document['madeOf'] != fingerprint:
            return None
        try:
            return decode_block(document['data'], document['dtype'], document['shape'])
        except UnreadableImageError as error:
            logger.warning('A block of the preview of session %s is made again: %s', self._id, error)
            return None

    def store(self, key: BlockKey, fingerprint: str, block: Any) -> None:
        """Store a block in place of the one under its key, if there is one."""
        data = encode_pixels(block)
        if len(data) > MAX_BYTES:
            return
        fields = {
            'sessionId': self._id,
            'madeOf': fingerprint,
            'dtype': block.dtype.name,
            'shape': list(block.shape),
            'data': Binary(data),
        }
        PreviewBlock().collection.replace_one({'_id': self._name(key)}, fields, upsert=True)
        # A session is marked before what it has is removed; a block that comes later is found here.
        if StitchSession().find_there(self._id) is None:
            PreviewBlock().remove_session(self._id)

    def _name(self, key: BlockKey) -> str:
        level, frame, row, column = key
        places = [f'{axis}{index}' for axis, index in frame]
        return ' '.join([str(self._id), str(level), *places, str(row), str(column)])
