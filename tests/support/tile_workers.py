"""What the processes of the tests do with a new image; importable by processes that are spawned."""

from __future__ import annotations

import os
import signal
from pathlib import Path
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


def die_while_sending(source: Any) -> None:
    """Add a tile, and end with SIGKILL when the next lies in the mailbox under its temporary name."""
    source.addTile(np.full((4, 4), 7, np.uint8))

    def killed(*_names: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Path.rename = killed  # type: ignore[method-assign, assignment]
    source.addTile(np.full((4, 4), 9, np.uint8), x=2)


def message_of(source: Any, work: str) -> str:
    """Do something that a process which did not make the image cannot do, and return what it is told."""
    try:
        if work == 'read':
            source.getRegion()
        elif work == 'tile':
            source.getTile(0, 0, 0)
        elif work == 'thumbnail':
            source.getThumbnail()
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
