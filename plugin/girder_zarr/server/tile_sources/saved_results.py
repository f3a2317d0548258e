"""Histograms, thumbnails and other results that large_image saves with an item in threads of their own."""

from __future__ import annotations

import contextlib
from threading import Thread

from girder_large_image.models.image_item import ImageItem


class _SavingThreads(list[Thread]):
    """Threads that save results; each is removed once, however many requests find that it has ended.

    Whoever asks for a result removes the threads that have ended. large_image lets go of its lock between
    looking at a thread and removing it, so that of two requests at the same time one gets a ValueError, and
    a 500 in place of its histogram (seen in girder-large-image 1.35.6).
    """

    def remove(self, thread: Thread) -> None:
        """Remove a thread if it is there."""
        with contextlib.suppress(ValueError):
            super().remove(thread)


def install() -> None:
    """Let large_image list its threads so; a second call does nothing."""
    if not isinstance(ImageItem._cacheSaveDataThreads, _SavingThreads):
        ImageItem._cacheSaveDataThreads = _SavingThreads(ImageItem._cacheSaveDataThreads)
