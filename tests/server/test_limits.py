"""Limits that an administrator sets: they hold from the next request, and what is refused leaves nothing."""

import json

import pytest
from girder.exceptions import ValidationException
from girder.models.setting import Setting

from girder_zarr.server.limits import LIMITS_KEY, MOST, normalise

from .conftest import npy, png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
BODY = png(random_pixels(8, 8))


@pytest.fixture
def limit(api, people):
    """Set limits as an administrator does, over REST."""

    def change(**limits):
        params = {'key': LIMITS_KEY, 'value': json.dumps(limits)}
        status, answer = api.call('PUT', '/system/setting', params, user=people['admin'])
        assert status == 200, answer

    yield change
    Setting().unset(LIMITS_KEY)


@pytest.mark.parametrize(
    ('limits', 'params', 'status', 'number'),
    [
        ({'patchBytes': 100}, {}, 413, '100'),
        ({'patchPixels': 63}, {}, 413, '63'),
        ({'patches': 1}, {}, 413, '1'),
        ({'sessionBytes': 2 * len(BODY) - 1}, {}, 413, str(2 * len(BODY) - 1)),
        ({'imageSide': 20}, {'x': 13}, 413, '20'),
        ({'imageValues': 300}, {'x': 8, 'y': 8}, 413, '300'),
    ],
)
def test_a_patch_over_a_limit(api, session, stored, limit, limits, params, status, number):
    api.put(session, 'first', BODY)
    before, seen = stored(), api.get(session)[1]
    limit(**limits)
    found, refusal = api.put(session, 'a', BODY, **params)
    assert (found, number in refusal['message']) == (status, True), refusal
    assert stored() == before
    assert api.get(session)[1]['counts'] == seen['counts']
    limit()
    assert api.put(session, 'a', BODY, **params)[0] == 201


def test_what_is_replaced_makes_room(api, session, limit):
    large, small = npy(random_pixels(16, 16)), npy(random_pixels(8, 8))
    api.put(session, 'a', large)
    limit(patches=1, sessionBytes=len(small))
    assert api.put(session, 'a', small, replace=True)[0] == 200
    assert api.put(session, 'a', large, replace=True)[0] == 413
    assert api.get(session)[1]['counts'] == {'patches': 1, 'bytes': len(small)}


def test_open_sessions_of_one_user(api, folder, people, limit, stored, dispatched):
    limit(openSessions=2)
    _, first = api.create(folder)
    assert api.create(folder)[0] == 200
    before = stored()
    status, refusal = api.create(folder)
    assert (status, 'limit is 2' in refusal['message']) == (429, True)
    assert stored() == before
    assert api.create(folder, user=people['writer'])[0] == 200
    api.put(first, 'a', BODY)
    api.finalize(first)
    dispatched.run()
    assert api.create(folder)[0] == 200


@pytest.mark.parametrize(
    ('value', 'words'),
    [
        (3, 'a JSON object'),
        ({'patchbytes': 3}, 'patchBytes'),
        ({'patches': 0}, 'from 1 to'),
        ({'patches': True}, 'from 1 to'),
        ({'patches': 1.5}, 'from 1 to'),
        ({'patches': '7'}, 'from 1 to'),
        ({'patchBytes': MOST.patchBytes + 1}, str(MOST.patchBytes)),
    ],
)
def test_what_is_no_limit(db, value, words):
    with pytest.raises(ValidationException, match=words):
        Setting().set(LIMITS_KEY, value)
    assert Setting().get(LIMITS_KEY) == {}


def test_a_limit_is_taken_back_with_null():
    assert normalise({'patches': None, 'patchBytes': 7}) == {'patchBytes': 7}
    assert normalise(None) == {}
