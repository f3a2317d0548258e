"""The file of a patch, as those who may change it get it back."""

import pytest

from support.server import npy, png, random_pixels, tar

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def read(zarr_server, user):
    """Ask for the file of a patch; return status, bytes and the headers."""

    def read(session, key):
        path = f'/stitch_session/{session["_id"]}/patch/{key}/file'
        response = zarr_server.request(path=path, user=user, isJson=False)
        return int(response.output_status.split()[0]), b''.join(response.body), response.headers

    return read


def test_the_file_comes_back_byte_for_byte(api, session, read):
    body = png(random_pixels(8, 8, seed=1))
    api.put(session, 'a.png', body, x=0)
    status, data, headers = read(session, 'a.png')
    assert (status, data) == (200, body)
    assert headers['Content-Type'] == 'application/octet-stream'
    assert headers['Content-Disposition'] == 'attachment; filename="a.png"'
    assert read(session, 'b.png')[0] == 404


def test_of_many_in_one_file_each_comes_alone(api, session, read):
    """What is sent together may be stored in one file."""
    bodies = {f'p{at}': npy(random_pixels(8, 8, seed=at)) for at in range(3)}
    fields = {name: {'key': name, 'x': 8 * at, 'y': 0} for at, name in enumerate(bodies)}
    sent = tar(list(bodies.items()), fields)
    path = f'/stitch_session/{session["_id"]}/patches'
    assert api.call('POST', path, body=sent, content_type='application/x-tar')[0] == 200
    assert {key: read(session, key)[1] for key in bodies} == bodies


def test_what_was_lent_is_read_in_girder(api, session, read, folder, user):
    import io
    import json

    from girder.models.upload import Upload

    body = png(random_pixels(8, 8, seed=2))
    file = Upload().uploadFromFile(io.BytesIO(body), len(body), 'l.png', 'folder', folder, user)
    manifest = json.dumps([{'fileId': str(file['_id']), 'key': 'l', 'x': 0, 'y': 0}])
    path = f'/stitch_session/{session["_id"]}/files'
    status, answer = api.call('POST', path, body=manifest, content_type='application/json')[:2]
    assert status == 200, answer
    status, data, _ = read(session, 'l')
    assert status == 409
    assert b'a file in Girder, where it can be downloaded' in data
