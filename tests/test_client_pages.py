"""Files of several pages: the client sends each once, for all patches that are pages of it."""

import io
import json
import tarfile

import numpy as np
import pytest

from girder_zarr.client import Patch, StitchClient, content_digest, page_upload
from girder_zarr.errors import InvalidInputError
from support import page_files
from support.scripted_server import scripted_server


class Server:
    """A session that takes everything, but what it is told to refuse."""

    def __init__(self, *, known=(), statuses=(), refused=()):
        self.known, self.statuses, self.refused = list(known), list(statuses), set(refused)
        self.tars, self.puts = [], []

    def __call__(self, method, path, headers, body):
        if method == 'GET':
            return 200, self.known if '/patch' in path else {'spec': {}}
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return status, {'message': 'The body has too many bytes.'}
        if method == 'PUT':
            self.puts.append(body)
            return 201, {'key': 'k', 'status': 'created'}
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            members = {one.name: tar.extractfile(one).read() for one in tar}
        self.tars.append(members)
        assert int(headers['Content-Length']) == len(body)
        return 200, {'patches': [self.outcome(one) for one in json.loads(members['manifest.json'])]}

    def outcome(self, one):
        if one['key'] in self.refused:
            return {'key': one['key'], 'status': 'refused', 'code': 400, 'message': 'z: expected an integer.'}
        return {'key': one['key'], 'status': 'created', 'code': 201}


def sent(server, patches, **options):
    with scripted_server(server) as (girder, _):
        return StitchClient(girder, pause=0.001).upload('s', patches, progress=False, **options)


@pytest.fixture
def stack(tmp_path):
    file = page_files.imagej('zc')
    (tmp_path / 's.tif').write_bytes(file.data)
    return tmp_path / 's.tif', file


@pytest.mark.parametrize('kind', ['list', 'iterator'])
def test_a_file_is_sent_once_for_all_its_pages(stack, kind):
    path, file = stack
    patches = [Patch(f'p{n}', path, 3, 4, page=n, **at) for n, at in enumerate(file.index)]
    server = Server()
    assert sent(server, patches if kind == 'list' else iter(patches)) == {'created': 6}
    ((manifest, data),) = [tuple(members.values()) for members in server.tars]
    assert data == file.data
    entry = {'file': '0', 'key': 'p5', 'x': 3, 'y': 4, 'z': 2, 'c': 1, 'order': 0, 'page': 5}
    assert json.loads(manifest)[5] == {**entry, 'digest': content_digest(file.data)}
    assert not server.puts


def test_pages_of_a_list_are_found_wherever_they_are(stack):
    path, file = stack
    (path.parent / 'b.tif').write_bytes(file.data)
    pages = [
        Patch(f'{name}{n}', path.parent / f'{name}.tif', 0, 0, page=n) for n in range(6) for name in 'sb'
    ]
    server = Server()
    assert sent(server, pages, threads=1) == {'created': 12}
    assert [members['0'] == file.data for members in server.tars] == [True, True]


def test_all_pages_are_named_as_the_server_names_them(stack):
    path, file = stack
    server = Server()
    assert sent(server, [Patch('a', path, 0, 0, z=4, pages='auto')]) == {'created': 6}
    entries = json.loads(server.tars[0]['manifest.json'])
    assert [one['key'] for one in entries] == [f'a@{n}' for n in range(6)]
    assert [(one['z'], one['c']) for one in entries] == [(4 + at['z'], at['c']) for at in file.index]


def test_pages_that_the_server_has_are_not_sent(stack):
    path, file = stack
    there = {'digest': content_digest(file.data), 'order': 0}
    known = [{'key': f'a@{n}', **there, 'page': n, 'position': {'x': 0, 'y': 0, **at}}
             for n, at in enumerate(file.index)]  # fmt: skip
    patches = [Patch('a', path, 0, 0, pages='auto')]
    server = Server(known=known)
    assert sent(server, patches) == {'skipped': 6}
    assert not server.tars
    known[1]['page'] = 0
    assert sent(Server(known=known), patches) == {'created': 6}


def test_few_pages_of_a_large_file_are_sent_by_themselves(tmp_path):
    file = page_files.plain(200)
    (tmp_path / 's.tif').write_bytes(file.data)
    server = Server()
    patches = [Patch(f'p{n}', tmp_path / 's.tif', 0, 0, z=n, page=9 * n) for n in range(2)]
    assert sent(server, patches, threads=1) == {'created': 2}
    arrays = [np.load(io.BytesIO(server.tars[0][name])) for name in '01']
    assert np.array_equal(arrays, [file.pages[0], file.pages[9]])


def test_a_file_that_the_server_finds_too_large_is_sent_page_by_page(stack):
    path, file = stack
    server = Server(statuses=[413])
    assert sent(server, [Patch('a', path, 0, 0, pages='auto')]) == {'created': 6}
    assert np.array_equal([np.load(io.BytesIO(body)) for body in server.puts], file.pages)


def test_a_body_is_sent_again_from_its_beginning(stack):
    path, file = stack
    server = Server(statuses=[503, 503])
    assert sent(server, [Patch('a', path, 0, 0, pages='auto')]) == {'created': 6}
    assert server.tars[0]['0'] == file.data


def test_a_refused_page_is_named_with_its_file(stack):
    path, _ = stack
    with pytest.raises(InvalidInputError) as caught:
        sent(Server(refused={'a@2'}), [Patch('a', path, 0, 0, pages='auto')])
    assert str(caught.value) == f'Patch a@2 (file {path}, page 2): z: expected an integer.'


def test_a_file_that_goes_meanwhile_is_named(stack):
    path, _ = stack
    units = list(page_upload.by_file([Patch('a', path, 0, 0, pages='auto')]))
    path.unlink()
    for use in (units[0].digest, lambda: units[0].body('x')):
        with pytest.raises(InvalidInputError, match=r'The file .*s\.tif cannot be read'):
            use()
    assert [one.key for one in page_upload.by_file([Patch('a', path, 0, 0, page=1)])] == ['a']
