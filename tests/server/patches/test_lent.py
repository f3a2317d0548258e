"""A file that was lent to a session counts as long as its lender may read it."""

import json

import pytest
from girder.constants import AccessType
from girder.models.folder import Folder

from support.girder_images import upload
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
BODY = png(random_pixels(8, 8))


@pytest.fixture
def elsewhere(people):
    """A folder of somebody else, which the session's owner may read."""
    made = Folder().createFolder(
        people['stranger'], 'theirs', parentType='user', public=False, creator=people['stranger']
    )
    return Folder().setUserAccess(made, people['owner'], AccessType.READ, save=True)


@pytest.fixture
def lent(api, people, session, elsewhere):
    """A session of one patch, which is a file of somebody else."""
    _, file = upload(elsewhere, people['stranger'], 'a.png', BODY)
    body = json.dumps([{'key': 'a', 'fileId': str(file['_id']), 'x': 0, 'y': 0}])
    path = f'/stitch_session/{session["_id"]}/files'
    status, answer = api.call('POST', path, body=body, content_type='application/json')
    assert (status, answer['patches'][0]['code']) == (200, 201), answer
    return session


def take_back(elsewhere, people):
    Folder().setUserAccess(Folder().load(elsewhere['_id'], force=True), people['owner'], None, save=True)


def test_it_is_made_while_the_lender_may_read_it(api, lent, dispatched):
    assert api.finalize(lent)[0] == 200
    dispatched.run()
    assert api.get(lent)[1]['state'] == 'complete'


def test_it_counts_no_more_when_the_right_is_taken(api, people, lent, elsewhere, stored):
    take_back(elsewhere, people)
    before = stored()
    for user in ('owner', 'writer', 'admin'):
        status, answer = api.finalize(lent, user=people[user])
        assert (status, 'Patch a is a file that may not be read' in answer['message']) == (409, True), answer
    assert stored() == before
    assert api.get(lent)[1]['state'] == 'open'
    assert api.call('DELETE', f'/stitch_session/{lent["_id"]}/patch/a')[0] == 200


def test_it_counts_no_more_when_the_right_is_taken_before_a_worker_comes(
    api, people, lent, elsewhere, dispatched
):
    assert api.finalize(lent)[0] == 200
    take_back(elsewhere, people)
    dispatched.run_failing()
    session = api.get(lent)[1]
    assert (session['state'], 'may not be read' in session['error']) == ('error', True)


def test_a_patch_that_replaces_it_is_the_sessions_own(api, people, lent, elsewhere):
    take_back(elsewhere, people)
    status, answer = api.put(lent, 'a', png(random_pixels(8, 8, seed=1)), replace=True)
    assert status == 200, answer
    assert api.finalize(lent)[0] == 200
