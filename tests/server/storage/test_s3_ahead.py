"""An image in an S3 assetstore that somebody looks at: what lies next is there when it is asked for."""

import threading
from collections import Counter

import numpy as np
import pytest
import zarr
from girder.models.item import Item
from girder.models.setting import Setting

import girder_zarr.image as gz
from girder_zarr.common.chunk_cache import CHUNKS
from girder_zarr.common.read_ahead import AHEAD, DEFAULT_CHUNKS
from girder_zarr.image.store import objectstore
from girder_zarr.server.settings import polled
from girder_zarr.server.settings.define import SettingKey
from girder_zarr.server.storage.s3_store import S3Bucket
from girder_zarr.server.tile_sources.tile_source import ZarrGirderTileSource
from support.s3 import import_into
from support.stores import zip_folder
from support.waiting import wait_until

pytestmark = pytest.mark.plugin('zarr')
SIDE, TILE, DEPTH, TOP = 512, 128, 4, 2


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    CHUNKS.clear()
    monkeypatch.setattr(AHEAD, '_quiet', 0.0)
    # What is cached stays valid, however long the test takes.
    monkeypatch.setattr(objectstore, 'FRESH_SECONDS', 1e9)
    yield
    rest()
    AHEAD.bind(lambda: DEFAULT_CHUNKS)


def rest():
    wait_until(lambda: AHEAD.is_idle, what='what is read ahead')


@pytest.fixture
def asked(monkeypatch):
    """Every read from a bucket, in the order in which it began, and whether it was ahead of need."""
    found = []
    original = S3Bucket.get

    def get(self, key, start, length):
        found.append((key, start, threading.current_thread().name.startswith('far-request')))
        return original(self, key, start, length)

    monkeypatch.setattr(S3Bucket, 'get', get)
    return found


@pytest.fixture
def local(tmp_path):
    values = np.random.default_rng(9).integers(0, 256, (DEPTH, SIDE, SIDE)).astype('uint8')
    transform = {'type': 'scale', 'scale': [1.0] * 3}
    axes = [{'name': name, 'type': 'space'} for name in 'zyx']
    datasets = [{'path': '0', 'coordinateTransformations': [transform]}]
    ome = {'version': '0.5', 'multiscales': [{'axes': axes, 'datasets': datasets}]}
    folder = tmp_path / 'stack.zarr'
    group = zarr.open_group(folder, mode='w', attributes={'ome': ome})
    group.create_array('0', shape=values.shape, chunks=(1, TILE, TILE), dtype='uint8')[...] = values
    return folder


def imported(local, form, bucket, assetstore, folder, user):
    if form == 'zip':
        body = zip_folder(local, local.with_suffix('.zip')).read_bytes()
        bucket.put_object(Bucket=bucket.bucket, Key='scans/stack.zip', Body=body)
    else:
        for path in local.rglob('*'):
            if path.is_file():
                key = f'scans/stack.zarr/{path.relative_to(local)}'
                bucket.put_object(Bucket=bucket.bucket, Key=key, Body=path.read_bytes())
    import_into(assetstore, 'scans/', folder, user)
    return Item().findOne({'largeImage.sourceName': 'zarr'})


@pytest.mark.parametrize('form', ['folder', 'zip'])
def test_the_next_plane_is_there(zarr_server, people, folder, bucket, assetstore, local, asked, form):
    item = imported(local, form, bucket, assetstore, folder, people['owner'])
    far = ZarrGirderTileSource(item, noCache=True, encoding='PNG')
    near = gz.open(local, noCache=True, encoding='PNG')
    asked.clear()
    for x in range(2):
        far.getTile(x, 1, TOP, frame=0)
        rest()
    # A part of the zip came when it was opened.
    assert form == 'zip' or not asked[0][2]
    assert any(ahead for _, _, ahead in asked)
    count = len(asked)
    AHEAD.bind(lambda: 0)
    for place in ((0, 1, 1), (1, 1, 1), (2, 1, 0), (1, 2, 0)):
        assert far.getTile(*place[:2], TOP, frame=place[2]) == near.getTile(*place[:2], TOP, frame=place[2])
    assert len(asked) == count
    AHEAD.bind(lambda: DEFAULT_CHUNKS)
    for z in range(DEPTH):
        for x in range(4):
            assert far.getTile(x, z, TOP, frame=z) == near.getTile(x, z, TOP, frame=z)
    rest()
    # Blocks of a zip hold several chunks.
    assert form == 'zip' or max(Counter(key for key, _, _ in asked).values()) == 1
    assert len(asked) <= DEPTH * (SIDE // TILE) ** 2


def test_the_setting_is_followed(zarr_server, people, folder, bucket, assetstore, local, asked, monkeypatch):
    item = imported(local, 'folder', bucket, assetstore, folder, people['owner'])
    far = ZarrGirderTileSource(item, noCache=True, encoding='PNG')
    polled.install()
    monkeypatch.setattr(polled, 'MAX_AGE', 0.0)
    Setting().set(SettingKey.READ_AHEAD, 0)
    asked.clear()
    far.getTile(0, 0, TOP, frame=0)
    rest()
    assert len(asked) == 1
    Setting().set(SettingKey.READ_AHEAD, 1)
    far.getTile(0, 1, TOP, frame=0)
    rest()
    assert len(asked) == 3


def test_somebody_who_has_not_signed_in_asks_for_nothing_more(
    zarr_server, people, folder, bucket, assetstore, local, asked, api
):
    item = imported(local, 'folder', bucket, assetstore, folder, people['owner'])
    path = f'/item/{item["_id"]}/tiles/zxy/{TOP}/1/1'
    status, _ = api.call('GET', path, user=people['owner'], is_json=False)
    assert status == 200
    rest()
    assert any(ahead for _, _, ahead in asked)
    item = Item().load(item['_id'], force=True)
    asked.clear()
    status, _ = api.call('GET', path.replace('/1/1', '/3/3'), user=None, is_json=False)
    assert status in (200, 401)
    rest()
    assert not any(ahead for _, _, ahead in asked)
