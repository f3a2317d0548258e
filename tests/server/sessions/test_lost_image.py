"""A session whose image was deleted makes it again."""

import json

import pytest

from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import COMPLETE
from support.server import png, random_pixels, region_of

pytestmark = pytest.mark.plugin('zarr')
PIXELS = random_pixels(40, 30)


def complete(api, folder, dispatched, **spec):
    _, session = api.create(folder, **spec)
    assert api.put(session, 'a', png(PIXELS))[0] == 201
    return finish(api, session, dispatched)


def finish(api, session, dispatched):
    status, answer = api.finalize(session)
    assert status == 200, answer
    dispatched.run()
    session = api.get(session)[1]
    assert (session['state'], session['error']) == ('complete', None)
    return session


@pytest.mark.parametrize('removed', ['item', 'file'])
def test_a_session_whose_image_was_deleted_is_finalized_again(api, folder, dispatched, removed):
    session = complete(api, folder, dispatched, keepPatches=True)
    assert api.finalize(session)[1]['itemId'] == session['itemId']
    assert api.call('DELETE', f'/{removed}/{session[removed + "Id"]}')[0] == 200
    seen = api.get(session)[1]
    assert (seen['state'], seen['itemId'], seen['fileId']) == ('open', None, None)
    again = finish(api, session, dispatched)
    assert again['itemId'] != session['itemId']
    assert (region_of(api, again) == PIXELS).all()


def test_a_removal_that_nobody_noticed_is_found_when_it_is_finalized(api, folder, dispatched):
    session = complete(api, folder, dispatched, keepPatches=True)
    item = session['itemId']
    api.call('DELETE', f'/item/{item}')
    known = {'state': COMPLETE, 'itemId': item, 'fileId': session['fileId']}
    StitchSession().update({'name': session['name']}, {'$set': known})
    assert finish(api, session, dispatched)['itemId'] != item


def test_without_its_patches_it_waits_for_new_ones(api, folder, dispatched):
    session = complete(api, folder, dispatched, keepPatches=False)
    assert api.call('DELETE', f'/item/{session["itemId"]}')[0] == 200
    status, answer = api.finalize(session)
    assert (status, 'no patches' in answer['message']) == (409, True)
    assert api.put(session, 'b', png(PIXELS))[0] == 201
    assert (region_of(api, finish(api, session, dispatched)) == PIXELS).all()


def test_other_items_leave_sessions_alone(api, folder, dispatched):
    kept = complete(api, folder, dispatched, keepPatches=True)
    other = complete(api, folder, dispatched, keepPatches=True)
    assert api.call('DELETE', f'/item/{other["itemId"]}')[0] == 200
    assert api.get(kept)[1]['state'] == 'complete'


def test_all_images_of_a_session_lead_back_to_it(api, people, folder, dispatched):
    session = complete(api, folder, dispatched, keepPatches=True)
    assert session['made'] == [session['itemId']]
    body = json.dumps({'name': 'another', 'spec': {'background': 3}})
    path = f'/stitch_session/{session["_id"]}'
    status, edited = api.call('PUT', path, body=body, content_type='application/json')
    assert (status, edited['itemId'], edited['made']) == (200, None, session['made'])
    again = finish(api, session, dispatched)
    first, second = session['itemId'], again['itemId']
    assert again['made'] == [first, second]

    def makers(item, user=...):
        status, found = api.call('GET', '/stitch_session', {'itemId': item}, user=user)
        return [one['_id'] for one in found] if status == 200 else status

    assert makers(first) == makers(second) == [session['_id']]
    assert makers(first, people['reader']) == [session['_id']]
    assert makers(first, people['stranger']) == 403
    # One that is deleted is forgotten; the session stays complete with the other.
    assert api.call('DELETE', f'/item/{first}')[0] == 200
    seen = api.get(session)[1]
    assert (seen['state'], seen['itemId'], seen['made']) == ('complete', second, [second])
    assert api.call('DELETE', f'/item/{second}')[0] == 200
    seen = api.get(session)[1]
    assert (seen['state'], seen['itemId'], seen['made']) == ('open', None, [])
