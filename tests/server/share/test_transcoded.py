"""Stored hierarchies in another form: every group and array at its place, read by two readers."""

import json
import sys

import numpy as np
import pytest
import tensorstore
import yaozarrs
import zarr
from zarr.storage import FsspecStore

import girder_zarr.image as gz
from girder_zarr.image.ngff.schemas import check_schemas
from girder_zarr.server.share.grants import forget_grants
from support.girder_images import multiscales, upload
from support.plates import value, write_plate
from support.server import random_pixels

from .conftest import FAR, LOCAL, zipped

pytestmark = pytest.mark.plugin('zarr')
FORMS = ['@zstd', '@blosc', '@v2', '@v3', '@v2/@blosc', '@v3/@blosc']


@pytest.fixture
def put(people, folder):
    """Upload a directory as a zip, and return the address of its item."""

    def put(path):
        files = {str(one.relative_to(path)): one.read_bytes() for one in path.rglob('*') if one.is_file()}
        item, _ = upload(folder, people['owner'], f'{path.name}.zip', zipped(files))
        return f'/zarr/item/{item["_id"]}'

    return put


def opened(web, path, owner):
    options = {'headers': owner}
    store = FsspecStore.from_url(f'{web.address}{path}', read_only=True, storage_options=options)
    return zarr.open_group(store, mode='r')


def check(web, path, owner, expected):
    """Hold every array against another opening of what is stored."""
    group = opened(web, path, owner)
    version = group.metadata.zarr_format
    ((name, token),) = owner.items()
    for key, stored in expected.items():
        found = group[key]
        assert found.dtype == stored.dtype.newbyteorder('=')
        assert np.array_equal(found[...], stored[...], equal_nan=stored.dtype.kind == 'f')
        kvstore = {'driver': 'http', 'base_url': web.address, 'path': f'{path}/{key}/'}
        kvstore['headers'] = [f'{name}: {token}']
        spec = {'driver': 'zarr' if version == 2 else 'zarr3', 'kvstore': kvstore}
        other = tensorstore.open(spec, read=True).result()
        assert np.array_equal(other.read().result(), found[...], equal_nan=stored.dtype.kind == 'f')
    return version


@pytest.mark.parametrize('form', FORMS)
def test_a_plate(web, owner, put, form, tmp_path):
    plate = write_plate(tmp_path / 'plate.zarr', 2, 2, 2)
    base = put(plate)
    stored = zarr.open_group(plate, mode='r')
    keys = [
        f'{row}/{column}/{at}/{level}' for row in 'AB' for column in '12' for at in '01' for level in '01'
    ]
    assert check(web, f'{base}/{form}', owner, {key: stored[key] for key in keys}) == (
        3 if '3' in form else 2
    )
    group = opened(web, f'{base}/{form}', owner)
    assert np.unique(group['B/2/1/0'][...]) == [value(1, 1, 1)]
    for path in ('', 'B/2', 'B/2/1'):
        attributes = dict(group[path].attrs) if path else dict(group.attrs)
        if '3' in form:
            yaozarrs.validate_ome_json(
                json.dumps({'zarr_format': 3, 'node_type': 'group', 'attributes': attributes})
            )
            assert attributes['ome']['version'] == '0.5'
        else:
            assert check_schemas(attributes, '0.4')[0] == []
            assert attributes == (dict(stored[path].attrs) if path else dict(stored.attrs))
    if '3' in form:
        assert group['B/2/1/0'].metadata.dimension_names == ('y', 'x')


def write_image(path, version, **options):
    """An image with a label, whose arrays are stored in an unusual way."""
    v3 = version == '0.5'
    content = {'multiscales': multiscales('cyx', 0.5)[:1], 'omero': {'channels': [
        {'color': 'FF0000', 'window': {'min': 0, 'max': 255, 'start': 0, 'end': 255}} for _ in range(2)
    ]}}  # fmt: skip
    label = {
        'multiscales': multiscales('yx', 0.5),
        'image-label': {'colors': [{'label-value': 1, 'rgba': [9, 9, 9, 9]}]},
    }

    def of_version(found):
        if v3:
            return {'ome': {**found, 'version': version}}
        for name in ('multiscales', 'image-label'):
            for one in found.get(name, []) if name == 'multiscales' else [found.get(name, {})]:
                one['version'] = version
        return found

    group = zarr.open_group(path, mode='w', zarr_format=3 if v3 else 2, attributes=of_version(content))
    labels = group.create_group('labels', attributes=of_version({'labels': ['cells']}))
    cells = labels.create_group('cells', attributes=of_version(label))
    for level in range(2):
        pixels = random_pixels(130, 150, 2, 'uint16', seed=level)
        pixels = np.moveaxis(pixels, -1, 0)[:, :: 2**level, :: 2**level]
        made = {'chunks': (1, 40, 50), **options}
        array = group.create_array(
            str(level), shape=pixels.shape, dtype=made.pop('dtype', pixels.dtype), **made
        )
        array[:, :40] = pixels[:, :40].astype(array.dtype)  # the others are not stored
        cells.create_array(str(level), data=pixels[0], chunks=(64, 64))
    return zarr.open_group(path, mode='r')


UNUSUAL = [
    ('0.5', {}),
    ('0.5', {'chunks': (1, 10, 25), 'shards': (2, 40, 50)}),
    ('0.5', {'dtype': 'float32', 'fill_value': float('nan')}),
    ('0.5', {'dtype': 'bool'}),
    ('0.4', {}),
    ('0.4', {'order': 'F', 'dtype': '>u2', 'fill_value': 7}),
    ('0.4', {'chunk_key_encoding': {'name': 'v2', 'separator': '/'}, 'dtype': 'int8'}),
]


@pytest.mark.parametrize('form', ['@zstd', '@v2', '@v3', '@blosc/@v2'])
@pytest.mark.parametrize(('version', 'options'), UNUSUAL)
def test_an_image_and_its_label(web, owner, put, form, version, options, tmp_path):
    stored = write_image(tmp_path / 'image.zarr', version, **options)
    base = put(tmp_path / 'image.zarr')
    keys = ['0', '1', 'labels/cells/0', 'labels/cells/1']
    made = check(web, f'{base}/{form}', owner, {key: stored[key] for key in keys})
    assert made == (2 if 'v2' in form or (form == '@zstd' and version == '0.4') else 3)
    for key in keys:
        assert opened(web, f'{base}/{form}', owner)[key].fill_value == pytest.approx(
            stored[key].fill_value, nan_ok=True
        )
    chunk = {2: '0/0/{}/0', 3: '0/c/0/{}/0'}[made]
    assert web.ask(f'{base}/{form}/{chunk.format(0)}', headers=owner).status == 200
    assert (
        web.ask(f'{base}/{form}/{chunk.format(8 if "shards" in options else 2)}', headers=owner).status == 404
    ), 'it is not stored'
    group = opened(web, f'{base}/{form}', owner)
    for path in ('', 'labels', 'labels/cells'):
        attributes = dict(group[path].attrs if path else group.attrs)
        if made == 2:
            assert 'ome' not in attributes
            assert check_schemas(attributes, '0.4')[0] == []
        else:
            assert attributes['ome']['version'] == '0.5'
            assert 'multiscales' not in attributes
    if made == 2:
        consolidated = web.ask(f'{base}/{form}/.zmetadata', headers=owner).json['metadata']
        assert 'labels/cells/1/.zarray' in consolidated


@pytest.mark.skipif(sys.version_info < (3, 12), reason='imagecodecs-zarr has no release for Python 3.11')
@pytest.mark.parametrize('codec', ['jpeg', 'jpegxl'])
@pytest.mark.parametrize('form', ['@zstd', '@v2'])
def test_all_that_we_write_opens_everywhere(web, owner, put, form, codec, tmp_path):
    source = gz.new()
    source.addTile(random_pixels(300, 500))
    source.write(tmp_path / 'image.zarr', lossy=True, codec=codec)
    base = put(tmp_path / 'image.zarr')
    expected = np.asarray(gz.open(tmp_path / 'image.zarr').getRegion(format='numpy')[0])
    group = opened(web, f'{base}/{form}', owner)
    assert np.array_equal(np.moveaxis(group['0'][...], 0, -1), expected)
    check(web, f'{base}/{form}', owner, {name: group[name] for name in group.array_keys()})


def test_validators_and_bad_keys(web, owner, make_image, tmp_path):
    image = make_image('directory', '0.4')
    key = f'{image.path}/@zstd/0/1/1'
    first = web.ask(key, headers=owner)
    again = web.ask(key, headers={**owner, 'If-None-Match': first.headers['etag']})
    assert (first.status, again.status) == (200, 304)
    path = tmp_path / 'image.zarr' / '0' / '1' / '1'
    path.write_bytes((tmp_path / 'image.zarr' / '0' / '0' / '0').read_bytes())
    changed = web.ask(key, headers={**owner, 'If-None-Match': first.headers['etag']})
    assert (changed.status, changed.body) == (200, web.ask(f'{image.path}/@zstd/0/0/0', headers=owner).body)
    for bad in (
        '0/9/9',
        '0/0',
        '0/0/0/0',
        '0/00/0',
        '0/c/0/0',
        '@zstd/0/0/0',
        '0/../0/0',
        '9/0/0',
        'x',
        '@v3',
    ):
        assert web.ask(f'{image.path}/@zstd/{bad}', headers=owner).status == 404, bad
    path.write_bytes(b'broken')
    assert web.ask(key, headers=owner).status == 500
    listed = web.ask(f'{image.path}/@zstd/', headers=owner)
    assert b'0/' in listed.body
    assert web.ask(f'{image.path}/@zstd?list-type=2&prefix=0/', headers=owner).status in (200, 404)


@pytest.mark.parametrize('kind', [*LOCAL, *FAR])
def test_validators_hold_beyond_a_grant(web, owner, make_image, kind):
    image = make_image(kind)
    key = f'{image.path}/@zstd/0/c/0/0'
    first = web.ask(key, headers=owner)
    forget_grants()
    again = web.ask(key, headers={**owner, 'If-None-Match': first.headers['etag']})
    assert (first.status, again.status) == (200, 304)
