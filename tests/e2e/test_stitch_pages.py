"""`girder-zarr stitch` of folders whose files hold several pages: each is sent and stored once."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from girder_zarr.client import StitchClient
from support import page_files
from support.microscopes import mmstack
from support.stack import run_cli
from support.tile_folders import cut, picture, tiles


@pytest.fixture
def folder(girder, request):
    """A new folder."""
    collection = girder.createCollection(f'{request.node.name}')
    return girder.createFolder(collection['_id'], 'work', parentType='collection')['_id']


def picture_of(girder, item_id, axes):
    """The planes of an item, each at its index along the axes."""
    found = {}
    for frame in girder.get(f'item/{item_id}/tiles')['frames']:
        parameters = {'encoding': 'TIFF', 'frame': frame['Frame']}
        answer = girder.get(f'item/{item_id}/tiles/region', parameters, jsonResp=False)
        place = tuple(frame[f'Index{axis.upper()}'] for axis in axes)
        found[place] = tifffile.imread(io.BytesIO(answer.content)).squeeze()
    sizes = [1 + max(place[at] for place in found) for at in range(len(axes))]
    planes = np.array([found[place] for place in np.ndindex(*sizes)])
    return planes.reshape(*sizes, *planes.shape[1:])


@pytest.fixture
def stitch(stack, girder, folder, request, tmp_path):
    """Run the command; return its session and the picture that it made."""
    key = girder.post('api_key', parameters={'name': request.node.name})['key']

    def run(source: Path, axes: str, *options: str):
        code, lines, errors = run_cli(
            *('stitch', folder, source, '--api-url', f'{stack.url}api/v1', *options),
            GIRDER_API_KEY=key,
            XDG_STATE_HOME=str(tmp_path / 'state'),
        )
        assert code == 0, (lines, errors)
        (session,) = StitchClient(girder).sessions(folder)
        return session, picture_of(girder, session['itemId'], axes)

    return run


def test_an_mmstack_of_all_positions_is_sent_as_it_is(stitch, tmp_path):
    made = mmstack(tmp_path, together=True)
    session, planes = stitch(made.source, 'cz')
    (file,) = made.source.glob('*.tif')
    # spec.keepPatches is on: the pages of the file are there still, and count once
    assert session['counts'] == {'patches': 36, 'bytes': file.stat().st_size}
    assert np.array_equal(planes, made.picture)


def test_hyperstacks_go_in_with_no_option_and_others_with_the_axis(stitch, tmp_path):
    whole = picture(2, 3)
    for row, column, y, x in tiles():
        path = tmp_path / 'in' / f'r{row}_c{column}.tif'
        path.parent.mkdir(exist_ok=True)
        own = cut(whole, y, x).transpose(1, 0, 2, 3)
        tifffile.imwrite(path, own, imagej=True, metadata={'axes': 'ZCYX'})
    session, planes = stitch(tmp_path / 'in', 'cz', '--overlap', '8')
    assert session['counts']['bytes'] == sum(path.stat().st_size for path in (tmp_path / 'in').iterdir())
    assert np.array_equal(planes, whole)


def test_pages_over_http_are_sent_once(girder, folder):
    file = page_files.ome('tz', compression='zlib')
    client = StitchClient(girder)
    session = client.create(folder, 'pages')['_id']
    stored = client.put_patch(session, 'a', file.data, 0, 0, pages='auto')
    assert (stored['status'], len(stored['patches'])) == ('created', 6)
    path = f'stitch_session/{session}/patch/b'
    parameters = {'page': 3, 'x': 24, 'y': 0, 'z': 0, 't': 0, 'sameAs': 'a@0'}
    for became in ('created', 'unchanged'):
        assert girder.put(path, parameters=parameters)['status'] == became
    assert client.get(session)['counts'] == {'patches': 7, 'bytes': len(file.data)}
    client.delete_patch(session, 'a')
    assert [one['key'] for one in client.patches(session)] == ['b']
    client.finalize(session)
    item = client.wait(session)['itemId']
    answer = girder.get(f'item/{item}/tiles/region', {'encoding': 'TIFF'}, jsonResp=False)
    assert np.array_equal(tifffile.imread(io.BytesIO(answer.content)).squeeze(), file.pages[3])


def test_pages_without_a_name_need_their_axis(stitch, folder, tmp_path):
    whole = picture(3)
    (tmp_path / 'in').mkdir()
    for row, column, y, x in tiles():
        path = tmp_path / 'in' / f'r{row}_c{column}.tif'
        tifffile.imwrite(path, cut(whole, y, x), photometric='minisblack', metadata=None, bigtiff=True)
    code, _, errors = run_cli('stitch', folder, tmp_path / 'in', GIRDER_API_KEY='x')
    assert code == 1
    assert 'r0_c0.tif: expected --pages c, z or t, the axis of its 3 pages' in ' '.join(errors)
    _, planes = stitch(tmp_path / 'in', 't', '--overlap', '8', '--pages', 't')
    assert np.array_equal(planes, whole)
