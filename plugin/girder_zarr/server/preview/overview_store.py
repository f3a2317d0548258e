"""The small copies of patches: made after a patch is stored, kept in the database, read by previews.

No request waits for them, and they are never needed: one that is missing is made from the patch's file when
somebody looks.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bson import Binary, ObjectId
from girder.constants import SortDir
from girder.models.model_base import Model

from girder_zarr.errors import UnreadableImageError
from girder_zarr.server.patches import hooks
from girder_zarr.stitch.preview import patch_overview

from .block_store import PreviewBlock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.server.sessions.model import Document
    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.preview.prepare import Preparer

logger = logging.getLogger(__name__)


class SmallCopy(Model):
    """The copies at an eighth, each under where the patch's bytes are, which changes with the patch."""

    level = 3
    collection_name = 'stitch_small_copy'

    def initialize(self) -> None:
        """Name the collection and its index."""
        self.name = self.collection_name
        self.ensureIndex(([('sessionId', SortDir.ASCENDING)], {}))

    def validate(self, doc: Document) -> Document:
        """Accept the document, which is made here."""
        return doc

    def read(self, patches: Sequence[Patch], preparer: Preparer) -> dict[str, Any]:
        """Return the small copies that are stored, by the patches' keys.

        :param patches: as they are shown.
        """
        by_source = {patch.source: patch for patch in patches}
        found = {}
        for document in self.collection.find(
            {'_id': {'$in': list(by_source)}}, {'data': 1, 'place': 1, 'used': 1}
        ):
            patch = by_source[document['_id']]
            made_of = document['place'], document.get('used', [])
            if made_of != (self._place(patch), preparer.cache_key(patch)):
                continue
            try:
                found[patch.key] = patch_overview.decode_overview(patch, document['data'], self.level)
            except UnreadableImageError as error:
                logger.warning('%s', error)
        return found

    def store(self, session_id: ObjectId, patch: Patch, pixels: Any, used: list[str]) -> None:
        """Store a small copy; whoever does so sees to it that it goes with the patch.

        :param patch: as it is shown.
        :param used: what reference images it was made with; see `Preparer`.
        """
        data = patch_overview.encode_pixels(pixels)
        if len(data) > patch_overview.MAX_BYTES:
            return
        fields = {'sessionId': session_id, 'place': self._place(patch), 'used': used, 'data': Binary(data)}
        self.collection.replace_one({'_id': patch.source}, fields, upsert=True)

    def _place(self, patch: Patch) -> list[int]:
        """Return what of a patch's position its small copy depends on."""
        factor = 2**self.level
        return [patch.placement.y % factor, patch.placement.x % factor]


class QuarterCopy(SmallCopy):
    """The copies at a quarter; in a collection of their own, so that those at an eighth are read quickly."""

    level = 2
    collection_name = 'stitch_quarter_copy'


def all_copies() -> tuple[SmallCopy, ...]:
    """Return the copies for each of `patch_overview.LEVELS`."""
    return QuarterCopy(), SmallCopy()


def forget(source: str) -> None:
    """Remove the small copies of a patch that is removed or replaced."""
    for copies in all_copies():
        copies.collection.delete_one({'_id': source})


def forget_session(session: Document) -> None:
    """Remove the small copies and composed blocks of a session whose patches are removed."""
    for copies in all_copies():
        copies.collection.delete_many({'sessionId': session['_id']})
    PreviewBlock().remove_session(session['_id'])


def subscribe() -> None:
    """Remove what is kept of patches with them, in servers and in workers: either removes patches."""
    hooks.subscribe(hooks.removed, forget)
    hooks.subscribe(hooks.emptied, forget_session)
