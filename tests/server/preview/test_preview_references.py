"""Previews with masks, flat and dark fields, against the finished image."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from girder_zarr.server.preview.builder import overview_builder
from support.server import png, random_pixels, region_of

pytestmark = pytest.mark.plugin('zarr')
SIDE = 64


def refer(api, session, key, pixels, **params):
    path = f'/stitch_session/{session["_id"]}/reference/{key}'
    status, answer = api.call('PUT', path, params, body=png(pixels), content_type='image/png')
    assert status in {200, 201}, answer


def shown(api, session, **params):
    path = f'/stitch_session/{session["_id"]}/tiles/region'
    status, body = api.call('GET', path, {'encoding': 'PNG', **params}, is_json=False)
    assert status == 200, body
    return np.asarray(Image.open(io.BytesIO(body)).convert('RGB')).astype(int)


def smooth(seed):
    y, x = np.mgrid[:SIDE, :SIDE]
    waves = [120 + 60 * np.sin((y + seed * 7) / 20 + band) + 30 * np.cos(x / 15) for band in range(3)]
    return np.stack(waves, -1).astype(np.uint8)


@pytest.fixture
def corrected(api, folder):
    """A session of two overlapping patches with a mask, a flat and a dark field, and its key of each."""
    _, made = api.create(folder, overlap='feather', flatField=['flat'], darkField=['dark'], background=7)
    y, x = np.mgrid[:SIDE, :SIDE]
    refer(api, made, 'flat', (100 + y + x // 2).astype(np.uint8))
    refer(api, made, 'dark', (x % 5).astype(np.uint8))
    refer(api, made, 'round', (255 * (np.hypot(y - 32, x - 32) < 30)).astype(np.uint8))
    for number in range(2):
        api.put(made, f'p{number}', png(smooth(number)), x=48 * number, maskKey='round')
    return made


def test_a_preview_is_the_finished_image(api, corrected, dispatched):
    preview = shown(api, corrected)
    api.finalize(corrected)
    dispatched.run()
    done = api.get(corrected)[1]
    assert done['state'] == 'complete', done
    finished = region_of(api, done).astype(int)
    # The alpha of a patch of bytes has 255 steps.
    assert np.abs(preview - finished).max() <= 1
    assert (finished[0, 0] == 7).all()


@pytest.mark.parametrize('factor', [4, 8])
def test_small_copies_are_corrected_too(api, folder, factor):
    _, made = api.create(folder, flatField=['flat'], background=7)
    flat = np.full((1024, 1024), 100, np.uint8)
    flat[:, 512:] = 200
    mask = np.zeros((1024, 1024), np.uint8)
    mask[:512] = 255
    refer(api, made, 'flat', flat)
    refer(api, made, 'mask', mask)
    pixels = np.full((1024, 1024, 3), 60, np.uint8)
    for number in range(5):
        api.put(made, f'p{number}', png(pixels), x=1024 * number, maskKey='mask')
    overview_builder.wait()
    small = shown(api, made, width=5 * 1024 // factor)
    side = 512 // factor
    for number in range(5):
        left = 2 * side * number
        assert (small[:side, left : left + side] == 90).all()
        assert (small[:side, left + side : left + 2 * side] == 45).all()
    assert (small[side:] == 7).all()


def test_a_mask_that_comes_late_or_changes(api, session):
    pixels = random_pixels(SIDE, SIDE)
    api.put(session, 'a', png(pixels), maskKey='m')
    assert np.array_equal(shown(api, session), pixels)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:10] = 255
    refer(api, session, 'm', mask)
    assert np.array_equal(shown(api, session)[:10], pixels[:10])
    assert not shown(api, session)[10:].any()
    refer(api, session, 'm', 255 - mask, replace=True)
    assert np.array_equal(shown(api, session)[10:], pixels[10:])
    assert not shown(api, session)[:10].any()


def test_a_mask_that_does_not_fit_is_a_problem_of_its_patch(api, session):
    refer(api, session, 'm', np.ones((3, 3), np.uint8))
    api.put(session, 'a', png(random_pixels(SIDE, SIDE)), maskKey='m')
    good = random_pixels(SIDE, SIDE, seed=1)
    api.put(session, 'b', png(good), x=SIDE)
    assert np.array_equal(shown(api, session)[:, SIDE:], good)
    _, metadata = api.call('GET', f'/stitch_session/{session["_id"]}/tiles')
    assert 'reference image m has 3 x 3' in metadata['stitchSession']['problems']['a']


def test_a_file_that_is_gone_is_said_in_the_preview_and_by_the_job(api, people, folder, session, dispatched):
    from girder.models.item import Item
    from girder.models.upload import Upload

    body = png(random_pixels(SIDE, SIDE))
    file = Upload().uploadFromFile(io.BytesIO(body), len(body), 'a', 'folder', folder, people['owner'])
    entries = [{'fileId': str(file['_id']), 'key': 'a', 'x': 0, 'y': 0}]
    path = f'/stitch_session/{session["_id"]}/files'
    assert api.call('POST', path, body=json.dumps(entries), content_type='any/json')[0] == 200
    Item().remove(Item().load(file['itemId'], force=True))
    overview_builder.wait()
    shown(api, session)
    _, metadata = api.call('GET', f'/stitch_session/{session["_id"]}/tiles')
    sentence = metadata['stitchSession']['problems']['a']
    assert sentence == 'Patch a: its file is gone from Girder.'
    api.finalize(session)
    dispatched.run_failing()
    failed = api.get(session)[1]
    assert (failed['state'], sentence in failed['error']) == ('error', True), failed
