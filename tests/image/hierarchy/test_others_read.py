"""Every version and container that we write, read by zarr, tensorstore, ome-zarr, ngff-zarr, large_image."""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import large_image
import numpy as np
import pytest
import tensorstore as ts
import zarr

import girder_zarr.image as gz

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ome_zarr_reader = pytest.importorskip('ome_zarr.reader', reason='needs ome-zarr')
ngff_zarr = pytest.importorskip('ngff_zarr', reason='needs ngff-zarr')
ngff_validate = pytest.importorskip('ngff_zarr.validate', reason='needs ngff-zarr for the official schemas')
yaozarrs = pytest.importorskip('yaozarrs', reason='needs yaozarrs')

RGB = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
STACK = np.random.default_rng(1).integers(0, 60_000, (2, 3, 2, 90, 110), np.uint16)
WAYS = [
    (version, suffix)
    for version in ('0.4', '0.5', '0.6')
    for suffix in ('.zarr', '.zip', '.ozx', '.db')
    if (version, suffix) != ('0.4', '.ozx')
]


def rgb() -> tuple[Any, np.ndarray]:
    source = gz.new()
    source.addTile(RGB)
    return source, np.moveaxis(RGB, -1, 0)


def stack() -> tuple[Any, np.ndarray]:
    source = gz.new()
    for t, c, z in np.ndindex(2, 3, 2):
        source.addTile(STACK[t, c, z], t=t, c=c, z=z)
    source.channelNames = ['one', 'two', 'three']
    return source, STACK


def unpacked(path: Path, folder: Path) -> Path:
    """The hierarchy as a directory, taken out by the standard library."""
    if path.is_dir():
        return path
    if path.suffix in {'.zip', '.ozx'}:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        return folder
    with contextlib.closing(sqlite3.connect(path)) as database:
        for name, content in database.execute('SELECT k, v FROM zarr'):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return folder


def zarr_level(path: Path, folder: Path, level: int) -> np.ndarray:
    if path.suffix in {'.zip', '.ozx'}:
        with zarr.storage.ZipStore(path, mode='r') as store:
            group: Any = zarr.open_group(store, mode='r')
            return np.asarray(group[str(level)][:])
    group = zarr.open_group(folder, mode='r')
    return np.asarray(group[str(level)][:])


def tensorstore_level(path: Path, folder: Path, level: int, version: str) -> np.ndarray:
    driver = 'zarr' if version == '0.4' else 'zarr3'
    store: Any = {'driver': 'file', 'path': f'{folder}/{level}/'}
    if path.suffix in {'.zip', '.ozx'}:
        base = {'driver': 'file', 'path': str(path)}
        store = {'driver': 'zip', 'base': base, 'path': f'{level}/'}
    return np.asarray(ts.open({'driver': driver, 'kvstore': store}, read=True).result().read().result())


@pytest.mark.parametrize(('version', 'suffix'), WAYS)
@pytest.mark.parametrize('make', [rgb, stack])
def test_the_same_pixels_for_everyone(
    tmp_path: Path, version: str, suffix: str, make: Callable[[], tuple[Any, np.ndarray]]
) -> None:
    source, pixels = make()
    source.mm_x = source.mm_y = 0.001
    path = tmp_path / f'image{suffix}'
    source.write(path, version=version, chunk=64)
    folder = unpacked(path, tmp_path / 'unpacked')

    group: Any = zarr.open_group(folder, mode='r')
    attributes = dict(group.attrs)
    ngff_validate.validate(attributes, version=version, strict=version == '0.4')
    if version != '0.6':  # yaozarrs knows versions up to 0.5
        yaozarrs.validate_zarr_store(str(folder))

    levels = [zarr_level(path, folder, level) for level in range(2)]
    assert (levels[0] == pixels).all()
    for level, expected in enumerate(levels):
        assert (tensorstore_level(path, folder, level, version) == expected).all()

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of ome-zarr and ngff-zarr about their own use of others
        if version != '0.6':  # ome-zarr knows versions up to 0.5
            location = ome_zarr_reader.ZarrLocation(str(folder))
            (node,) = [one for one in ome_zarr_reader.Reader(location)() if one.data]
            for found, expected in zip(node.data, levels, strict=False):
                assert (np.asarray(found) == expected).all()
        images = ngff_zarr.from_ngff_zarr(str(folder), version=version).images
    for found, expected in zip(images, levels, strict=False):
        assert (np.asarray(found.data) == expected).all()

    opened = large_image.open(str(path), noCache=True)
    count = opened.getMetadata().get('frames', [None])
    for frame in range(len(count)):
        region = np.asarray(opened.getRegion(frame=frame, format='numpy')[0])
        if pixels is STACK:
            t, z, c = np.unravel_index(frame, (2, 2, 3))
            assert (region[..., 0] == STACK[t, c, z]).all()
        else:
            assert (region == RGB).all()
