"""Uploaded OME-Zarr images that other libraries wrote, through Girder's tile routes."""

import importlib.metadata
import io
import logging

import large_image.tilesource
import numpy as np
import pytest
import tensorstore
from girder.exceptions import FilePathException
from girder.models.file import File
from girder.models.item import Item
from girder.utility.filesystem_assetstore_adapter import FilesystemAssetstoreAdapter
from girder_large_image import girder_tilesource
from PIL import Image

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image import ZarrFileTileSource
from girder_zarr.server.storage.file_bytes import GirderFileBytes, open_bytes
from girder_zarr.server.tile_sources import tile_source as tilesource
from support.girder_images import upload, write_zarr

pytestmark = pytest.mark.plugin('zarr')
RANDOM = np.random.default_rng(3)


@pytest.fixture(params=['local', 'remote'])
def assetstore_kind(request, monkeypatch):
    """Files with a local path, and files of an assetstore that has none."""
    if request.param == 'remote':

        def refuse(self, file):
            raise FilePathException('This assetstore has no local paths.')

        monkeypatch.setattr(FilesystemAssetstoreAdapter, 'getLocalFilePath', refuse)
    return request.param


@pytest.mark.parametrize('version', ['0.4', '0.5'])
@pytest.mark.parametrize('name', ['image.zarr.zip', 'image.zip'])
def test_an_uploaded_zip_can_be_viewed(api, people, folder, tmp_path, assetstore_kind, version, name):
    pixels = RANDOM.integers(0, 255, (2, 3, 150, 200)).astype('uint8')
    item, file = upload(folder, people['owner'], name, write_zarr(tmp_path / 'z', version, pixels, 'czyx'))
    if 'largeImage' not in item:
        status, answer = api.call('POST', f'/item/{item["_id"]}/tiles')
        assert status == 200, answer
    item = Item().load(item['_id'], force=True)
    assert item['largeImage'] == {'fileId': file['_id'], 'sourceName': 'zarr'}
    base = f'/item/{item["_id"]}/tiles'
    status, metadata = api.call('GET', base)
    assert (status, metadata['sizeX'], metadata['sizeY']) == (200, 200, 150)
    assert metadata['IndexRange'] == {'IndexC': 2, 'IndexZ': 3}
    assert metadata['mm_x'] == 0.0005
    for frame, record in enumerate(metadata['frames']):
        params = {'encoding': 'TILED', 'frame': frame}
        status, body = api.call('GET', f'{base}/region', {**params, 'encoding': 'PNG'}, is_json=False)
        assert status == 200
        found = np.asarray(Image.open(io.BytesIO(body)).convert('L'))
        assert np.array_equal(found, pixels[record['IndexC'], record['IndexZ']])
    status, body = api.call('GET', f'{base}/zxy/{metadata["levels"] - 1}/0/0', is_json=False)
    assert (status, Image.open(io.BytesIO(body)).size) == (
        200,
        (metadata['tileWidth'], metadata['tileHeight']),
    )
    status, body = api.call('GET', f'{base}/thumbnail', {'width': 50}, is_json=False)
    assert (status, max(Image.open(io.BytesIO(body)).size)) == (200, 50)
    assert api.call('GET', base, user=people['stranger'])[0] == 403


def test_ranged_reads_are_those_of_the_file(people, folder, zarr_server):
    body = RANDOM.bytes(300_000)
    _, file = upload(folder, people['owner'], 'noise.bin', body)
    source = GirderFileBytes(file)
    assert (source.size, source.name) == (len(body), 'noise.bin')
    for offset, length in ((0, 10), (123, 70_000), (0, len(body)), (len(body), 0), (len(body) - 1, 1)):
        assert (
            source.read(offset, length)
            == open_bytes(file).read(offset, length)
            == body[offset : offset + length]
        )
    for offset, length in ((-1, 5), (0, len(body) + 1), (5, -1)):
        with pytest.raises(UnreadableImageError, match=r'noise\.bin'):
            source.read(offset, length)
    assert source.identity != GirderFileBytes(upload(folder, people['owner'], 'x.bin', b'x')[1]).identity


def test_an_image_of_another_library_is_the_same_here_and_there(api, people, folder, tmp_path):
    pixels = RANDOM.integers(0, 60000, (100, 130)).astype('uint16')
    item, _ = upload(folder, people['owner'], 'a.zarr.zip', write_zarr(tmp_path / 'z', '0.5', pixels, 'yx'))
    spec = {'driver': 'zarr3', 'kvstore': {'driver': 'file', 'path': str(tmp_path / 'z' / '0')}}
    there = tensorstore.open(spec).result().read().result()
    item = Item().load(item['_id'], force=True)
    item.setdefault(
        'largeImage', {'fileId': File().findOne({'itemId': item['_id']})['_id'], 'sourceName': 'zarr'}
    )
    here, _ = tilesource.ZarrGirderTileSource(item).getRegion(format=large_image.constants.TILE_FORMAT_NUMPY)
    assert np.array_equal(here[:, :, 0], there)


def test_our_source_is_the_one_called_zarr(zarr_server, monkeypatch, caplog):
    class Other:
        """Stands for the source of another package with the same entry point name."""

        name, extensions, mimeTypes = 'zarr', {None: 4}, {}  # noqa: N815 - large_image's name

    def version(name):
        return '1.35.6'

    monkeypatch.setattr(importlib.metadata, 'version', version)
    girder_tilesource.AvailableGirderTileSources['zarr'] = Other
    large_image.tilesource.AvailableTileSources['zarr'] = Other
    with caplog.at_level(logging.WARNING):
        tilesource.take_over()
    assert 'large-image-source-zarr 1.35.6 is installed as well' in caplog.text
    for _ in range(2):
        assert girder_tilesource.AvailableGirderTileSources['zarr'] is tilesource.ZarrGirderTileSource
        assert large_image.tilesource.AvailableTileSources['zarr'] is ZarrFileTileSource
        girder_tilesource.loadGirderTileSources()
