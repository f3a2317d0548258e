"""What the client says of patches that are refused, which pages it sends, and how it signs in again."""

import io
import json

import numpy as np
import pytest
import tifffile

from girder_zarr.client import Patch, StitchClient
from girder_zarr.client.positions import read_positions
from girder_zarr.errors import ConflictError, GirderZarrError, InvalidInputError, UnsupportedFormatError
from support.scripted_server import scripted_server


def answers(refused, message='The tiff ends too early.', status=415):
    """A session that refuses some keys; everything else is created."""

    def answer(method, path, headers, body):
        if method == 'GET':
            return 200, [] if '/patch' in path else {'spec': {}}
        if path.partition('?')[0].endswith('/patches'):
            manifest = json.loads(body[512 : 512 + int(body[124:135], 8)])
            found = [
                {'key': one['key'], 'status': 'refused' if one['key'] in refused else 'created'}
                for one in manifest
            ]
            return 200, {'patches': found}
        key = path.partition('?')[0].rpartition('/')[2]
        return (status, {'message': message}) if key in refused else (201, {'key': key, 'status': 'created'})

    return answer


def test_all_refusals_are_named_with_their_files_and_the_rest_is_stored(tmp_path):
    for at in range(60):
        (tmp_path / f'tile_{at:03d}.tif').write_bytes(b'pixels')
    patches = [Patch(f'tile_{at:03d}', tmp_path / f'tile_{at:03d}.tif', x=at, y=0) for at in range(60)]
    (tmp_path / 'tile_050.tif').unlink()
    with (
        scripted_server(answers({'tile_037', 'tile_041'})) as (girder, requests),
        pytest.raises(InvalidInputError) as caught,
    ):
        StitchClient(girder, pause=0.001).upload('s', patches, threads=1)
    text = str(caught.value)
    assert text.startswith('3 of 60 patches were refused:')
    assert f'Patch tile_037 (file {tmp_path / "tile_037.tif"}): The tiff ends too early.' in text
    assert 'Patch tile_050 (file ' in text
    assert sorted(one.key for one in caught.value.refusals) == ['tile_037', 'tile_041', 'tile_050']
    sent = {path.partition('?')[0].rpartition('/')[2] for method, path, _ in requests if method == 'PUT'}
    assert sent == {'tile_037', 'tile_041'}


def test_many_refusals_are_counted(tmp_path):
    keys = [f'k{at:02d}' for at in range(33)]
    with (
        scripted_server(answers(set(keys), 'dtype: expected uint8.', 409)) as (girder, _),
        pytest.raises(ConflictError, match=r'33 of 33 patches were refused:(?s:.*)and 13 more') as caught,
    ):
        StitchClient(girder, pause=0.001).upload('s', [Patch(key, b'x', 0, 0) for key in keys])
    assert str(caught.value).count('\n') == 21
    assert len(caught.value.refusals) == 33


def test_a_single_patch_is_named(tmp_path):
    with (
        scripted_server(answers({'a'}, 'x: expected a number.', 400)) as (girder, _),
        pytest.raises(InvalidInputError, match=r'^Patch a: x: expected a number\.$'),
    ):
        StitchClient(girder).put_patch('s', 'a', b'x', 0, 0)


def test_one_page_of_a_file_is_sent(tmp_path):
    stack = np.random.default_rng(0).integers(0, 60000, (3, 5, 7), np.uint16)
    tifffile.imwrite(tmp_path / 's.tif', stack, photometric='minisblack')
    (tmp_path / 'p.csv').write_text('file,x,y,page\ns.tif,0,0,2\ns.tif,7,0,0\n')
    patches = read_positions(tmp_path / 'p.csv')
    assert [patch.key for patch in patches] == ['s.tif@2', 's.tif@0']
    assert patches[0].label.endswith('(file s.tif, page 2)')
    for patch, page in zip(patches, (2, 0), strict=True):
        assert np.array_equal(np.load(io.BytesIO(patch.read())), stack[page])
    with pytest.raises(UnsupportedFormatError, match='Page 9 of'):
        Patch('a', tmp_path / 's.tif', page=9).read()


@pytest.mark.parametrize('threads', [1, 4])
def test_a_token_that_ends_is_renewed_with_the_api_key(threads):
    tokens = ['old', 'new']

    def answer(method, path, headers, body):
        if path.startswith('/api/v1/api_key/token'):
            assert 'key=secret' in path
            return 200, {'authToken': {'token': 'new', 'expires': ''}, 'user': {}}
        if headers.get('Girder-Token') != tokens[-1]:
            return 401, {'message': 'You must be logged in.'}
        return answers(set())(method, path, headers, body)

    with scripted_server(answer) as (girder, requests):
        girder.setToken('old')
        client = StitchClient(girder, api_key='secret', pause=0.001)
        outcome = client.upload(
            's', [Patch(f'k{at}', b'x', 0, 0) for at in range(20)], threads=threads, batch=1
        )
        assert outcome == {'created': 20}
        asked = [path for _, path, _ in requests if 'api_key/token' in path]
        assert len(asked) == 1
        girder.setToken('old')
        with pytest.raises(GirderZarrError, match='You must be logged in'):
            StitchClient(girder, pause=0.001).get('s')


def test_a_key_that_is_refused_is_asked_once():
    def answer(method, path, headers, body):
        return 401, {'message': 'You must be logged in.'}

    with (
        scripted_server(answer) as (girder, requests),
        pytest.raises(GirderZarrError, match='You must be logged in'),
    ):
        StitchClient(girder, api_key='secret', pause=0.001).get('s')
    assert sum('api_key/token' in path for _, path, _ in requests) == 1
