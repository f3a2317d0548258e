"""Light that is estimated and what was done, over REST, from the open session to the finished image."""

import io

import numpy as np
import pytest
import tifffile
from girder.models.setting import Setting
from PIL import Image

from girder_zarr.server.settings.define import SettingKey
from girder_zarr.stitch.output import provenance, stored_report
from support.server import npy, random_pixels, stored_array
from support.shaded_scenes import CutScene, beads, vignette

pytestmark = pytest.mark.plugin('zarr')
LIGHT = vignette(160)


@pytest.fixture(scope='module')
def scene():
    return CutScene.cut(beads(600), LIGHT, 40, 3)


def put_all(api, session, scene):
    for patch in scene.patches:
        place = patch.placement
        status, answer = api.put(session, patch.key, npy(scene.load(patch)), x=place.x, y=place.y)
        assert status == 201, answer


def get(api, session, path, params=None, **options):
    return api.call('GET', f'/stitch_session/{session["_id"]}/{path}', params or {}, **options)


def complete(api, session, dispatched):
    api.finalize(session)
    dispatched.run()
    done = api.get(session)[1]
    assert done['state'] == 'complete', done
    return done


@pytest.mark.parametrize('part_values', [None, 4096])
def test_light_is_shown_first_and_then_taken_out(api, folder, dispatched, scene, part_values):
    """In one piece and in parts: the report, the picture and the image say the same."""
    if part_values:
        Setting().set(SettingKey.STITCH_PART_VALUES, part_values)
    _, session = api.create(folder, illumination={}, registration={'maxShift': 12}, chunk=64)
    assert get(api, session, 'illumination')[0] == 404
    put_all(api, session, scene)
    status, (estimated,) = get(api, session, 'illumination')
    assert (status, estimated['channel'], estimated['tiles'], estimated['shape']) == (200, 0, 9, [160, 160])
    status, body = get(api, session, 'illumination/0', {'encoding': 'TIFF'}, is_json=False)
    assert status == 200
    field = tifffile.imread(io.BytesIO(body))
    assert np.std(field / LIGHT) / np.mean(field / LIGHT) < 0.01
    status, body = get(api, session, 'illumination/0', is_json=False)
    shown = np.asarray(Image.open(io.BytesIO(body)))
    assert (status, shown.shape, int(shown.max())) == (200, (160, 160), 255)

    status, refusal = get(api, session, 'report')
    assert (status, 'open' in refusal['message']) == (409, True)
    done = complete(api, session, dispatched)
    status, report = get(api, session, 'report')
    assert status == 200
    (used,) = report['illumination']
    for name in ('channel', 'shape', 'tiles'):
        assert used[name] == estimated[name]
    # the job estimates where registration has put the patches
    assert np.allclose(used['coefficients'], estimated['coefficients'], atol=0.01)
    moves = {patch['key']: patch.get('measured', {'y': 0, 'x': 0}) for patch in report['patches']}
    off = np.array([[moves[p.key]['y'], moves[p.key]['x']] for p in scene.patches]) + scene.said - scene.true
    off -= np.median(off, axis=0)
    assert np.median(np.hypot(off[:, 0], off[:, 1])) <= 0.1
    # the background is even where it fell off to 60 %
    found = stored_array(done)
    assert np.median(found[:20, :20]) == pytest.approx(np.median(found[70:90, 70:90]), rel=0.06)


def test_the_picture_can_be_put_as_a_flat_field(api, folder, dispatched, scene):
    """What is seen first may be kept: the same image comes of the field as a reference image."""
    _, one = api.create(folder, illumination={}, chunk=64)
    _, two = api.create(folder, flatField=['light'], chunk=64)
    for session in (one, two):
        put_all(api, session, scene)
    _, body = get(api, one, 'illumination/0', {'encoding': 'TIFF'}, is_json=False)
    path = f'/stitch_session/{two["_id"]}/reference/light'
    assert api.call('PUT', path, body=body, content_type='image/tiff')[0] == 201
    first, second = (stored_array(complete(api, session, dispatched)) for session in (one, two))
    assert np.abs(first.astype(int) - second).max() <= 1
    # a channel that has its field is not estimated
    status, refusal = get(api, two, 'illumination/0')
    assert (status, refusal['message'].startswith('channel: expected')) == (404, True)
    assert get(api, two, 'illumination') == (200, [])


def test_who_may_not_read_the_folder_sees_neither(api, session, people):
    for path in ('illumination', 'illumination/0', 'report'):
        address = f'/stitch_session/{session["_id"]}/{path}'
        assert api.call('GET', address, user=people['stranger'])[0] == 403, path
        assert api.call('GET', address, user=None)[0] == 401, path


def test_wrong_channels_and_sizes(api, folder):
    _, session = api.create(folder, illumination={}, overlap='mean')
    api.put(session, 'a', npy(random_pixels(40, 50, 1)))
    for channel in ('1', 'x', '-1', '9' * 400):
        assert get(api, session, f'illumination/{channel}')[0] == 404, channel[:5]
    assert get(api, session, 'illumination/0', {'encoding': 'GIF'})[0] == 400
    api.put(session, 'b', npy(random_pixels(40, 30, 1)), x=60)
    status, refusal = get(api, session, 'illumination')
    assert (status, '30 x 40 in b' in refusal['message']) == (409, True)


def test_a_long_report_comes_from_its_document(api, folder, dispatched, scene, monkeypatch):
    monkeypatch.setattr(provenance, 'MAX_INLINE', 3)
    _, session = api.create(folder, registration={'maxShift': 12}, chunk=64)
    put_all(api, session, scene)
    complete(api, session, dispatched)
    status, report = get(api, session, 'report')
    assert (status, report['count'], len(report['patches'])) == (200, 9, 9)
    assert report['registration']['pairs'] == len(report['pairs'])
    monkeypatch.setattr(stored_report, 'MAX_PATCHES', 8)
    status, refusal = get(api, session, 'report')
    assert (status, provenance.DOCUMENT in refusal['message']) == (413, True)
