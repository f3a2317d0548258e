"""What the processes of the tests do with a new image; importable by processes that are spawned."""

from __future__ import annotations

import os
from typing import Any

import numpy as np


def add_tiles(source: Any, tiles: list[tuple[np.ndarray, dict[str, Any]]]) -> int:
    """Add tiles in their order."""
    for pixels, where in tiles:
        source.addTile(pixels, **where)
    return os.getpid()


def add_associated(source: Any, key: str | None, pixels: np.ndarray) -> None:
    """Add an associated image."""
    source.addAssociatedImage(pixels, key)


def message_of(source: Any, work: str) -> str:
    """Do something that a process which did not make the image cannot do, and return what it is told."""
    try:
        if work == 'read':
            source.getRegion()
        elif work == 'describe':
            source.getMetadata()
        elif work == 'write':
            source.write('image.zarr')
        elif work == 'name':
            source.channelNames = ['a']
        elif work == 'value':
            source.addTile(np.zeros((4, 4)), z=1, z_value=object())
        else:
            source.addTile(np.zeros((4, 4)))
    except Exception as exc:  # noqa: BLE001 - told to the test
        return f'{type(exc).__name__}: {exc}'
    return 'done'
