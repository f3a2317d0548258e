"""No answer to a user names a path of the server; an administrator's does where that helps."""

import json
import zipfile

import pytest
import zarr

from girder_zarr import image
from girder_zarr.errors import NoSpaceError
from support.girder_images import import_directory, upload
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')


def roots(tmp_path):
    from girder.models.assetstore import Assetstore

    return [str(tmp_path).encode(), *(store['root'].encode() for store in Assetstore().find())]


def check(answer, tmp_path):
    for root in roots(tmp_path):
        assert root not in answer, answer


@pytest.fixture
def broken(zarr_server, people, folder, tmp_path):
    """An upload that says it is a zarr, and whose array cannot be read."""
    path = tmp_path / 'broken.zarr.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('zarr.json', '{"zarr_format": 3, "node_type": "array", "shape": "wide"}')
    body = path.read_bytes()
    return upload(folder, people['owner'], 'broken.zarr.zip', body)


def test_a_refused_upload(api, people, broken, tmp_path):
    item = broken[0]
    for user in (people['owner'], people['admin']):
        status, answer = api.call('POST', f'/item/{item["_id"]}/tiles', is_json=False, user=user)
        assert status == 415, answer
        assert b'broken.zarr.zip' in answer
        if user is not people['admin']:
            check(answer, tmp_path)
    status, answer = api.call('GET', f'/zarr/item/{item["_id"]}/source', is_json=False)
    check(answer, tmp_path)


def test_an_image_with_a_label_that_cannot_be_read(api, people, folder, tmp_path):
    (tmp_path / 'in').mkdir()
    sink = image.new()
    sink.addTile(random_pixels(100, 100), 0, 0)
    sink.write(tmp_path / 'in' / 'labelled.zarr')
    root = zarr.open_group(tmp_path / 'in' / 'labelled.zarr')
    labels = root.create_group('labels')
    labels.attrs['ome'] = {'version': '0.5', 'labels': ['cells']}
    (tmp_path / 'in' / 'labelled.zarr' / 'labels' / 'cells').mkdir()
    (tmp_path / 'in' / 'labelled.zarr' / 'labels' / 'cells' / 'zarr.json').write_text('{"node_type": 7}')
    import_directory(tmp_path / 'in', folder, people['admin'])
    [item] = api.call('GET', '/item', {'folderId': folder['_id']})[1]
    base = f'/item/{item["_id"]}/tiles'
    for route in ('', '/internal_metadata', '/images', '/images/label_cells', '/zxy/9/9/9'):
        _, answer = api.call('GET', base + route, is_json=False)
        check(answer, tmp_path)


def test_a_session_whose_job_fails(api, folder, dispatched, tmp_path, monkeypatch):
    from girder.models.assetstore import Assetstore
    from girder_jobs.models.job import Job

    root = Assetstore().findOne({})['root']

    def fail(*_args, **_kwargs):
        raise OSError(28, 'No space left on device', f'{root}/temp/x')

    for error in (fail, lambda *_args, **_kwargs: (_ for _ in ()).throw(RuntimeError(f'{root}/a/b is gone'))):
        _, session = api.create(folder)
        api.put(session, 'a', png(random_pixels(8, 8)))
        monkeypatch.setattr('girder_zarr.server.jobs.run.assemble_file', error)
        api.finalize(session)
        with pytest.raises((NoSpaceError, RuntimeError)):
            dispatched.run()
        session = api.get(session)[1]
        assert session['state'] == 'error'
        job = Job().load(session['jobId'], force=True, includeLog=True)
        check(json.dumps([session['error'], job['log']], default=str).encode(), tmp_path)
        assert 'Traceback' not in str(job['log'])
