"""Tiles in large_image's cache in Redis, which several processes share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import redis

import girder_zarr.image as gz
from support.redis_server import running_redis

if TYPE_CHECKING:
    from pathlib import Path

#: Asks for tiles in each way; says what they are, and how often pixels were read for them.
SCRIPT = """
import hashlib, json, sys
import large_image
import numpy as np
from girder_zarr.image.chunk.chunks import StoredLevel
reads, read = [], StoredLevel.read
StoredLevel.read = lambda self, region: (reads.append(region), read(self, region))[1]
style = {'bands': [{'band': 1, 'palette': ['#000', '#0f0'], 'min': 0, 'max': 255}]}
found = {}
for path in sys.argv[2:]:
    for name, options in {'PNG': {'encoding': 'PNG'}, 'JPEG': {}, 'style': {'style': style}}.items():
        source = large_image.open(path, **options)
        tile = source.getTile(0, 0, source.levels - 1)
        made = [hashlib.sha256(tile).hexdigest(), getattr(tile, 'mimetype', None)]
        pixels = source.getTile(0, 0, source.levels - 1, numpyAllowed='always')
        made += [hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest(), str(pixels.dtype), pixels.shape]
        if sys.argv[1] == 'spoil':
            pixels[:] = 0
        found[path + name] = made
print(json.dumps({'tiles': found, 'reads': len(reads)}))
"""


def tiles_of(paths: list[Path], address: str | None, what: str = 'look') -> dict[str, Any]:
    """Ask a new process for tiles."""
    cache = {'LARGE_IMAGE_CACHE_BACKEND': 'python'}
    if address is not None:
        cache = {'LARGE_IMAGE_CACHE_BACKEND': 'redis', 'LARGE_IMAGE_CACHE_REDIS_URL': address}
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, what, *map(str, paths)],
        env={**os.environ, **cache},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def write(path: Path, seed: int) -> Path:
    source = gz.new()
    source.addTile(np.random.default_rng(seed).integers(0, 255, (300, 400, 3)).astype('uint8'), 0, 0)
    source.write(path)
    return path


def test_processes_share_the_tiles_of_an_image_as_it_is(tmp_path: Path) -> None:
    names = ('a.zarr', 'b.zarr.zip')
    paths = [write(tmp_path / name, seed) for seed, name in enumerate(names)]
    with running_redis(tmp_path / 'redis') as address:
        first = tiles_of(paths, address)
        assert first['reads'] > 0
        with redis.Redis.from_url(address) as client:
            assert client.keys('large_image_*')
        # What a caller does to its pixels changes no other's.
        assert tiles_of(paths, address, 'spoil') == {'tiles': first['tiles'], 'reads': 0}
        assert tiles_of(paths, address) == {'tiles': first['tiles'], 'reads': 0}
        for seed, name in enumerate(names, 2):
            write(tmp_path / name, seed)
        after = tiles_of(paths, address)['tiles']
    # The server is gone now: tiles are made as ever.
    assert after == tiles_of(paths, address)['tiles'] == tiles_of(paths, None)['tiles']
    assert all(after[name] != tile for name, tile in first['tiles'].items())
