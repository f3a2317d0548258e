"""A stitch session from its creation to its end, over REST."""

import pytest

from .conftest import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')


def test_a_session_says_what_it_holds(api, folder, session):
    status, patch = api.put(session, 'a', png(random_pixels(20, 30)), x=-5, y=7)
    assert status == 201, patch
    assert patch['status'] == 'created'
    assert patch['shape'] == [20, 30, 3]
    status, found = api.get(session)
    assert status == 200
    assert found['counts']['patches'] == 1
    assert found['bounds'] == {'x': [-5, 25], 'y': [7, 27]}
    assert (found['dtype'], found['bands'], found['state']) == ('uint8', 3, 'open')
