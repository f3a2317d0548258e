"""A server of the kind of Redis, which the stack brings along, for tests."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from girder_zarr.stack.parts import embedded_broker

from .parts import running_part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def running_redis(path: Path) -> Iterator[str]:
    """Yield the address of a server whose files lie in a new folder."""
    with running_part(path, embedded_broker, 'the redis server') as addresses:
        yield addresses[0]
