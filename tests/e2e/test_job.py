"""The main job over HTTP: patches in, an image out, compared with independent readers."""

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import requests
import tifffile
import zarr
from girder_client import HttpError
from PIL import Image

from girder_zarr.client import Patch, StitchClient, content_digest
from girder_zarr.errors import ConflictError, InvalidInputError, NotFoundError, UnsupportedFormatError
from girder_zarr.stack.demo_job import STITCHED, cut, read_picture
from support.stack import run_cli


def region(girder, item_id):
    """Return an item's pixels at full resolution."""
    answer = girder.get(f'item/{item_id}/tiles/region', {'encoding': 'PNG'}, jsonResp=False)
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert('RGB'))


@pytest.fixture
def folder(girder, request):
    """A new folder."""
    collection = girder.createCollection(f'{request.node.name}')
    return girder.createFolder(collection['_id'], 'work', parentType='collection')['_id']


def test_the_demo_checks_itself(tmp_path):
    code, lines, errors = run_cli('demo', '--check')
    assert (code, errors) == (0, []), (lines, errors)
    assert any('hubble_deep_field.ome.zarr.zip' in line and 'source zarr' in line for line in lines)
    assert any(line.startswith('astronaut.png, as it is: ') and 'source pil' in line for line in lines)
    for name in STITCHED:
        assert any(line.startswith(f'{name}: ') and 'pixels equal' in line for line in lines)


def test_stitched_files_are_ome_zarr_that_zarr_reads(girder, results, tmp_path):
    for picture in results.pictures:
        if picture.session_id is None:
            continue
        (file,) = girder.listFile(picture.item_id)
        path = tmp_path / file['name']
        girder.downloadFile(file['_id'], str(path))
        with zarr.storage.ZipStore(path, mode='r') as store:
            group = zarr.open_group(store, mode='r')
            multiscale = group.attrs['ome']['multiscales'][0]
            full = group[multiscale['datasets'][0]['path']][:]
            names = [axis['name'] for axis in multiscale['axes']]
            assert (len(multiscale['datasets']) > 1) == (max(full.shape) > 512)
        full = np.moveaxis(full.reshape([size for size in full.shape if size > 1]), names.index('c'), -1)
        assert np.array_equal(full, read_picture(picture.name))


def test_the_job_has_a_log_and_progress_and_the_session_its_item(girder, results):
    client = StitchClient(girder)
    for picture in results.pictures:
        if picture.session_id is None:
            continue
        session = client.get(picture.session_id)
        assert (session['state'], session['itemId']) == ('complete', picture.item_id)
        assert session['counts']['patches'] == len(cut(read_picture(picture.name)))
        job = girder.get(f'job/{session["jobId"]}')
        assert job['status'] == 3
        assert ''.join(job['log']).strip()
        assert job['progress']['current'] == job['progress']['total'] > 0


def test_the_command_line_stitches_and_resumes(stack, girder, folder, tmp_path):
    picture = read_picture('ihc.png')
    patches = cut(picture)
    with (tmp_path / 'positions.csv').open('w', newline='') as stream:
        lines = csv.writer(stream)
        lines.writerow(['file', 'x', 'y'])
        for patch in patches:
            (tmp_path / f'{patch.key}.png').write_bytes(patch.data)
            lines.writerow([f'{patch.key}.png', patch.x, patch.y])
    key = girder.post('api_key', parameters={'name': 'command line'})['key']
    # Somebody began, and was interrupted after two patches.
    client = StitchClient(girder)
    session = client.create(folder, 'from the command line', {'expected': len(patches)})['_id']
    for patch in patches[:2]:
        client.put_patch(session, f'{patch.key}.png', patch.data, patch.x, patch.y)

    command = [
        'stitch',
        folder,
        tmp_path / 'positions.csv',
        '--api-url',
        f'{stack.url}api/v1',
        '--session',
        session,
    ]
    code, lines, errors = run_cli(*command, GIRDER_API_KEY=key)
    assert (code, errors) == (0, [])
    assert lines[0] == f'{len(patches) - 2} created, 2 skipped.'
    assert lines[1].startswith(f'{stack.url}#item/')
    assert np.array_equal(region(girder, lines[1].rpartition('/')[2]), picture)

    again = run_cli(*command, GIRDER_API_KEY=key)
    assert again == (0, lines[1:], [])


def test_two_tiles_of_a_microscope_become_one_image(stack, girder, folder):
    root = Path(__file__).parents[2]
    mosaic = Path(os.environ.get('GIRDER_ZARR_TEST_DATA', root.parent / 'shared' / 'data')) / 'mosaic'
    if not mosaic.is_dir():
        pytest.skip(f'no microscope tiles in {mosaic}')
    key = girder.post('api_key', parameters={'name': 'mosaic'})['key']
    command = [
        'stitch',
        folder,
        mosaic / 'positions.csv',
        '--api-url',
        f'{stack.url}api/v1',
        '--api-key',
        key,
    ]
    code, lines, errors = run_cli(*command, '--spec', '{"overlap": "first"}', '--name', 'mosaic')
    assert (code, errors) == (0, [])
    item = lines[-1].rpartition('/')[2]
    answer = girder.get(f'item/{item}/tiles/region', {'encoding': 'TIFF'}, jsonResp=False)
    stitched = tifffile.imread(io.BytesIO(answer.content)).squeeze()
    left, right = (tifffile.imread(mosaic / f'tile_{number}.tif').squeeze() for number in (0, 1))
    assert stitched.dtype == left.dtype
    assert np.array_equal(stitched[: left.shape[0], : left.shape[1]], left)
    overlap = left.shape[1] - 832
    assert np.array_equal(
        stitched[: right.shape[0], 832 + overlap : 832 + right.shape[1]], right[:, overlap:]
    )


def test_an_upload_is_resumed_without_sending_what_is_there(girder, folder):
    client = StitchClient(girder)
    session = client.create(folder, 'resumed')['_id']
    patches = [Patch(f'p{n}', np.full((8, 8), n, np.uint8), x=8 * n, y=0) for n in range(30)]
    assert client.upload(session, patches[:11]) == {'created': 11}
    seen = []
    assert client.upload(session, iter(patches), progress=seen.append) == {'skipped': 11, 'created': 19}
    assert len(seen) == 30
    stored = {patch['key']: patch for patch in client.patches(session)}
    assert stored['p3']['digest'] == content_digest(patches[3].read())
    moved = Patch('p3', patches[3].data, x=0, y=99)
    with pytest.raises(ConflictError):
        client.upload(session, [moved])
    assert client.upload(session, [moved], replace=True) == {'replaced': 1}
    client.delete(session)
    with pytest.raises(NotFoundError):
        client.get(session)


def test_sixteen_bit_arrays_keep_their_values(girder, folder):
    client = StitchClient(girder)
    values = np.arange(100 * 70, dtype=np.uint16).reshape(100, 70) * 9
    session = client.create(folder, 'sixteen', {'pixelSize': {'x': 0.5, 'y': 0.5, 'unit': 'micrometer'}})[
        '_id'
    ]
    client.upload(session, [Patch('top', values[:60], x=-5, y=-7), Patch('bottom', values[50:], x=-5, y=43)])
    client.finalize(session)
    item = client.wait(session)['itemId']
    metadata = girder.get(f'item/{item}/tiles')
    assert (metadata['sizeX'], metadata['sizeY'], metadata['mm_x']) == (70, 100, 0.0005)
    (file,) = girder.listFile(item)
    content = b''.join(girder.downloadFileAsIterator(file['_id']))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert json.loads(archive.read('zarr.json'))['attributes']['ome']['version'] == '0.5'
    answer = girder.get(f'item/{item}/tiles/region', {'encoding': 'TIFF'}, jsonResp=False)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), values)


def test_a_cancelled_session_can_go_on(girder, folder):
    client = StitchClient(girder)
    session = client.create(folder, 'cancelled')['_id']
    client.put_patch(session, 'a', np.zeros((4, 4), np.uint8), 0, 0)
    assert client.cancel(session)['state'] == 'cancelled'
    client.put_patch(session, 'b', np.ones((4, 4), np.uint8), 4, 0)
    client.finalize(session)
    assert client.wait(session)['itemId']
    assert client.finalize(session)['state'] == 'complete'


def test_bad_input_gets_an_answer_of_its_own_and_leaves_nothing(stack, girder, folder):
    client = StitchClient(girder)
    session = client.create(folder, 'bad input')['_id']
    with pytest.raises(UnsupportedFormatError):
        client.put_patch(session, 'a', b'not an image', 0, 0)
    with pytest.raises(InvalidInputError):
        client.put_patch(session, 'a/b', np.zeros((4, 4), np.uint8), 0, 0)
    with pytest.raises(NotFoundError):
        client.get('0' * 24)
    with pytest.raises(InvalidInputError):
        client.create(folder, 'x', {'overlap': 'sometimes'})
    with pytest.raises(ConflictError):
        client.finalize(session)
    assert list(client.patches(session)) == []
    assert [one['name'] for one in client.sessions(folder)] == ['bad input']
    assert requests.get(f'{stack.url}api/v1/stitch_session/{session}', timeout=30).status_code == 401
    broken = io.BytesIO(b'PK\x03\x04 this is no zip')
    upload = girder.uploadStreamToFolder(folder, broken, 'broken.zarr.zip', len(broken.getvalue()))
    assert 'largeImage' not in girder.getItem(upload['itemId'])
    with pytest.raises(HttpError) as caught:
        girder.post(f'item/{upload["itemId"]}/tiles')
    assert caught.value.status == 415


def test_the_commands_explain_themselves(tmp_path):
    run = subprocess.run(
        [sys.executable, '-m', 'girder_zarr.cli', 'info', str(tmp_path / 'nothing.zarr')],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.startswith('girder-zarr: ')
    assert len(run.stderr.splitlines()) == 1
