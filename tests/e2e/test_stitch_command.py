"""`girder-zarr stitch` against a real server: names of files, masks and fields, and killed on its way."""

import io
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from girder_zarr.client import Patch, StitchClient
from support.stack import LOGIN, PASSWORD, CommandLine, run_cli
from support.waiting import wait_until

SIDE, ROWS, COLUMNS = 32, 12, 25


@pytest.fixture
def folder(girder, request):
    """A new folder."""
    collection = girder.createCollection(f'{request.node.name}')
    return girder.createFolder(collection['_id'], 'work', parentType='collection')['_id']


@pytest.fixture
def key(girder, request):
    return girder.post('api_key', parameters={'name': request.node.name})['key']


def pixels_of(girder, item_id):
    answer = girder.get(f'item/{item_id}/tiles/region', {'encoding': 'TIFF'}, jsonResp=False)
    return tifffile.imread(io.BytesIO(answer.content)).squeeze()


def test_a_run_that_was_killed_goes_on_with_its_session(stack, girder, folder, key, tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (SIDE * ROWS, SIDE * COLUMNS), np.uint8)
    tiles = tmp_path / 'tiles'
    tiles.mkdir()
    for row, column in np.ndindex(ROWS, COLUMNS):
        own = picture[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
        Image.fromarray(own).save(tiles / f'r{row}_c{column}.png')
    state = tmp_path / 'state'
    environment = {'GIRDER_API_KEY': key, 'XDG_STATE_HOME': str(state)}
    command = [
        'stitch', folder, tiles, '--pattern', 'r{row}_c{col}', '--api-url', f'{stack.url}api/v1',
        '--threads', '1',
    ]  # fmt: skip
    client = StitchClient(girder)
    first = CommandLine(*command, environment=environment)
    try:
        wait_until(lambda: list(state.glob('girder-zarr/stitch-*.json')))
        (session,) = client.sessions(folder)
        wait_until(lambda: client.get(session['_id'])['counts']['patches'] > 0)
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
    finally:
        first.close()
    there = client.get(session['_id'])
    assert there['state'] == 'open'
    assert 0 < there['counts']['patches'] < ROWS * COLUMNS

    code, lines, errors = run_cli(*command, **environment)
    assert (code, errors) == (0, [])
    assert lines[0] == f'Going on with session {session["_id"]}.'
    created = ROWS * COLUMNS - client.get(session['_id'])['counts']['patches']
    assert created == 0
    assert 'skipped' in lines[1]
    assert [one['_id'] for one in client.sessions(folder)] == [session['_id']]
    assert np.array_equal(pixels_of(girder, lines[-1].rpartition('/')[2]), picture)
    assert not list(state.glob('girder-zarr/*'))


def test_everything_that_a_table_can_say(stack, girder, folder, key, tmp_path):
    left, right = (np.full((40, 60), value, np.uint16) for value in (1000, 3000))
    np.save(tmp_path / 'left.npy', left)
    (tmp_path / 'right.raw').write_bytes(right.tobytes())
    (tmp_path / 'p.csv').write_text(
        'file,x,y,unit,weight,shape,dtype,z\n'
        'left.npy,0,0,micrometer,1,,,0\n'
        'right.raw,20,0,micrometer,3,"40,60",uint16,0\n'
    )
    spec = {'axes': {'z': {'size': 2, 'step': 0.7, 'unit': 'micrometer'}}, 'ngffVersion': '0.4'}
    (tmp_path / 'spec.json').write_text(json.dumps(spec))
    code, lines, errors = run_cli(
        'stitch', folder, tmp_path / 'p.csv', '--api-url', f'{stack.url}api/v1', '--api-key', key,
        '--name', 'both', '--blend', 'mean', '--pixel-size', '0.5,1', '--output', 'db',
        '--spec', tmp_path / 'spec.json', XDG_STATE_HOME=str(tmp_path),
    )  # fmt: skip
    assert (code, errors) == (0, [])
    item_id = lines[-1].rpartition('/')[2]
    assert [file['name'] for file in girder.listFile(item_id)] == ['both.db']
    expected = np.zeros((40, 100), np.uint16)
    expected[:, :40], expected[:, 40:60], expected[:, 60:] = 1000, 2500, 3000
    assert np.array_equal(pixels_of(girder, item_id), expected)
    metadata = girder.get(f'item/{item_id}/tiles')
    assert metadata['IndexRange'] == {'IndexZ': 2}
    assert (metadata['mm_x'], metadata['mm_y']) == pytest.approx((0.0005, 0.001))


def test_masks_and_fields_are_sent_by_the_client(girder, folder):
    client = StitchClient(girder)
    spec = {'flatField': ['flat'], 'darkField': ['dark'], 'overlap': 'last'}
    session = client.create(folder, 'corrected', spec)['_id']
    flat = np.linspace(20, 60, 30 * 30).reshape(30, 30).astype(np.float32)
    client.put_reference(session, 'flat', flat)
    client.put_reference(session, 'dark', np.full((30, 30), 10, np.float32))
    mask = np.zeros((30, 30), np.uint8)
    mask[:, :15] = 255
    client.put_reference(session, 'half', mask)
    assert sorted(one['key'] for one in client.references(session)) == ['dark', 'flat', 'half']
    scene = np.random.default_rng(1).random((30, 30)) * 100
    seen = scene * (flat - 10) / (flat - 10).mean() + 10
    patches = [
        Patch('all', seen.astype(np.float32), 0, 0),
        Patch('above', (seen * 0 + 10).astype(np.float32), 0, 0, order=1, mask_key='half'),
    ]
    client.upload(session, patches, progress=False)
    assert client.upload(session, patches, progress=False) == {'skipped': 2}
    client.finalize(session)
    found = pixels_of(girder, client.wait(session)['itemId'])
    scene[:, :15] = 0
    # a region of floats is shown as whole numbers
    assert np.abs(found - scene).max() <= 1


def test_the_first_patch_of_the_docs(stack, girder, tmp_path):
    for program in ('bash', 'curl'):
        if shutil.which(program) is None:
            pytest.skip(f'needs {program}')
    page = (Path(__file__).parents[2] / 'docs' / 'rest.md').read_text(encoding='utf-8')
    script = page.partition('## Your first patch')[2].partition('```bash\n')[2].partition('```')[0]
    first, script = script.split('\n', 1)
    assert first == 'api=http://localhost:8080/api/v1; password=...'
    script = script.replace('admin', LOGIN)
    pixels = np.random.default_rng(3).integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'picture.png')
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', script],
        env={**os.environ, 'api': f'{stack.url}api/v1', 'password': PASSWORD},
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, '')
    assert json.loads(done.stdout)['key'] == 'first'
    folder = girder.resourceLookup(f'/user/{LOGIN}/Private')
    (session,) = StitchClient(girder).sessions(folder['_id'])
    assert (session['name'], session['counts']['patches']) == ('First', 1)
    StitchClient(girder).delete(session['_id'])


def test_the_example_with_curl_does_what_it_says(stack, girder, folder, tmp_path):
    for program in ('bash', 'curl', 'openssl', 'tar'):
        if shutil.which(program) is None:
            pytest.skip(f'needs {program}')
    page = (Path(__file__).parents[2] / 'docs' / 'rest.md').read_text(encoding='utf-8')
    script = page.partition('## With curl')[2].partition('```bash\n')[2].partition('```')[0]
    picture = np.random.default_rng(2).integers(0, 255, (512, 992, 3), np.uint8)
    for x in (0, 480):
        Image.fromarray(picture[:, x : x + 512]).save(tmp_path / f'x{x}_y0.png')
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', script],
        env={**os.environ, 'api': f'{stack.url}api/v1', 'token': girder.token, 'folder': folder},
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, '')
    lines = done.stdout.splitlines()
    assert lines[:3] == ['created', 'created', 'unchanged']
    assert [line.count("'status': 'unchanged'") for line in lines[3:5]] == [2, 2]
    assert lines[5:8] == ["['x960_y0.png']", '1.0', 'finalizing']
    with Image.open(tmp_path / 'region.png') as region:
        assert np.array_equal(np.asarray(region), picture)
    with Image.open(tmp_path / 'so-far.png') as thumbnail:
        assert thumbnail.width == 256
    assert list(StitchClient(girder).sessions(folder)) == []
    assert [item['name'] for item in girder.listItem(folder)] == ['Slide 7']


def test_the_seam_of_two_microscope_tiles_is_not_seen(stack, girder, folder, key, tmp_path):
    root = Path(__file__).parents[2]
    mosaic = Path(os.environ.get('GIRDER_ZARR_TEST_DATA', root.parent / 'shared' / 'data')) / 'mosaic'
    if not mosaic.is_dir():
        pytest.skip(f'no microscope tiles in {mosaic}')
    found = {}
    for name, options in (('plain', ()), ('registered', ('--blend', 'feather', '--register'))):
        code, lines, errors = run_cli(
            'stitch', folder, mosaic / 'positions.csv', '--api-url', f'{stack.url}api/v1', '--api-key', key,
            '--name', name, '--pixel-size', '1.0833', '--output', 'ozx', *options,
            XDG_STATE_HOME=str(tmp_path),
        )  # fmt: skip
        assert (code, errors) == (0, [])
        item_id = lines[-1].rpartition('/')[2]
        (file,) = girder.listFile(item_id)
        girder.downloadFile(file['_id'], str(tmp_path / f'{name}.ozx'))
        with zarr.storage.ZipStore(tmp_path / f'{name}.ozx', mode='r') as store:
            group = zarr.open_group(store, mode='r')
            found[name] = group['0'][:].squeeze(), group.attrs['ome']['girder_zarr']['stitch']
    moved = found['registered'][1]['registration']
    assert moved['pairsUsed'] == 1
    assert 6 < moved['correctionMax'] < 9
    assert moved['residualMax'] <= 0.75
    assert 'registration' not in found['plain'][1]
    corrected = next(one for one in found['registered'][1]['patches'] if 'correction' in one)
    begin = corrected['position']['x'] + corrected['correction']['x'] - found['registered'][1]['origin']['x']
    assert step_at(found['registered'][0], begin) < 1.1
    assert step_at(found['plain'][0], 832) > 2


def step_at(pixels, x):
    """The mean step between columns x - 1 and x, beside that between columns around it."""
    steps = np.abs(np.diff(pixels[20:600].astype(float), axis=1)).mean(axis=0)
    return steps[x - 1] / np.r_[steps[x - 12 : x - 2], steps[x + 1 : x + 11]].mean()
