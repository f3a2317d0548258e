"""A session whose image was deleted makes it again."""

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
