"""Patches that go into an S3 assetstore through Girder's own upload: past Girder, or through it."""

import io
import json
import re

import numpy as np
import pytest
import requests
import tifffile
from girder.models.file import File
from girder.models.folder import Folder
from girder.utility.s3_assetstore_adapter import S3AssetstoreAdapter

from support.server import npy, random_pixels

pytestmark = [pytest.mark.plugin('zarr'), pytest.mark.usefixtures('assetstore')]
PIXELS = random_pixels(40, 50, 1)
BODY = npy(PIXELS)
#: The smallest part that S3 takes.
PART = 5 * 2**20


@pytest.fixture
def begin(api, folder, session):
    """Begin an upload that names the session; return status and answer."""

    def ask(size, **changes):
        reference = {'stitchSession': session['_id'], 'key': 'a', 'x': 3, 'y': 4, **changes}
        params = {'parentType': 'folder', 'parentId': folder['_id'], 'name': 'a.npy', 'size': size}
        return api.call('POST', '/file', {**params, 'reference': json.dumps(reference)})

    return ask


def send(request, body):
    answer = requests.request(
        request['method'], request['url'], data=body, headers=request.get('headers'), timeout=60
    )
    assert answer.status_code == 200, answer.text
    return answer.text


def complete(api, upload):
    return api.call('POST', '/file/completion', {'uploadId': upload['_id']})


def objects(client):
    return [found['Key'] for found in client.list_objects_v2(Bucket=client.bucket).get('Contents', ())]


def check_patch(api, session, folder, size):
    """The session has one patch, whose file is its own and counts in the folder."""
    _, (patch,) = api.call('GET', f'/stitch_session/{session["_id"]}/patch')
    assert (patch['key'], patch['position'], patch['size']) == ('a', {'x': 3, 'y': 4}, size)
    (file,) = File().find({'attachedToId': {'$exists': True}})
    assert file['attachedToType'] == ['stitch_session', 'girder_zarr']
    assert Folder().load(folder['_id'], force=True)['size'] == size


def test_bytes_that_go_straight_to_s3_become_a_patch(api, folder, session, bucket, begin, dispatched):
    status, upload = begin(len(BODY))
    assert (status, upload['behavior']) == (200, 's3'), upload
    send(upload['s3']['request'], BODY)
    status, answer = complete(api, upload)
    assert status == 200, answer
    check_patch(api, session, folder, len(BODY))
    api.finalize(session)
    dispatched.run()
    _, done = api.get(session)
    assert done['state'] == 'complete', done['error']
    api.delete(session)
    assert Folder().load(folder['_id'], force=True)['size'] == File().load(done['fileId'], force=True)['size']
    assert len(objects(bucket)) == 1


def test_bytes_that_girder_passes_on_become_a_patch(api, folder, session, begin):
    _, upload = begin(len(BODY))
    params = {'uploadId': upload['_id'], 'offset': 0}
    status, answer = api.call('POST', '/file/chunk', params, body=BODY, content_type='any/thing')
    assert status == 200, answer
    check_patch(api, session, folder, len(BODY))


def test_parts_that_go_straight_to_s3_become_a_patch(api, folder, session, bucket, begin, monkeypatch):
    monkeypatch.setattr(S3AssetstoreAdapter, 'CHUNK_LEN', PART)
    body = npy(random_pixels(2500, 2500, 1))
    status, upload = begin(len(body))
    assert (status, upload['s3']['chunked']) == (200, True), upload
    s3_id = re.search('<UploadId>(.+)</UploadId>', send(upload['s3']['request'], b''))[1]
    for number, at in enumerate(range(0, len(body), PART), 1):
        piece = body[at : at + PART]
        chunk = {'partNumber': number, 's3UploadId': s3_id, 'contentLength': len(piece)}
        params = {'uploadId': upload['_id'], 'offset': 0, 'chunk': json.dumps(chunk)}
        status, answer = api.call('POST', '/file/chunk', params)
        assert status == 200, answer
        send(answer['s3']['request'], piece)
    status, answer = complete(api, upload)
    assert status == 200, answer
    check_patch(api, session, folder, len(body))


def test_an_upload_that_is_refused_after_its_bytes_leaves_nothing(api, session, stored, bucket, begin):
    before = stored()
    other = b'this is no image'
    status, upload = begin(len(other))
    assert status == 200
    send(upload['s3']['request'], other)
    status, answer = complete(api, upload)
    assert (status, 'not an image' in answer['message']) == (415, True), answer
    assert (stored(), objects(bucket)) == (before, [])


@pytest.mark.parametrize('sent', [None, BODY[:-100]])
def test_an_upload_that_is_completed_without_its_bytes(api, session, stored, bucket, begin, sent):
    """Girder takes the client's word for what it has sent to S3; a patch has to be there whole."""
    before = stored()
    _, upload = begin(len(BODY))
    if sent is not None:
        send(upload['s3']['request'], sent)
    status, answer = complete(api, upload)
    assert 400 <= status < 500, answer
    assert ('gone' if sent is None else 'bytes') in answer['message'], answer
    assert (stored(), objects(bucket)) == (before, [])
    assert api.get(session)[1]['counts']['patches'] == 0


def test_another_digest_than_was_announced(api, session, stored, bucket, begin):
    before = stored()
    _, upload = begin(len(BODY), digest='sha-256=:' + 'A' * 43 + '=:')
    send(upload['s3']['request'], BODY)
    status, answer = complete(api, upload)
    assert (status, 'digest' in answer['message']) == (400, True), answer
    assert (stored(), objects(bucket)) == (before, [])


def test_the_image_of_patches_in_s3(api, folder, session, begin, dispatched):
    _, upload = begin(len(BODY), x=0, y=0)
    send(upload['s3']['request'], BODY)
    assert complete(api, upload)[0] == 200
    assert api.put(session, 'b', BODY, x=50)[0] == 201
    api.finalize(session)
    dispatched.run()
    _, done = api.get(session)
    assert done['state'] == 'complete', done['error']
    source = api.call('GET', f'/item/{done["itemId"]}/tiles/region', {'encoding': 'TIFF'}, is_json=False)
    assert source[0] == 200
    assert np.array_equal(np.squeeze(tifffile.imread(io.BytesIO(source[1]))), np.hstack([PIXELS, PIXELS]))
