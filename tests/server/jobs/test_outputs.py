"""What a session may be asked to make: kinds of files, declared axes and sizes; refused if it cannot be."""

import json
import sqlite3
import warnings

import large_image
import numpy as np
import pytest
import tifffile
from large_image.tilesource import AvailableTileSources

from girder_zarr.stitch.spec import outputs
from support.server import npy, png, random_pixels, stored_array

pytestmark = pytest.mark.plugin('zarr')


def finished(api, session, dispatched):
    status, started = api.finalize(session)
    assert status == 200, started
    dispatched.run()
    _, done = api.get(session)
    assert done['state'] == 'complete', done
    return done


def path_of(done):
    from girder.models.file import File

    return File().getLocalFilePath(File().load(done['fileId'], force=True))


def region_of_item(api, done):
    path = f'/item/{done["itemId"]}/tiles/region'
    body = api.call('GET', path, {'encoding': 'PNG'}, is_json=False)[1]
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(body)))


def test_a_database_as_the_result(api, folder, dispatched):
    _, session = api.create(folder, output='db')
    pixels = random_pixels(70, 90)
    api.put(session, 'a', png(pixels))
    done = finished(api, session, dispatched)
    with open(path_of(done), 'rb') as stream:  # noqa: PTH123 - Girder has plain paths
        assert stream.read(15) == b'SQLite format 3'
    connection = sqlite3.connect(path_of(done))
    assert connection.execute("SELECT count(*) FROM zarr WHERE k = 'zarr.json'").fetchone() == (1,)
    connection.close()
    _, item = api.call('GET', f'/item/{done["itemId"]}')
    assert item['largeImage']['sourceName'] == 'zarr'
    _, (file,) = api.call('GET', f'/item/{done["itemId"]}/files')
    assert (file['name'], file['mimeType']) == ('Slide 7.db', 'application/vnd.sqlite3')
    assert np.array_equal(region_of_item(api, done), pixels)


def test_a_tiff_as_the_result(api, folder, dispatched):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        lacking = outputs._lacking_for_tiff()
    if lacking:
        pytest.skip(f'needs the extra converter: {lacking}')
    large_image.tilesource.loadTileSources()
    assert 'tiff' in AvailableTileSources
    _, session = api.create(folder, output='tiff', chunk=64)
    pixels = random_pixels(200, 300)
    api.put(session, 'a', png(pixels[:, :200]))
    api.put(session, 'b', png(pixels[:, 100:]), x=100)
    done = finished(api, session, dispatched)
    assert np.array_equal(tifffile.imread(path_of(done), key=0), pixels)
    _, item = api.call('GET', f'/item/{done["itemId"]}')
    assert item['largeImage']['sourceName'] == 'tiff'
    _, (file,) = api.call('GET', f'/item/{done["itemId"]}/files')
    assert (file['name'], file['mimeType']) == ('Slide 7.tiff', 'image/tiff')
    assert np.array_equal(region_of_item(api, done)[:, :, :3], pixels)


def test_a_tiff_is_refused_where_it_cannot_be_made(api, folder, monkeypatch, session, stored):
    monkeypatch.setattr(outputs, '_lacking_for_tiff', lambda: 'pyvips: No module named pyvips')
    before = stored()
    status, refusal = api.create(folder, output='tiff')
    assert (status, refusal['message'].startswith('spec.output: expected')) == (400, True)
    path = f'/stitch_session/{session["_id"]}'
    body = json.dumps({'spec': {'output': 'tiff'}})
    status, refusal = api.call('PUT', path, body=body, content_type='application/json')
    assert (status, refusal['message'].startswith('spec.output: expected')) == (400, True)
    assert stored() == before
    assert api.get(session)[1]['spec']['output'] == 'zarr.zip'


def test_declared_sizes_are_held_to_and_are_those_of_the_result(api, folder, dispatched):
    _, session = api.create(folder, size={'x': 60, 'y': 40}, axes={'z': {'size': 3, 'step': 2.0}, 't': {}})
    pixels = random_pixels(40, 60, 1)
    body = npy(pixels)
    for params, field in (({'z': 3}, 'z'), ({'x': 60}, 'x'), ({'y': -40}, 'y')):
        status, refusal = api.put(session, 'far', body, **params)
        assert (status, refusal['message'].startswith(f'{field}: expected')) == (400, True), refusal
    status, patch = api.put(session, 'a', body, z=1)
    assert (status, patch['position']) == (201, {'x': 0, 'y': 0, 't': 0, 'z': 1})
    path = f'/stitch_session/{session["_id"]}'
    for spec, field in (({'z': {'size': 1}}, 'spec.axes.z.size'), ({'c': {'size': 1}}, 'spec.axes.c')):
        body = json.dumps({'spec': {'axes': spec}})
        status, refusal = api.call('PUT', path, body=body, content_type='application/json')
        assert (status, refusal['message'].startswith(field)) == (409, True), refusal
    _, metadata = api.call('GET', f'{path}/tiles')
    assert metadata['IndexRange'] == {'IndexZ': 3}
    done = finished(api, session, dispatched)
    found = stored_array(done)
    assert found.shape == (1, 3, 40, 60)
    assert np.array_equal(found[0, 1], pixels.reshape(40, 60))
    assert not found[0, 0].any()
    assert not found[0, 2].any()
