"""The overviews of patches (each at a quarter and at an eighth of its resolution) in the database.

They are made in the background after a patch is stored, and read by previews. None is ever needed: one that
is missing is made from the patch's file when a preview asks for it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bson import Binary, ObjectId
from girder.models.model_base import Model

from girder_zarr.errors import UnreadableImageError
from girder_zarr.server.common.database import find_named
from girder_zarr.server.patches import hooks
from girder_zarr.stitch.preview import patch_overview

from .block_store import PreviewBlock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.server.common.names import Document
    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.preview.prepare import Preparer

logger = logging.getLogger(__name__)

#: The collection of the overviews of each level, `2 ** level` times smaller than the patch. They are apart so
#: that those at an eighth, which are read by the thousand, are not spread between larger documents. Databases
#: that exist have them under these names.
COLLECTIONS = {2: 'stitch_quarter_copy', 3: 'stitch_small_copy'}


class PatchOverview(Model):
    """The overviews of all sessions' patches, each under the patch's source, which changes with its bytes."""

    def initialize(self) -> None:
        """Name one of the collections, as Girder's model has only one."""
        self.name = COLLECTIONS[max(COLLECTIONS)]

    def reconnect(self) -> None:
        """Connect to the collections of all levels; Girder calls this when the database has changed."""
        super().reconnect()
        self.collections = {level: self.database[name] for level, name in COLLECTIONS.items()}
        for collection in self.collections.values():
            # As Girder makes indexes: the embedded database refuses one of other options beside it.
            collection.create_index('sessionId', background=True)

    def read(self, patches: Sequence[Patch], preparer: Preparer, level: int) -> dict[str, Any]:
        """Return the overviews of a level that are stored, by the patches' keys.

        :param patches: as the preview shows them.
        :param preparer: what corrects them; overviews that were corrected differently are left out.
        :returns: arrays ``(y, x, bands)`` of the patches' dtypes, with the mask as one more band if
            ``patch.alpha``.
        """
        by_source = {patch.source: patch for patch in patches}
        find, found = self.collections[level].find, {}
        for document in find_named(find, '_id', by_source):
            patch = by_source[document['_id']]
            expected = (_phase(patch, level), preparer.cache_key(patch))
            if (document['place'], document.get('used', [])) != expected:
                continue
            try:
                found[patch.key] = patch_overview.decode_overview(patch, document['data'], level)
            except UnreadableImageError as error:
                logger.warning('%s', error)
        return found

    def store(self, session_id: ObjectId, patch: Patch, level: int, pixels: Any, used: list[str]) -> None:
        """Store an overview, unless it is too large. The caller checks that its patch is still there.

        :param patch: as the preview shows it.
        :param pixels: ``(y, x, bands)``, see :meth:`read`.
        :param used: the cache key of the corrections; see `Preparer.cache_key`.
        """
        data = patch_overview.encode_pixels(pixels)
        if len(data) > patch_overview.MAX_BYTES:
            return
        fields = {'sessionId': session_id, 'place': _phase(patch, level), 'used': used, 'data': Binary(data)}
        self.collections[level].replace_one({'_id': patch.source}, fields, upsert=True)

    def remove_source(self, source: str) -> None:
        """Remove the overviews of a patch that is removed or replaced."""
        for collection in self.collections.values():
            collection.delete_one({'_id': source})

    def remove_session(self, session_id: ObjectId) -> None:
        """Remove all overviews of a session."""
        for collection in self.collections.values():
            collection.delete_many({'sessionId': session_id})

    def count(self, level: int) -> int:
        """Return how many overviews of a level are stored."""
        return int(self.collections[level].count_documents({}))


def _phase(patch: Patch, level: int) -> list[int]:
    """Return the offset ``[y, x]`` of a patch in the grid of the overview's pixels, on which these depend."""
    factor = 2**level
    return [patch.placement.y % factor, patch.placement.x % factor]


def forget(source: str) -> None:
    """Remove the overviews of a patch that is removed or replaced."""
    PatchOverview().remove_source(source)


def forget_session(session: Document) -> None:
    """Remove the overviews and composed blocks of a session whose patches are removed."""
    PatchOverview().remove_session(session['_id'])
    PreviewBlock().remove_session(session['_id'])


def subscribe() -> None:
    """Remove overviews and blocks with their patches. For servers and workers, since both remove patches."""
    hooks.subscribe(hooks.removed, forget)
    hooks.subscribe(hooks.emptied, forget_session)
