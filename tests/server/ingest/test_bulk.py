"""Many patches in one request, as tar or multipart: what is stored, what refused, what hostile ones do."""

import io
import json
import tarfile

import numpy as np
import pytest
from girder.models.file import File
from girder.models.setting import Setting

from girder_zarr.server.ingest import bulk_ingest as bulk
from girder_zarr.server.settings.define import SettingKey
from support.server import npy, png, random_pixels, stored_array, tar

pytestmark = pytest.mark.plugin('zarr')


def multipart(files, boundary='xyz'):
    parts = []
    for name, data in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="patch"; filename="{name}"\r\n\r\n'
        parts.append(head.encode() + data + b'\r\n')
    return b''.join(parts) + f'--{boundary}--\r\n'.encode()


@pytest.fixture
def send(api, session):
    """Send a body to the session; return status and what became of each key."""

    def post(body, *, to=session, content_type='application/x-tar', user=..., **params):
        path = f'/stitch_session/{to["_id"]}/patches'
        status, answer = api.call('POST', path, params, body=body, content_type=content_type, user=user)
        found = answer.get('patches') or (answer.get('extra') or {}).get('patches', [])
        return status, {one['key']: one['status'] for one in found}

    return post


def grid(count=4, side=16):
    """Patches in a row: (name, pixels, position)."""
    return [(f'p{n}.png', random_pixels(side, side, seed=n), {'x': side * n, 'y': 0}) for n in range(count)]


@pytest.mark.parametrize('kind', ['tar', 'ustar', 'gnu', 'multipart', 'csv', 'pax', 'names'])
def test_patches_of_one_request_become_one_image(api, session, send, dispatched, kind):
    patches = grid()
    files = [(name, png(pixels)) for name, pixels, _ in patches]
    entries = [{'file': name, 'key': name[:2], **place} for name, _, place in patches]
    as_json = [('manifest.json', json.dumps({'patches': entries}).encode())]
    content_type = 'application/x-tar'
    if kind == 'multipart':
        body, content_type = multipart(as_json + files), 'multipart/form-data; boundary=xyz'
    elif kind == 'csv':
        rows = ''.join(f'{e["file"]},{e["key"]},{e["x"]},{e["y"]}\n' for e in entries)
        body = tar([('manifest.csv', ('file,key,x,y\n' + rows).encode()), *files])
    elif kind == 'pax':
        body = tar(files, {e['file']: {'key': e['key'], 'x': e['x'], 'y': e['y']} for e in entries})
    elif kind == 'names':
        body = tar([(f'p{n}_x{16 * n}_y0.png', data) for n, (_, data) in enumerate(files)])
    else:
        formats = {'tar': tarfile.PAX_FORMAT, 'ustar': tarfile.USTAR_FORMAT, 'gnu': tarfile.GNU_FORMAT}
        body = tar(as_json + files, fmt=formats[kind])
    status, became = send(body, content_type=content_type)
    assert (status, list(became.values())) == (200, ['created'] * 4), became
    if kind != 'names':
        assert list(became) == ['p0', 'p1', 'p2', 'p3']
    _, found = api.get(session)
    assert found['counts'] == {'patches': 4, 'bytes': sum(len(data) for _, data in files)}
    assert found['bounds'] == {'x': [0, 64], 'y': [0, 16]}
    # They share one file, from which the job reads each.
    assert File().collection.count_documents({}) == 1
    api.finalize(session)
    dispatched.run()
    _, done = api.get(session)
    assert done['state'] == 'complete', done
    expected = np.concatenate([pixels for _, pixels, _ in patches], axis=1)
    assert np.array_equal(stored_array(done), np.moveaxis(expected, -1, 0))


def test_each_patch_is_accepted_or_refused_by_itself(api, session, send):
    good = [png(random_pixels(8, 8, seed=n)) for n in range(4)]
    api.put(session, 'same', good[0], x=0)
    api.put(session, 'other', good[1], x=8)
    entries = [
        {'key': 'same', 'x': 0, 'y': 0},
        {'key': 'other', 'x': 9, 'y': 0},
        {'key': 'replaced', 'x': 9, 'y': 0, 'replace': True},
        {'key': 'fresh', 'x': 16, 'y': 0},
        {'key': 'fresh2', 'file': 'twice', 'x': 24, 'y': 0},
        {'key': 'fresh2', 'file': 'again', 'x': 24, 'y': 0},
        {'key': 'text', 'x': 0, 'y': 0},
        {'key': 'gray', 'x': 0, 'y': 0},
        {'key': 'far', 'x': 2**29, 'y': 0},
        {'key': 'no position', 'x': 0},
        {'key': 'nowhere', 'x': 0},
        {'key': 'digest', 'x': 0, 'y': 0, 'digest': 'sha-256=:' + 'A' * 43 + '=:'},
        {'key': 'unknown', 'x': 0, 'y': 0, 'colour': 'red'},
        {'key': 'absent', 'x': 0, 'y': 0},
    ]
    api.put(session, 'replaced', good[1], x=8)
    files = [
        ('same', good[0]),
        ('other', good[1]),
        ('replaced', good[2]),
        ('fresh', good[2]),
        ('twice', good[3]),
        ('again', good[3]),
        ('text', b'this is text'),
        ('gray', png(random_pixels(8, 8, 1))),
        ('far', good[2]),
        ('no position', good[2]),
        ('nowhere', good[2]),
        ('digest', good[2]),
        ('unknown', good[2]),
        ('unlisted', good[2]),
        ('../../etc/passwd', good[2]),
    ]
    status, _ = send(tar([('manifest.json', json.dumps(entries).encode()), *files]))
    assert status == 200
    found = {}
    path = f'/stitch_session/{session["_id"]}/patch'
    for one in api.call('GET', path, {'limit': 0})[1]:
        found[one['key']] = one['position']['x']
    assert found == {'same': 0, 'other': 8, 'replaced': 9, 'fresh': 16, 'fresh2': 24}


def codes(api, session, body):
    path = f'/stitch_session/{session["_id"]}/patches'
    status, answer = api.call('POST', path, body=body, content_type='application/x-tar')
    return status, [(one['key'], one['status'], one['code'], one.get('message')) for one in answer['patches']]


def test_the_answer_says_of_each_what_became_of_it(api, session):
    body = png(random_pixels(8, 8))
    entries = [{'key': 'a', 'x': 0, 'y': 0}, {'key': 'b', 'x': 'left', 'y': 0}, {'key': 'c', 'x': 0, 'y': 0}]
    files = [('manifest.json', json.dumps(entries).encode()), ('a', body), ('b', body)]
    status, became = codes(api, session, tar(files))
    assert status == 200
    assert became[0] == ('a', 'created', 201, None)
    assert became[1][:3] == ('b', 'refused', 400)
    assert became[1][3].startswith('x: expected')
    assert became[2] == ('c', 'refused', 400, 'Patch c: its file is not in the request.')
    assert codes(api, session, tar(files))[1][0] == ('a', 'unchanged', 200, None)


def test_a_pack_goes_with_the_last_of_its_patches(api, session, send, stored):
    before = stored()
    send(tar([(f'p_x{8 * n}_y0', png(random_pixels(8, 8, seed=n))) for n in range(3)]))
    assert stored()['File'] == before['File'] + 1
    base = f'/stitch_session/{session["_id"]}/patch/'
    assert api.call('DELETE', base + 'p_x0_y0')[0] == 200
    assert api.put(session, 'p_x8_y0', png(random_pixels(8, 8, seed=9)), x=8, replace=True)[0] == 200
    assert stored()['File'] == before['File'] + 2
    assert api.call('DELETE', base + 'p_x16_y0')[0] == 200
    assert stored()['File'] == before['File'] + 1
    assert api.call('DELETE', base + 'p_x8_y0')[0] == 200
    assert stored() == before
    assert api.get(session)[1]['counts'] == {'patches': 0, 'bytes': 0}


def test_groups_are_bounded_and_large_patches_go_alone(api, session, send, stored, monkeypatch):
    monkeypatch.setattr(bulk, 'GROUP_PATCHES', 2)
    monkeypatch.setattr(bulk, 'GROUP_BYTES', 1000)
    files = [(f'p_x{16 * n}_y0', npy(random_pixels(16, 16, 1, seed=n))) for n in range(5)]
    files.append(('large_x80_y0', npy(random_pixels(16, 200, 1))))
    status, became = send(tar(files))
    assert (status, set(became.values())) == (200, {'created'})
    assert stored()['File'] == 4
    assert api.get(session)[1]['counts'] == {'patches': 6, 'bytes': sum(len(data) for _, data in files)}


def test_a_stream_that_is_cut_keeps_what_came_whole(api, session, send, stored):
    body = tar([(f'p_x{8 * n}_y0', png(random_pixels(8, 8, seed=n))) for n in range(3)])
    cut = body[: 2 * 1024 + 600]
    status, became = send(cut)
    assert (status, list(became.values())) == (400, ['created', 'created', 'refused'])
    assert api.get(session)[1]['counts']['patches'] == 2
    status, became = send(body)
    assert (status, list(became.values())) == (200, ['unchanged', 'unchanged', 'created'])


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_links_devices_and_folders_of_a_tar(api, session, send, stored):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as archive:
        archive.addfile(link('a', '/etc/passwd', tarfile.SYMTYPE))
        archive.addfile(link('b', '../../x', tarfile.LNKTYPE))
        archive.addfile(link('c', '', tarfile.CHRTYPE))
        archive.addfile(link('folder', '', tarfile.DIRTYPE))
        archive.addfile(link('d', '', tarfile.FIFOTYPE))
    before = stored()
    status, became = send(stream.getvalue())
    assert (status, became) == (200, dict.fromkeys('abcd', 'refused'))
    assert stored() == before


def header_with_size(size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo('a_x0_y0')
    info.type = kind
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ('body', 'status', 'words'),
    [
        (b'', 400, 'empty'),
        (b'no tar at all' * 100, 415, 'neither tar nor multipart'),
        (header_with_size(2**40), 400, 'ends too early'),
        (header_with_size(-5), 400, 'size'),
        (header_with_size(2**30, tarfile.XHDTYPE), 400, 'limit is 65536'),
        (header_with_size(2**30, tarfile.GNUTYPE_LONGNAME), 400, 'limit is 65536'),
        (header_with_size(5, tarfile.XHDTYPE) + b'99 a=b' + bytes(506), 400, 'malformed'),
        (header_with_size(0) + b'x' * 512, 400, 'damaged'),
    ],
)
def test_a_hostile_or_damaged_tar(api, session, stored, body, status, words):
    before = stored()
    path = f'/stitch_session/{session["_id"]}/patches'
    found, answer = api.call('POST', path, body=body, content_type='application/x-tar')
    assert (found, words in answer['message']) == (status, True), answer
    assert stored() == before


@pytest.mark.parametrize(
    ('content_type', 'body', 'words'),
    [
        ('multipart/form-data', b'--a\r\n', 'boundary'),
        ('multipart/form-data; boundary=a', b'nothing', 'ends before'),
        ('multipart/form-data; boundary=a', b'--a\r\nX: y\r\n\r\nabc', 'ends before'),
        ('multipart/form-data; boundary=a', b'--a\r\n' + b'X' * 200_000, 'head of a part'),
    ],
)
def test_a_damaged_multipart(api, session, stored, content_type, body, words):
    before = stored()
    path = f'/stitch_session/{session["_id"]}/patches'
    status, answer = api.call('POST', path, body=body, content_type=content_type)
    assert (status, words in answer['message']) == (400, True), answer
    assert stored() == before


@pytest.mark.parametrize(
    ('manifest', 'words'),
    [
        (b'{', 'not JSON'),
        (b'{"files": []}', 'a list of objects'),
        (b'[1]', 'a list of objects'),
        (b'[{"x": 1}]', 'the name of a file'),
        (b'[{"key": "a"}, {"key": "a"}]', 'twice'),
        (b'file,x\na,1\n', 'columns x and y'),
        (b'\xff\xfe', 'neither JSON nor CSV'),
        (b'file,x,y\na,1,2,3\n', 'more values'),
    ],
)
def test_a_manifest_that_is_none(api, session, stored, manifest, words):
    before = stored()
    body = tar([('manifest.json', manifest), ('a', png(random_pixels(8, 8)))])
    path = f'/stitch_session/{session["_id"]}/patches'
    status, answer = api.call('POST', path, body=body, content_type='application/x-tar')
    assert (status, words in answer['message']) == (400, True), answer
    assert stored() == before


def test_limits_of_a_request(api, session, send, stored):
    body = tar([(f'p_x{8 * n}_y0', png(random_pixels(8, 8, seed=n))) for n in range(3)])
    Setting().set(SettingKey.STITCH_LIMITS, {'requestBytes': len(body) - 1})
    assert send(body)[0] == 413
    Setting().set(SettingKey.STITCH_LIMITS, {'requestPatches': 2})
    status, became = send(body)
    assert (status, len(became)) == (413, 2)
    Setting().set(SettingKey.STITCH_LIMITS, {'patches': 2})
    status, became = send(body)
    assert list(became.values()) == ['unchanged', 'unchanged', 'refused']
    Setting().set(SettingKey.STITCH_LIMITS, {'patchBytes': 10})
    status, became = send(tar([('q_x0_y0', png(random_pixels(8, 8)))]))
    assert (status, became) == (200, {'q_x0_y0': 'refused'})
    Setting().unset(SettingKey.STITCH_LIMITS)


def test_a_session_that_is_not_open(api, session, send, dispatched, stored):
    api.put(session, 'a', png(random_pixels(8, 8)))
    api.finalize(session)
    before = stored()
    assert send(tar([('p_x0_y0', png(random_pixels(8, 8)))]))[0] == 409
    assert stored() == before


def test_a_failure_leaves_nothing_of_the_group(api, session, send, stored, monkeypatch):
    from girder_zarr.server.patches.model import StitchPatch

    def fail(*args, **kwargs):
        raise RuntimeError('the database is gone')

    before = stored()
    monkeypatch.setattr(StitchPatch, 'commit', fail)
    with pytest.raises(AssertionError, match='the database is gone'):
        send(tar([(f'p_x{8 * n}_y0', png(random_pixels(8, 8, seed=n))) for n in range(3)]))
    assert stored() == before
