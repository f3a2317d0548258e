"""What the first tile of a large image in S3 costs: the requests that leave this machine are counted."""

import json
import zipfile

import numpy as np
import pytest
from botocore.httpsession import URLLib3Session
from girder.models.item import Item

from girder_zarr.server.tile_sources.tile_source import ZarrGirderTileSource
from support.s3 import import_into

pytestmark = pytest.mark.plugin('zarr')
SIDE, TILE, LEVELS = 60_416, 512, 8


@pytest.fixture
def sent(monkeypatch):
    """Every request that botocore sends, as (method, range)."""
    found = []
    original = URLLib3Session.send

    def send(self, request):
        found.append((request.method, request.headers.get('Range')))
        return original(self, request)

    monkeypatch.setattr(URLLib3Session, 'send', send)
    return found


def documents(version, chunk):
    """Return the metadata of a slide of 11 GB, by key."""
    axes = [{'name': name, 'type': 'channel' if name == 'c' else 'space'} for name in 'cyx']
    datasets = [
        {'path': str(n), 'coordinateTransformations': [{'type': 'scale', 'scale': [1, 2**n, 2**n]}]}
        for n in range(LEVELS)
    ]
    image = {'axes': axes, 'datasets': datasets}
    if version == 2:
        yield '.zgroup', {'zarr_format': 2}
        yield '.zattrs', {'multiscales': [{'version': '0.4', **image}]}
    else:
        ome = {'version': '0.5', 'multiscales': [image]}
        yield 'zarr.json', {'zarr_format': 3, 'node_type': 'group', 'attributes': {'ome': ome}}
    for level in range(LEVELS):
        shape = [3, SIDE >> level, SIDE >> level]
        if version == 2:
            yield f'{level}/.zarray', {
                'zarr_format': 2, 'shape': shape, 'chunks': chunk, 'dtype': '|u1', 'fill_value': 0,
                'compressor': None, 'filters': None, 'order': 'C',
            }  # fmt: skip
        else:
            yield f'{level}/zarr.json', {
                'zarr_format': 3, 'node_type': 'array', 'shape': shape, 'data_type': 'uint8', 'fill_value': 0,
                'chunk_grid': {'name': 'regular', 'configuration': {'chunk_shape': chunk}},
                'chunk_key_encoding': {'name': 'default'},
                'codecs': [{'name': 'bytes', 'configuration': {'endian': 'little'}}],
            }  # fmt: skip


def chunk_keys(version, planes):
    """Every chunk of the slide, as (key, level, y, x)."""
    for level in range(LEVELS):
        side = -(-(SIDE >> level) // TILE)
        for numbers in np.ndindex(planes, side, side):
            key = '.'.join(map(str, numbers)) if version == 2 else 'c/' + '/'.join(map(str, numbers))
            yield f'{level}/{key}', level, numbers[1], numbers[2]


def write_slide(path, version, planes, *, first, method):
    """Write a zip with every chunk of the slide, few of them whole; return the pixels of these by plane."""
    chunk = [3 // planes, TILE, TILE]
    metadata = [(key, json.dumps(value)) for key, value in documents(version, chunk)]
    random = np.random.default_rng(planes)
    pixels = random.integers(0, 255, (3, TILE, 3 * TILE), dtype=np.uint8)
    entries = 0
    with zipfile.ZipFile(path, 'w') as archive:
        for key, value in metadata if first else ():
            archive.writestr(key, value, method)
        for key, level, y, x in chunk_keys(version, planes):
            data = b'not read' * 50
            if level == 0 and y == 7 and x in (8, 9, 10):
                part = pixels[:, :, (x - 8) * TILE : (x - 7) * TILE]
                plane = int(key.replace('/', '.').split('.')[1 if version == 2 else 2])
                data = (part if planes == 1 else part[plane]).tobytes()
            archive.writestr(zipfile.ZipInfo(key), data)
            entries += 1
        for key, value in () if first else metadata:
            archive.writestr(key, value, method)
    return pixels, entries


@pytest.mark.parametrize(
    ('version', 'planes', 'first', 'method'),
    [
        (3, 3, True, zipfile.ZIP_STORED),
        (3, 3, False, zipfile.ZIP_DEFLATED),
        (2, 3, False, zipfile.ZIP_STORED),
        (2, 1, True, zipfile.ZIP_DEFLATED),
    ],
)
def test_the_first_tile_of_a_zip_with_many_entries(
    zarr_server, people, folder, tmp_path, bucket, assetstore, sent, version, planes, first, method
):  # fmt: skip
    path = tmp_path / 'slide.zip'
    pixels, entries = write_slide(path, version, planes, first=first, method=method)
    assert entries > (50_000 if planes == 3 else 18_000)
    with path.open('rb') as stream:
        bucket.upload_fileobj(stream, bucket.bucket, 'scans/slide.zip')
    import_into(assetstore, 'scans/', folder, people['owner'])
    item = Item().findOne({'name': 'slide.zip'})
    sent.clear()
    source = ZarrGirderTileSource(item, noCache=True)
    assert source.sizeX * source.sizeY * 3 > 10 * 10**9
    for number in range(3):
        tile = source.getTile(8 + number, 7, source.levels - 1, numpyAllowed='always')
        expected = pixels[:, :, number * TILE : number * TILE + TILE]
        assert np.array_equal(tile, np.moveaxis(expected, 0, -1))
        # A tile is one request for each chunk in it that lies apart from the others.
        assert len(sent) <= (6 if number == 0 else planes), sent
        assert all(method == 'GET' and asked for method, asked in sent)
        sent.clear()
