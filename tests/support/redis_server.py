"""A server of the kind of Redis, which the stack brings along, for tests."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from girder_zarr.stack.folder import DataFolder
from girder_zarr.stack.parts import embedded_broker

from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def running_redis(path: Path) -> Iterator[str]:
    """Yield the address of a server whose files lie in a new folder."""
    folder = DataFolder(path)
    folder.claim()
    part, addresses = embedded_broker(folder, dict(os.environ))
    try:
        part.start()
        wait_until(lambda: part.check() or part.is_ready(), what='the redis server')
        yield addresses[0]
    finally:
        part.clear()
        folder.release()
