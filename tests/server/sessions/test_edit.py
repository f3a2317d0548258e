"""Sessions that change while they are open, and sessions that expire."""

import datetime as dt
import json
import threading

import pytest
from girder.exceptions import ValidationException
from girder.models.setting import Setting

from girder_zarr.server.common.database import object_id
from girder_zarr.server.maintenance import expired as expiry
from girder_zarr.server.sessions import edit as editing
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.settings.define import SettingKey
from support.server import npy, png, random_pixels, stored_array

pytestmark = pytest.mark.plugin('zarr')
BODY = png(random_pixels(8, 8))


def edit(api, session, user=..., **body):
    path = f'/stitch_session/{session["_id"]}'
    return api.call('PUT', path, body=json.dumps(body), content_type='application/json', user=user)


def test_name_and_spec_change_and_the_rest_stays(api, folder, dispatched):
    _, session = api.create(folder, chunk=64, expected=5)
    api.put(session, 'a', npy(random_pixels(8, 8, 1)))
    status, found = edit(api, session, name='New', spec={'background': 9, 'size': {'x': 10, 'y': 12}})
    assert (status, found['name']) == (200, 'New'), found
    assert (found['spec']['chunk'], found['spec']['expected'], found['spec']['background']) == (64, 5, 9)
    assert edit(api, session, spec={'expected': None})[1]['spec']['expected'] is None
    api.finalize(session)
    dispatched.run()
    _, done = api.get(session)
    pixels = stored_array(done)
    assert pixels.shape[-2:] == (12, 10)
    assert pixels[..., 11, 9] == 9


@pytest.mark.parametrize(
    ('body', 'status', 'words'),
    [
        ({'spec': {'background': -1}}, 409, 'spec.background'),
        ({'spec': {'background': 0.5}}, 409, 'spec.background'),
        ({'spec': {'overlap': 'median'}}, 400, 'spec.overlap'),
        ({'spec': {'colour': 1}}, 400, 'spec.colour'),
        ({'spec': 7}, 400, 'spec: expected'),
        ({'name': ''}, 400, 'name: expected'),
        ({'state': 'complete'}, 400, 'state'),
        ({'spec': {'output': 'ozx', 'ngffVersion': '0.4'}}, 400, 'ngffVersion'),
        ({'spec': {'expires': 'tomorrow'}}, 400, 'spec.expires'),
        ({'spec': {'expires': 0}}, 400, 'spec.expires'),
        ({'spec': {'expires': True}}, 400, 'spec.expires'),
    ],
)
def test_a_change_that_is_refused_changes_nothing(api, session, body, status, words):
    api.put(session, 'a', BODY)
    before = api.get(session)[1]
    found, refusal = edit(api, session, **body)
    assert (found, words in refusal['message']) == (status, True), refusal
    assert api.get(session)[1] == before


def test_what_is_finalizing_or_complete_does_not_change(api, session, dispatched):
    api.put(session, 'a', BODY)
    api.finalize(session)
    assert edit(api, session, name='New')[0] == 409
    dispatched.run()
    assert edit(api, session, name='New')[0] == 409
    assert api.get(session)[1]['name'] == 'Slide 7'


def test_kept_patches_make_another_image_with_another_spec(api, session, dispatched):
    from girder.models.item import Item

    api.put(session, 'a', BODY)
    api.finalize(session)
    assert edit(api, session, spec={'output': 'ozx'})[0] == 409
    dispatched.run()
    first = api.get(session)[1]
    status, opened = edit(api, session, name='Second', spec={'output': 'ozx'})
    assert (status, opened['state'], opened['itemId'], opened['fileId']) == (200, 'open', None, None)
    api.finalize(session)
    dispatched.run()
    second = api.get(session)[1]
    assert second['state'] == 'complete'
    assert second['itemId'] != first['itemId']
    names = [Item().load(one['itemId'], force=True)['name'] for one in (first, second)]
    assert names == ['Slide 7', 'Second']


def test_dropped_patches_make_no_other_image(api, folder, dispatched):
    _, session = api.create(folder, keepPatches=False)
    api.put(session, 'a', BODY)
    api.finalize(session)
    dispatched.run()
    assert edit(api, session, spec={'overlap': 'mean'})[0] == 409


def test_a_patch_on_its_way_meets_the_new_spec(api, session, monkeypatch):
    """The spec changes after a patch was checked and before it is stored."""
    from girder_zarr.server.patches import files

    original = files.store_file

    def store_file(*args):
        monkeypatch.setattr(files, 'store_file', original)
        known = StitchSession().get(session['_id'])
        assert editing.edit(known, {'spec': {'background': 1000}})
        return original(*args)

    monkeypatch.setattr(files, 'store_file', store_file)
    status, refusal = api.put(session, 'a', BODY)
    assert (status, 'background 1000' in refusal['message']) == (409, True)
    assert api.get(session)[1]['counts']['patches'] == 0


def age(session, **passed):
    updated = dt.datetime.now(dt.UTC) - dt.timedelta(**passed)
    key = {'_id': object_id(session['_id'], 'session')}
    StitchSession().collection.update_one(key, {'$set': {'updated': updated}})


def test_sessions_expire_by_hours_by_date_and_by_the_setting(api, folder, stored):
    before = stored()
    past = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).isoformat()
    specs = ({'expires': 2}, {'expires': 4}, {'expires': past}, {'expires': '2999-01-01'}, {})
    made = [api.create(folder, **spec)[1] for spec in specs]
    for session in made:
        api.put(session, 'a', BODY)
        age(session, hours=3)
    assert expiry.sweep() == 2
    assert [api.get(session)[0] for session in made] == [404, 200, 404, 200, 200]
    Setting().set(SettingKey.STITCH_EXPIRES_HOURS, 1)
    assert expiry.sweep() == 1
    assert [api.get(session)[0] for session in made[1:]] == [200, 404, 200, 404]
    assert api.get(made[1])[1]['spec']['expires'] == 4
    edit(api, made[1], spec={'expires': past})
    edit(api, made[3], spec={'expires': past})
    assert expiry.sweep() == 2
    assert stored() == before
    Setting().unset(SettingKey.STITCH_EXPIRES_HOURS)


def test_nothing_of_an_unfinished_job_expires(api, folder, dispatched, monkeypatch):
    _, session = api.create(folder, expires=1)
    api.put(session, 'a', BODY)
    api.finalize(session)
    age(session, hours=5)
    assert expiry.sweep() == 0
    dispatched.run()
    assert api.get(session)[1]['state'] == 'complete'
    item = api.get(session)[1]['itemId']
    age(session, hours=5)

    # Between looking and removing somebody changes it.
    found = expiry._expired(dt.datetime.now(dt.UTC))
    StitchSession().change(object_id(session['_id'], 'session'), {}, {'$set': {'error': None}})
    monkeypatch.setattr(expiry, '_expired', lambda _: found)
    assert expiry.sweep() == 0
    monkeypatch.undo()

    age(session, hours=5)
    assert expiry.sweep() == 1
    assert api.call('GET', f'/item/{item}')[0] == 200


def test_a_removal_that_was_cut_off_is_finished(api, session, stored):
    api.put(session, 'a', BODY)
    key = {'_id': object_id(session['_id'], 'session')}
    StitchSession().collection.update_one(key, {'$set': {'deleting': True}})
    age(session, hours=2)
    expiry.sweep()
    assert stored()['StitchPatch'] == stored()['File'] == stored()['StitchSession'] == 0


def test_an_administrator_sweeps(api, folder, people):
    _, session = api.create(folder, expires=1)
    age(session, hours=2)
    assert api.call('POST', '/stitch_session/sweep')[0] == 403
    assert api.call('POST', '/stitch_session/sweep', user=people['admin']) == (
        200,
        {'removed': 1, 'leftovers': 0},
    )


def test_a_server_sweeps_by_itself(api, folder, monkeypatch):
    _, session = api.create(folder, expires=1)
    age(session, hours=2)
    started = []

    class Thread:
        def __init__(self, target, **_):
            self.start = lambda: started.append(target)

    monkeypatch.setattr(expiry, 'INTERVAL_SECONDS', 0)
    monkeypatch.setattr(expiry.threading, 'Thread', Thread)
    api.create(folder)
    assert started == [expiry.sweep]


@pytest.mark.parametrize('value', ['7', 0, -1, True, [1], 10**9, float('nan')])
def test_hours_that_are_none(db, value):
    with pytest.raises(ValidationException, match='expires_hours'):
        Setting().set(SettingKey.STITCH_EXPIRES_HOURS, value)


def test_a_server_looks_for_expired_sessions_from_time_to_time(api, folder, monkeypatch):
    """Once in an interval, however often it is asked, and not in the request that asks."""
    now, threads = [10_000.0], []

    class Thread(threading.Thread):
        def start(self):
            threads.append(self)
            super().start()

    monkeypatch.setattr(expiry.time, 'monotonic', lambda: now[0])
    monkeypatch.setattr(expiry.threading, 'Thread', Thread)
    monkeypatch.setattr(expiry, 'INTERVAL_SECONDS', 600)
    monkeypatch.setattr(expiry, '_looked', now[0])
    made = [api.create(folder, expires=1)[1] for _ in range(2)]
    age(made[0], hours=2)
    for passed, looks in ((599, 0), (1, 1), (599, 1), (1, 1)):
        now[0] += passed
        for _ in range(3):
            expiry.sweep_if_due()
        for thread in threads:
            thread.join()
        assert len(threads) == looks
    assert [api.get(session)[0] for session in made] == [404, 200]
    age(made[1], hours=2)
    now[0] += 600
    expiry.sweep_if_due()
    for thread in threads:
        thread.join()
    assert api.get(made[1])[0] == 404


def test_a_removal_that_a_dead_server_began_is_finished(api, folder, stored):
    before = stored()
    _, session = api.create(folder)
    api.put(session, 'a', BODY)
    key = {'_id': object_id(session['_id'], 'session')}
    StitchSession().collection.update_one(key, {'$set': {'deleting': True}})
    assert api.get(session)[0] == 404
    expiry.sweep()
    assert stored() != before
    age(session, hours=2)
    expiry.sweep()
    assert stored() == before
