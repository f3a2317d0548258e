"""``POST stitch_session/plan``: a look before, with nothing stored; and what the origin and counting make."""

import json

import numpy as np
import pytest

from girder_zarr.server.sessions.model import StitchSession
from support.server import npy, random_pixels, stored_array

pytestmark = pytest.mark.plugin('zarr')


def plan(api, folder, user=..., **body):
    document = json.dumps({'folderId': str(folder['_id']), **body})
    return api.call('POST', '/stitch_session/plan', body=document, content_type='application/json', user=user)


TILES = [
    {'key': f'k{at}', 'file': f'{at}.tif', 'x': 1000 + at * 90, 'y': 500, 'c': 1, 'width': 100, 'height': 80}
    for at in range(3)
]


def test_a_plan_says_what_would_be_made_and_stores_nothing(api, folder):
    status, found = plan(api, folder, patches=TILES, spec={'channelNames': ['DAPI']})
    assert status == 200, found
    assert found['size'] == {'x': 280, 'y': 80}
    assert found['origin'] == {'x': 1000, 'y': 500}
    assert found['overlap']['x'] == {'min': 10, 'median': 10.0, 'max': 10}
    assert (found['covered'], found['warnings'], found['refusals']) == (1, [], [])
    assert found['spec']['axes'] == {'c': {'values': [1]}}
    assert StitchSession().collection.count_documents({}) == 0
    # the spec that it proposes is one that a session takes
    status, session = api.create(folder, **found['spec'])
    assert status == 200, session


def test_a_position_file_is_read_for_the_browser(api, folder):
    files = [{'name': f't{at}.tif', 'width': 50, 'height': 40} for at in range(2)]
    text = 'dim = 2\nt0.tif; ; (0.0, 0.0)\nt1.tif; ; (45.0, 0.0)\n'
    status, found = plan(api, folder, files=files, positions={'name': 'TileConfiguration.txt', 'text': text})
    assert status == 200, found
    assert (found['program'], found['size']) == ('Fiji', {'x': 95, 'y': 40})


def ome_of(size, block):
    pixels = f'SizeX="8" SizeY="8" SizeC="1" SizeZ="1" SizeT="{size}" DimensionOrder="XYCZT"'
    data = f'<TiffData {block}><UUID FileName="a.tif">u</UUID></TiffData>'
    return f'<OME><Image ID="i"><Pixels {pixels}>{data}</Pixels></Image></OME>'


@pytest.mark.parametrize(
    ('size', 'block', 'status', 'words'),
    [
        (9_000_000, 'IFD="0"', 200, None),
        (9_000_000, 'FirstZ="0"', 413, 'at most 100000 planes'),
        (9_000_000, 'IFD="0" PlaneCount="many"', 400, 'PlaneCount: expected a whole number'),
        (2, 'IFD="0" FirstT="2"', 400, 'expected a plane within'),
    ],
)
def test_a_few_bytes_do_not_name_millions_of_planes(api, folder, size, block, status, words):
    files = [{'name': 'a.tif', 'width': 8, 'height': 8}]
    positions = {'name': 'a.companion.ome', 'text': ome_of(size, block)}
    found, answer = plan(api, folder, files=files, positions=positions)
    assert found == status, answer
    assert words is None or words in answer['message']


@pytest.mark.parametrize(
    ('body', 'status', 'words'),
    [
        ({}, 400, 'files: expected a list'),
        ({'patches': []}, 400, 'patches: expected a list'),
        ({'patches': [*TILES, TILES[0]]}, 400, 'more than one patch with the key k0'),
        ({'patches': TILES, 'spec': {'channelNames': ['a', 'b']}}, 409, 'a name for each of 1 channels'),
        ({'patches': TILES * 7000}, 413, 'at most 20000'),
        ({'patches': TILES, 'spec': {'axes': [[[[[[[[[[[[[[]]]]]]]]]]]]]]}}, 400, 'at most 12 levels'),
        ({'patches': TILES, 'folderId': 'x' * 24}, 404, 'no folder'),
    ],
)
def test_a_bad_request_is_refused(api, folder, body, status, words):
    found, answer = plan(api, folder, **body)
    assert found == status, answer
    assert words in answer['message']


def test_a_plan_needs_the_right_to_write(api, folder, people):
    status, _ = plan(api, folder, user=None, patches=TILES)
    assert status == 401
    for who in ('stranger', 'reader'):
        status, _ = plan(api, folder, user=people[who], patches=TILES)
        assert status == 403
    assert plan(api, folder, user=people['writer'], patches=TILES)[0] == 200


@pytest.mark.parametrize('origin', ['corner', 'absolute'])
def test_the_stage_position_is_kept(api, folder, dispatched, origin):
    pixels = random_pixels(40, 50, dtype='uint16')
    pixels = pixels.reshape(40, 50, -1)[..., 0]
    spec = {'pixelSize': {'x': 0.5, 'y': 0.25, 'unit': 'micrometer'}, 'origin': origin}
    _, session = api.create(folder, **spec, channelNames=['DAPI', 'GFP'])
    for c in (3, 4):
        status, answer = api.put(session, f'c{c}', npy(pixels + c), 25, 10, unit='micrometer', c=c)
        assert status == 201, answer
    status, answer = api.finalize(session)
    assert status == 200, answer
    dispatched.run()
    _, done = api.get(session)
    assert done['state'] == 'complete', done
    found = stored_array(done)
    place = (0, 0) if origin == 'corner' else (40, 50)
    assert found.shape == (2, 40 + place[0], 50 + place[1])
    assert np.array_equal(found[:, place[0] :, place[1] :], np.stack([pixels + 3, pixels + 4]))
    _, metadata = api.call('GET', f'/item/{done["itemId"]}/tiles')
    assert metadata['channels'] == ['DAPI', 'GFP']
    assert [frame.get('ValueC') for frame in metadata['frames']] == [3, 4]


def test_names_that_do_not_match_the_channels_are_an_error(api, folder):
    _, session = api.create(folder, channelNames=['DAPI', 'GFP', 'Cy5'])
    for c in (1, 2):
        api.put(session, f'c{c}', npy(np.zeros((4, 4), np.uint8)), c=c)
    status, answer = api.finalize(session)
    assert status == 409
    assert 'a name for each of 2 channels, found 3 names' in answer['message']
