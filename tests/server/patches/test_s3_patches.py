"""Patches, in bulk and from files, and reference images in an S3 assetstore, on moto's server."""

import io
import json

import numpy as np
import pytest
import tifffile
from girder.models.file import File
from girder.models.upload import Upload

from support import page_files
from support.server import png, random_pixels, region_of, tar

pytestmark = [pytest.mark.plugin('zarr'), pytest.mark.usefixtures('assetstore')]
PIXELS = [random_pixels(32, 32, seed=number) for number in range(4)]


def keys_of(bucket):
    return [one['Key'] for one in bucket.list_objects_v2(Bucket=bucket.bucket).get('Contents', [])]


def test_bulk_single_files_and_references(api, people, folder, session, dispatched, bucket):
    path = f'/stitch_session/{session["_id"]}'
    mask = np.full((32, 32), 255, np.uint8)
    mask[:, 16:] = 0
    status, _ = api.call('PUT', f'{path}/reference/m', body=png(mask), content_type='image/png')
    assert status == 201
    body = tar([(f'p{n}_x{32 * n}_y0', png(PIXELS[n])) for n in range(2)])
    status, answer = api.call('POST', f'{path}/patches', body=body, content_type='application/x-tar')
    assert [one['status'] for one in answer['patches']] == ['created'] * 2
    assert api.put(session, 'c', png(PIXELS[2]), x=64, maskKey='m')[0] == 201
    data = png(PIXELS[3])
    file = Upload().uploadFromFile(io.BytesIO(data), len(data), 'd.png', 'folder', folder, people['owner'])
    entries = [{'fileId': str(file['_id']), 'x': 96, 'y': 0}]
    status, answer = api.call('POST', f'{path}/files', body=json.dumps(entries), content_type='any/json')
    assert answer['patches'][0]['status'] == 'created', answer
    # The mask, the pack of two, the single one, and the file.
    assert len(keys_of(bucket)) == 4
    api.finalize(session)
    dispatched.run()
    done = api.get(session)[1]
    assert done['state'] == 'complete', done
    shown = region_of(api, done)
    expected = np.concatenate(PIXELS, axis=1)
    expected[:, 80:96] = 0
    assert np.array_equal(shown, expected)


def test_what_goes_leaves_no_object(api, session, bucket):
    path = f'/stitch_session/{session["_id"]}'
    body = tar([(f'p{n}_x{32 * n}_y0', png(PIXELS[n])) for n in range(2)])
    api.call('POST', f'{path}/patches', body=body, content_type='application/x-tar')
    api.put(session, 'c', png(PIXELS[2]), x=64)
    assert api.put(session, 'c', png(PIXELS[3]), x=64, replace=True)[1]['status'] == 'replaced'
    assert len(keys_of(bucket)) == 2
    assert api.put(session, 'gray', png(PIXELS[0][:, :, 0]))[0] == 409
    assert len(keys_of(bucket)) == 2
    api.delete(session)
    assert keys_of(bucket) == []
    assert list(File().find()) == []
    assert list(Upload().find()) == []


def test_pages_of_one_object(api, folder, people, session, dispatched, bucket):
    file = page_files.imagej('z')
    assert api.put(session, 'a', file.data, pages='auto')[0] == 201
    lent = Upload().uploadFromFile(
        io.BytesIO(file.data), len(file.data), 'b.tif', 'folder', folder, people['owner']
    )
    entries = [{'fileId': str(lent['_id']), 'x': page_files.SIDE, 'y': 0, 'pages': 'auto'}]
    path = f'/stitch_session/{session["_id"]}/files'
    assert api.call('POST', path, body=json.dumps(entries), content_type='any/json')[0] == 200
    assert len(keys_of(bucket)) == 2
    api.finalize(session)
    dispatched.run()
    done = api.get(session)[1]
    assert (done['state'], done['counts']['patches']) == ('complete', 6), done
    expected = np.concatenate([np.stack(file.pages)] * 2, axis=2)
    for frame in range(3):
        params = {'frame': frame, 'encoding': 'TIFF'}
        body = api.call('GET', f'/item/{done["itemId"]}/tiles/region', params, is_json=False)[1]
        assert np.array_equal(tifffile.imread(io.BytesIO(body)).squeeze(), expected[frame])
