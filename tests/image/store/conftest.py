"""A server of images for tests of addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from girder_zarr.image.store import addresses, remote
from support.web import Served, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Served]:
    """A server whose host is allowed, and its folder."""
    folder = tmp_path / 'web'
    folder.mkdir()
    with serve(folder) as served:
        addresses.allow_hosts([f'127.0.0.1:{served.port}', '127.0.0.0/8'])
        yield served
    addresses.follow(None)
    for _, pool in remote._pools.values():
        pool.close()
    remote._pools.clear()
