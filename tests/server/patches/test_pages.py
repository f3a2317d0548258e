"""One file as several patches: sent and stored once, each page a patch like any other."""

import io
import json

import numpy as np
import pytest
import tifffile
from girder.models.file import File
from girder.models.upload import Upload

from girder_zarr.server.maintenance.orphans import sweep_orphans
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions.model import StitchSession
from support import page_files
from support.girder_images import upload
from support.server import png, random_pixels, stored_array, tar

pytestmark = pytest.mark.plugin('zarr')
SIDE = page_files.SIDE
#: The body of a request that sends no file; the test's client would send parameters in place of an empty one.
NOTHING = b'-'


def files():
    return list(File().collection.find({}))


def counts(api, session):
    return api.get(session)[1]['counts']


def finished(api, session, dispatched):
    status, started = api.finalize(session)
    assert status == 200, started
    dispatched.run()
    return stored_array(api.get(session)[1])


def positions(api, session):
    listed = api.call('GET', f'/stitch_session/{session["_id"]}/patch', {'limit': 0})[1]
    return {one['key']: one['position'] for one in listed}


@pytest.mark.parametrize('name', ['ImageJ TZCYX', 'OME XYTZC', 'OME BigTIFF', 'MMStack'])
def test_all_pages_of_a_file_become_the_image(api, folder, dispatched, name):
    file = page_files.KNOWN[name]()
    _, session = api.create(folder)
    status, answer = api.put(session, 'a.tif', file.data, pages='auto')
    assert (status, answer['key'], answer['status']) == (201, 'a.tif', 'created'), answer
    assert [one['key'] for one in answer['patches']] == [f'a.tif@{n}' for n in range(len(file.pages))]
    assert [one['page'] for one in answer['patches']] == list(range(len(file.pages)))
    assert answer['patches'][-1]['position'] == {'x': 0, 'y': 0, **file.index[-1]}
    assert counts(api, session) == {'patches': len(file.pages), 'bytes': len(file.data)}
    (stored,) = files()
    assert stored['size'] == len(file.data)
    pixels = finished(api, session, dispatched)
    axes = [axis for axis in 'tcz' if axis in file.index[0]]
    for index, page in zip(file.index, file.pages, strict=True):
        assert np.array_equal(pixels[tuple(index[axis] for axis in axes)], page)


def test_pages_count_from_the_indices_that_are_given(api, folder, dispatched):
    file = page_files.imagej('z')
    _, session = api.create(folder)
    for t in range(2):
        assert api.put(session, f's{t}', file.data, x=3, y=4, t=t, z=5, pages='auto')[0] == 201
    assert positions(api, session)['s1@2'] == {'x': 3, 'y': 4, 't': 1, 'z': 7}
    assert finished(api, session, dispatched).shape == (2, 3, SIDE, SIDE)


def test_pages_of_an_unknown_file_lie_where_the_client_says(api, session, dispatched):
    file = page_files.plain()
    status, answer = api.put(session, 'a', file.data)
    assert (status, 'pages=auto, c, z or t' in answer['message']) == (415, True), answer
    status, answer = api.put(session, 'a', file.data, pages='auto')
    assert (status, 'expected c, z or t' in answer['message']) == (415, True), answer
    status, answer = api.put(session, 'a', file.data, pages='q')
    assert (status, answer['message']) == (400, "pages: expected auto, c, z or t, found 'q'.")
    assert counts(api, session)['patches'] == 0
    assert not files()
    assert api.put(session, 'a', file.data, pages='c')[0] == 201
    assert np.array_equal(finished(api, session, dispatched), np.stack(file.pages))


def test_the_same_again_changes_nothing(api, session):
    file = page_files.imagej('zc')
    api.put(session, 'a', file.data, pages='auto')
    before = api.get(session)[1], files()
    status, answer = api.put(session, 'a', file.data, pages='auto')
    assert (status, answer['status']) == (200, 'unchanged')
    assert {one['position']['z'] for one in answer['patches']} == {0, 1, 2}
    assert (api.get(session)[1], files()) == before
    # One that was removed comes back, and the file is not stored again.
    assert api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/a@3')[0] == 200
    assert counts(api, session) == {'patches': 5, 'bytes': len(file.data)}
    assert api.put(session, 'a', file.data, pages='auto')[1]['status'] == 'created'
    assert counts(api, session) == {'patches': 6, 'bytes': len(file.data)}
    assert [file['_id'] for file in files()] == [file['_id'] for file in before[1]]


def test_another_file_takes_the_place_of_all_pages_on_request(api, session, dispatched):
    first, second = page_files.imagej('zc'), page_files.plain(2)
    api.put(session, 'a', first.data, pages='auto', c=0, z=0)
    status, answer = api.put(session, 'a', second.data, pages='z', c=0)
    assert (status, 'exists' in answer['message']) == (409, True), answer
    assert counts(api, session) == {'patches': 6, 'bytes': len(first.data)}
    status, answer = api.put(session, 'a', second.data, pages='z', c=0, replace=True)
    assert (status, answer['status'], len(answer['patches'])) == (200, 'replaced', 2), answer
    assert counts(api, session) == {'patches': 2, 'bytes': len(second.data)}
    assert [file['size'] for file in files()] == [len(second.data)]
    assert np.array_equal(finished(api, session, dispatched)[0], np.stack(second.pages))


def test_pages_move_without_being_stored_again(api, session):
    file = page_files.imagej('z')
    api.put(session, 'a', file.data, pages='auto')
    kept = [one['_id'] for one in files()]
    status, answer = api.put(session, 'a', file.data, x=9, pages='auto', replace=True)
    assert (status, answer['status']) == (200, 'replaced')
    assert [one['_id'] for one in files()] == kept
    assert counts(api, session) == {'patches': 3, 'bytes': len(file.data)}


def test_a_file_is_seen_and_removed_as_a_whole(api, session):
    file = page_files.imagej('z')
    path = f'/stitch_session/{session["_id"]}/patch/a'
    assert api.call('GET', path)[0] == 404
    api.put(session, 'a', file.data, pages='auto')
    status, seen = api.call('GET', path)
    assert (status, [one['key'] for one in seen['patches']]) == (200, ['a@0', 'a@1', 'a@2'])
    assert api.call('DELETE', path)[0] == 200
    assert counts(api, session) == {'patches': 0, 'bytes': 0}
    assert not files()
    assert api.call('DELETE', path)[0] == 404


def test_a_file_of_one_page_keeps_its_key(api, session):
    status, answer = api.put(session, 'a', png(random_pixels(8, 8)), pages='auto')
    assert (status, [one['key'] for one in answer['patches']]) == (201, ['a'])
    assert 'page' not in answer['patches'][0]


def test_other_pages_of_a_file_need_not_be_sent(api, session, dispatched):
    file = page_files.plain()
    status, first = api.put(session, 'p2', file.data, page=2, c=0)
    assert (status, first['page'], first['size']) == (201, 2, len(file.data)), first
    for c, page in ((1, 4), (2, 0)):
        status, answer = api.put(session, f'p{page}', NOTHING, page=page, c=c, sameAs='p2',
                                 headers=[('Content-Digest', first['digest'])])  # fmt: skip
        assert (status, answer['digest'], answer['status']) == (201, first['digest'], 'created'), answer
    assert api.put(session, 'p0', NOTHING, page=0, c=2, sameAs='p2')[1]['status'] == 'unchanged'
    assert counts(api, session) == {'patches': 3, 'bytes': len(file.data)}
    assert len(files()) == 1
    # The file stays with the last page of it.
    api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/p2')
    assert counts(api, session) == {'patches': 2, 'bytes': len(file.data)}
    assert api.put(session, 'p2', NOTHING, page=2, c=0, sameAs='p4')[0] == 201
    status, moved = api.put(session, 'p4', NOTHING, page=3, c=1, sameAs='p2', replace=True)
    assert (status, moved['status'], moved['page']) == (200, 'replaced', 3)
    assert counts(api, session) == {'patches': 3, 'bytes': len(file.data)}
    expected = np.stack([file.pages[2], file.pages[3], file.pages[0]])
    assert np.array_equal(finished(api, session, dispatched), expected)


def test_what_is_not_a_page_of_ones_own_is_no_source(api, people, session):
    file = page_files.plain()
    api.put(session, 'p', file.data, page=2)
    api.put(session, 'q', png(random_pixels(SIDE, SIDE, bands=1, dtype='uint8')[..., 0]))
    for params, user, status, part in (
        ({'sameAs': 'p'}, ..., 400, 'sameAs: expected page beside it'),
        ({'sameAs': 'nothing', 'page': 1}, ..., 404, 'no patch nothing'),
        ({'sameAs': 'p', 'page': 5}, ..., 415, 'page: expected 0 to 4, found 5'),
        ({'sameAs': 'p', 'page': 1}, people['writer'], 409, 'that you have sent yourself'),
    ):
        found, answer = api.put(session, 'r', NOTHING, user=user, **params)
        assert (found, part in answer['message']) == (status, True), answer
    digest = [('Content-Digest', f'sha-256=:{"A" * 43}=:')]
    other = api.put(session, 'r', NOTHING, page=1, sameAs='p', headers=digest)
    assert (other[0], 'the file of sameAs has' in other[1]['message']) == (400, True), other
    assert counts(api, session)['patches'] == 1


def test_a_file_that_is_removed_meanwhile_is_no_source(api, session, monkeypatch):
    file = page_files.plain()
    api.put(session, 'p', file.data, page=2)
    check = StitchPatch.check

    def removed(self, *arguments):
        monkeypatch.setattr(StitchPatch, 'check', check)
        self.discard(StitchSession().findOne({}), 'p')
        return check(self, StitchSession().findOne({}), *arguments[1:])

    monkeypatch.setattr(StitchPatch, 'check', removed)
    status, answer = api.put(session, 'r', NOTHING, page=1, sameAs='p')
    assert (status, answer['message']) == (409, 'Patch p was removed or replaced meanwhile.')
    assert StitchPatch().collection.count_documents({}) == 0
    assert not files()


def test_a_bad_page_stores_nothing(api, session):
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as tiff:
        tiff.write(np.zeros((8, 8), np.uint8), metadata=None)
        tiff.write(np.zeros((8, 8), np.uint16), metadata=None)
    status, answer = api.put(session, 'a', stream.getvalue(), pages='z')
    assert (status, 'dtype' in answer['message']) == (409, True), answer
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as tiff:
        tiff.write(np.zeros((8, 8), np.uint8), metadata=None)
        tiff.write(
            np.zeros((8, 8, 2), np.uint8), photometric='minisblack', planarconfig='contig', metadata=None
        )
    status, answer = api.put(session, 'a', stream.getvalue(), pages='z')
    assert (status, answer['message'].startswith('page 1: The tiff has 2 samples')) == (415, True), answer
    assert counts(api, session)['patches'] == 0
    assert not files()


@pytest.mark.parametrize('by', ['page', 'pages'])
def test_a_file_of_a_stream_is_several_patches(api, session, dispatched, by):
    file = page_files.plain()
    entries = [{'file': 's.tif', 'x': 0, 'y': 0, 'z': z, 'page': z} for z in range(5)]
    if by == 'pages':
        entries = [{'file': 's.tif', 'x': 0, 'y': 0, 'pages': 'z'}]
    body = tar([('manifest.json', json.dumps(entries).encode()), ('s.tif', file.data)])
    path = f'/stitch_session/{session["_id"]}/patches'
    for code, became in ((201, 'created'), (200, 'unchanged')):
        status, answer = api.call('POST', path, body=body, content_type='application/x-tar')
        expected = [{'key': f's.tif@{n}', 'status': became, 'code': code} for n in range(5)]
        assert (status, answer['patches']) == (200, expected)
        assert counts(api, session) == {'patches': 5, 'bytes': len(file.data)}
        assert len(files()) == 1
    assert np.array_equal(finished(api, session, dispatched), np.stack(file.pages))


def test_pages_of_a_stream_are_refused_one_by_one(api, session):
    file = page_files.plain()
    entries = [{'file': 's', 'key': key, 'x': 0, 'y': 0, 'page': page} for key, page in
               (('a', 0), ('a', 1), ('b', 9), ('c', 3))]  # fmt: skip
    body = tar([('manifest.json', json.dumps(entries).encode()), ('s', file.data)])
    path = f'/stitch_session/{session["_id"]}/patches'
    answer = api.call('POST', path, body=body, content_type='application/x-tar')[1]
    assert {one['key']: one['code'] for one in answer['patches'] if one['status'] == 'refused'} == {
        'a': 400,
        'b': 415,
    }
    assert counts(api, session)['patches'] == 2
    twice = json.dumps([{'file': 's', 'key': 'a', 'x': 0, 'y': 0}, {'file': 's', 'x': 0, 'y': 0}]).encode()
    status, answer = api.call(
        'POST', path, body=tar([('manifest.json', twice)]), content_type='application/x-tar'
    )
    assert (status, 'need a page each' in answer['message']) == (400, True)


def test_pages_of_a_file_in_girder_are_lent(api, folder, people, session, dispatched):
    file = page_files.ome('zt')
    _, lent = upload(folder, people['owner'], 'a.ome.tif', file.data)
    body = json.dumps([{'key': 'a', 'fileId': str(lent['_id']), 'x': 0, 'y': 0, 'pages': 'auto'}])
    path = f'/stitch_session/{session["_id"]}/files'
    for became in ('created', 'unchanged'):
        status, answer = api.call('POST', path, body=body, content_type='application/json')
        assert (status, [one['status'] for one in answer['patches']]) == (200, [became] * 6), answer
    assert counts(api, session) == {'patches': 6, 'bytes': len(file.data)}
    status, answer = api.put(session, 'b', NOTHING, page=1, sameAs='a@0')
    assert (status, 'name its fileId' in answer['message']) == (409, True), answer
    pixels = finished(api, session, dispatched)
    for index, page in zip(file.index, file.pages, strict=True):
        assert np.array_equal(pixels[index['t'], index['z']], page)


def test_a_lent_file_of_pages_that_changed_is_found(api, folder, people, session, dispatched):
    file = page_files.plain()
    _, lent = upload(folder, people['owner'], 'a.tif', file.data)
    entries = [
        {'key': f'k{n}', 'fileId': str(lent['_id']), 'x': 0, 'y': 0, 'z': n, 'page': n} for n in (1, 3)
    ]
    path = f'/stitch_session/{session["_id"]}/files'
    api.call('POST', path, body=json.dumps(entries), content_type='application/json')
    changed = bytearray(file.data)
    changed[-1] ^= 1
    with open(File().getLocalFilePath(File().load(lent['_id'], force=True)), 'r+b') as stream:  # noqa: PTH123
        stream.write(changed)
    api.finalize(session)
    dispatched.run_failing()
    assert 'is not what it was when it became a patch' in api.get(session)[1]['error']


def test_an_upload_of_girder_is_several_patches(api, folder, people, session):
    file = page_files.imagej('z')
    reference = {'stitchSession': str(session['_id']), 'key': 'u', 'x': 0, 'y': 0, 'pages': 'auto'}

    def send(body, reference):
        Upload().uploadFromFile(
            io.BytesIO(body),
            len(body),
            'u.tif',
            'folder',
            folder,
            people['owner'],
            reference=json.dumps(reference),
        )

    send(file.data, reference)
    assert sorted(positions(api, session)) == ['u@0', 'u@1', 'u@2']
    assert counts(api, session) == {'patches': 3, 'bytes': len(file.data)}
    send(file.data, reference)
    assert len(files()) == 1


def test_the_preview_shows_each_page_at_its_place(api, session):
    file = page_files.imagej('z')
    api.put(session, 'a', file.data, pages='auto')
    for frame, page in enumerate(file.pages):
        path = f'/stitch_session/{session["_id"]}/tiles/region'
        params = {'frame': frame, 'encoding': 'TIFF', 'units': 'base_pixels'}
        status, body = api.call('GET', path, params, is_json=False)
        assert status == 200
        assert np.array_equal(tifffile.imread(io.BytesIO(body)).squeeze(), page)


def test_a_sweep_counts_a_file_once(api, session):
    file = page_files.imagej('z')
    api.put(session, 'a', file.data, pages='auto')
    right = counts(api, session)
    StitchSession().collection.update_one({}, {'$set': {'counts': {'patches': 9, 'bytes': 9}}})
    sweep_orphans(StitchSession().findOne({}), older_than=0)
    assert counts(api, session) == right
    assert len(files()) == 1
