"""Trees of keys with values, in folders, as they are served: a key store, or a folder of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from girder_zarr.image.store.entries import Entry, Listed


class Tree(Protocol):
    """Keys and their values. Safe under many threads."""

    def entry(self, key: str) -> Entry | None:
        """Return a value, or None where there is truly none.

        :raises UnreadableImageError: it cannot be looked up or read.
        """

    def cached_entry(self, key: str) -> Entry | None:
        """Return a value that is read without waiting for disk, network or work, or None.

        None says nothing: there may be no such value, or it may take a wait. The entry's
        :meth:`~.store.entries.Entry.at_once` may find that it does take one.

        :raises UnreadableImageError: it cannot be read.
        """

    def listed(self, folder: str) -> list[Listed]:
        """Return what lies directly in a folder (``''`` is the root), in no order.

        :raises UnreadableImageError: it cannot be listed.
        """
