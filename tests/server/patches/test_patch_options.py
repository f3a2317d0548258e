"""What can be said of a patch besides its place, and the reference images that patches and specs name."""

import gzip
import io

import numpy as np
import pytest
from PIL import Image

from support.server import Viewer, npy, png, random_pixels, stored_array

pytestmark = pytest.mark.plugin('zarr')


def put_reference(api, session, key, body, **params):
    path = f'/stitch_session/{session["_id"]}/reference/{key}'
    return api.call('PUT', path, params, body=body, content_type='image/x')


def finished(api, session, dispatched):
    status, started = api.finalize(session)
    assert status == 200, started
    dispatched.run()
    _, done = api.get(session)
    assert done['state'] == 'complete', done
    return stored_array(done)


def test_positions_by_unit_and_by_row_and_column(api, folder):
    _, session = api.create(
        folder,
        pixelSize={'x': 0.5, 'y': 0.5, 'unit': 'micrometer'},
        grid={'tile': {'x': 100, 'y': 80}, 'overlap': {'x': 10, 'y': 8.5}},
    )
    body = png(random_pixels(8, 8))
    for key, params, expected in (
        ('a', {'x': 1.25, 'y': -1.25}, {'x': 1, 'y': -1}),
        ('b', {'x': 0.01, 'y': 1, 'unit': 'millimeter'}, {'x': 20, 'y': 2000}),
        ('c', {'row': 1, 'column': -2}, {'x': -180, 'y': 72}),
    ):
        path = f'/stitch_session/{session["_id"]}/patch/{key}'
        status, patch = api.call('PUT', path, params, body=body, content_type='image/png')
        assert (status, patch['position']) == (201, expected), patch
    status, refusal = api.put(session, 'd', body, unit='furlong')
    assert (status, refusal['message'].startswith('unit: expected')) == (400, True)


def test_axes_of_other_names_become_axes_of_the_result(api, folder, dispatched):
    _, session = api.create(folder)
    planes = np.stack([random_pixels(20, 30, 1, seed=seed) for seed in range(3)])
    for angle, plane in enumerate(planes):
        status, patch = api.put(session, f'a{angle}', png(plane), index=f'{{"angle": {angle}}}')
        assert (status, patch['position']) == (201, {'x': 0, 'y': 0, 'angle': angle}), patch
    assert np.array_equal(finished(api, session, dispatched), planes)


def test_formats_that_need_more_than_their_first_bytes(api, folder, dispatched):
    _, session = api.create(folder)
    pixels = [random_pixels(16, 16, 1, dtype='uint16', seed=seed) for seed in range(3)]
    raw = pixels[0].astype('>u2').tobytes()
    status, patch = api.put(session, 'raw', raw, shape='16,16', dtype='>uint16')
    assert (status, patch['format'], patch['shape']) == (201, 'raw', [16, 16, 1]), patch
    packed = gzip.compress(pixels[1].tobytes())
    layout = {'shape': '16,16', 'dtype': 'uint16', 'compression': 'gzip'}
    status, patch = api.put(session, 'gz', packed, x=16, **layout)
    assert status == 201, patch
    status, patch = api.put(session, 'npy', gzip.compress(npy(pixels[2])), x=32)
    assert (status, patch['format']) == (201, 'npy'), patch
    status, refusal = api.put(session, 'bad', raw[:-1], shape='16,16', dtype='uint16')
    assert (status, '511' in refusal['message']) == (415, True)
    status, refusal = api.put(session, 'raw', raw, shape='16,16', dtype='uint16')
    assert (status, 'layout' in refusal['message']) == (409, True)
    assert np.array_equal(finished(api, session, dispatched), np.concatenate(pixels, axis=1))


def test_webp_is_stored(api, session):
    stream = io.BytesIO()
    Image.fromarray(random_pixels(16, 16)).save(stream, 'WEBP')
    status, patch = api.put(session, 'a', stream.getvalue())
    assert (status, patch['format']) == (201, 'webp'), patch


def test_masks_by_alpha_and_by_reference(api, folder, dispatched, stored):
    before = stored()
    _, session = api.create(folder)
    low, high = (np.full((10, 10, 3), value, 'uint8') for value in (10, 200))
    alpha = np.zeros((10, 10, 1), 'uint8')
    alpha[:, :5] = 255
    ring = np.zeros((10, 10), 'uint8')
    ring[:5] = 255
    api.put(session, 'a', png(low))
    status, patch = api.put(session, 'b', png(np.dstack([high, alpha])), mask='alpha')
    assert (status, patch['shape'], patch['mask']) == (201, [10, 10, 3], 'alpha'), patch
    status, patch = api.put(session, 'c', png(high), x=10, maskKey='ring', weight=2)
    assert (status, patch['maskKey'], patch['weight']) == (201, 'ring', 2), patch
    status, refusal = api.put(session, 'd', png(high), mask='alpha')
    assert (status, 'alpha' in refusal['message']) == (415, True)
    status, refusal = api.finalize(session)
    assert (status, 'no reference image ring' in refusal['message']) == (409, True)
    status, reference = put_reference(api, session, 'ring', png(ring))
    assert (status, reference['status'], reference['shape']) == (201, 'created', [10, 10, 1]), reference
    assert put_reference(api, session, 'ring', png(ring))[1]['status'] == 'unchanged'
    assert put_reference(api, session, 'ring', png(255 - ring))[0] == 409
    assert put_reference(api, session, 'ring', png(ring * 0), replace=True)[1]['status'] == 'replaced'
    assert put_reference(api, session, 'ring', png(ring), replace=True)[0] == 200
    status, listed = api.call('GET', f'/stitch_session/{session["_id"]}/reference')
    assert [one['key'] for one in listed] == ['ring']
    assert api.get(session)[1]['counts']['patches'] == 3
    expected = np.zeros((10, 20), 'uint8')
    expected[:, :10], expected[:, :5], expected[:5, 10:] = 10, 200, 200
    assert (finished(api, session, dispatched) == expected).all()
    assert put_reference(api, session, 'late', png(ring))[0] == 409
    api.delete(session)
    assert stored() == {**before, 'Item': before['Item'] + 1, 'File': before['File'] + 1}


def test_reference_images_can_be_removed(api, session, stored):
    before = stored()
    put_reference(api, session, 'flat', png(random_pixels(8, 8, 1)))
    path = f'/stitch_session/{session["_id"]}/reference/flat'
    assert api.call('DELETE', path)[0] == 200
    assert api.call('DELETE', path)[0] == 404
    assert stored() == before
    assert api.get(session)[1]['counts']['bytes'] == 0


def test_a_flat_field_is_applied(api, folder, dispatched):
    _, session = api.create(folder, flatField=['flat'])
    api.put(session, 'a', npy(np.full((4, 4), 100, 'uint16')))
    flat = np.array([[1, 3]] * 4, 'float32').repeat(2, axis=1)
    put_reference(api, session, 'flat', npy(flat))
    assert np.array_equal(finished(api, session, dispatched), np.round(200 / flat).astype('uint16'))


def test_registration_is_part_of_the_job(api, folder, dispatched):
    picture = random_pixels(80, 220, 1)
    _, session = api.create(folder, registration={'maxShift': 8}, overlap='feather')
    api.put(session, 'a', png(picture[:, :120]))
    api.put(session, 'b', png(picture[:, 100:]), x=104, y=3)
    assert np.array_equal(finished(api, session, dispatched), picture)
    _, done = api.get(session)
    assert done['bounds'] == {'x': [0, 224], 'y': [0, 83]}


def test_arrival_counts_where_it_is_asked_for(api, folder, dispatched):
    _, session = api.create(folder, overlapBy='arrival')
    for key, value in (('b', 1), ('a', 2)):
        api.put(session, key, npy(np.full((4, 4), value, 'uint8')))
    api.put(session, 'b', npy(np.full((4, 4), 3, 'uint8')), replace=True)
    assert (finished(api, session, dispatched) == 3).all()


@pytest.mark.parametrize('change', ['remove', 'replace'])
def test_a_patch_that_is_put_back_counts_as_it_did(api, folder, dispatched, change):
    _, session = api.create(folder, overlapBy='arrival')
    path = f'/stitch_session/{session["_id"]}/patch/b'
    for key, value in (('c', 1), ('b', 2), ('a', 3)):
        assert api.put(session, key, npy(np.full((4, 4), value, 'uint8')), x=len(key))[0] == 201
    viewer = Viewer(api, session)
    assert (viewer.region() == 3).all()
    before = api.call('GET', path)[1]
    for _ in range(2):
        if change == 'remove':
            assert api.call('DELETE', path)[0] == 200
        else:
            assert api.put(session, 'b', npy(np.full((4, 4), 9, 'uint8')), x=1, replace=True)[0] == 200
            assert (viewer.region() == 9).all()
        status, back = api.put(
            session, 'b', npy(np.full((4, 4), 2, 'uint8')), x=1, arrival=before['arrival'], replace=True
        )
        assert status in (200, 201), back
        assert api.call('GET', path)[1] == before
        assert (viewer.region() == 3).all()
    # It lies above what came before it, as it did.
    assert api.call('DELETE', path.removesuffix('b') + 'a')[0] == 200
    assert (viewer.region() == 2).all()
    assert (finished(api, session, dispatched) == 2).all()


def test_only_the_key_that_had_a_rank_takes_it(api, session):
    body = npy(np.full((4, 4), 1, 'uint8'))
    arrivals = {key: api.put(session, key, body)[1]['arrival'] for key in 'abc'}
    for key, params in (
        ('b', {'arrival': arrivals['a']}),  # another's
        ('b', {'arrival': 99}),  # nobody's yet
        ('d', {'arrival': arrivals['a']}),
        ('d', {'arrival': 0}),
    ):
        status, refusal = api.put(session, key, npy(np.full((4, 4), 2, 'uint8')), replace=True, **params)
        assert (status, refusal['message'].split(':')[0]) == (409, 'arrival'), refusal
    api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/a')
    status, refusal = api.put(session, 'd', body, arrival=arrivals['a'])
    assert (status, refusal['message'].split(':')[0]) == (409, 'arrival'), refusal
    assert api.put(session, 'a', body, arrival='x')[0] == 400
    assert api.put(session, 'a', body, arrival=arrivals['a'], pages='c')[0] == 400
    # Forgotten after so many others.
    for _ in range(20):
        api.put(session, 'e', body)
        api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/e')
    assert api.put(session, 'a', body, arrival=arrivals['a'])[0] == 409
    status, patch = api.put(session, 'a', body)
    assert (status, patch['arrival'] > arrivals['c']) == (201, True)
    # In its own place something else keeps the rank that the patch has.
    other = npy(np.full((4, 4), 5, 'uint8'))
    status, kept = api.put(session, 'b', other, replace=True, arrival=arrivals['b'])
    assert (status, kept['arrival']) == (200, arrivals['b'])
    # Without it, the patch arrives anew.
    status, new = api.put(session, 'b', body, replace=True)
    assert (status, new['arrival'] > patch['arrival']) == (200, True)
