"""A part of the stack by itself, such as its database, for tests."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from girder_zarr.stack.folder import DataFolder

from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def running_part(
    path: Path, make: Callable[[DataFolder, dict[str, str]], tuple[Any, Any]], what: str
) -> Iterator[Any]:
    """Run a part whose files lie in a new folder; yield what ``make`` returns beside it."""
    folder = DataFolder(path)
    folder.claim()
    part, found = make(folder, dict(os.environ))
    try:
        part.start()
        wait_until(lambda: part.check() or part.is_ready(), what=what)
        yield found
    finally:
        part.clear()
        folder.release()
