"""Every answer is held against a snapshot of the stored bytes, in every form of storage."""

import email
import email.policy
import io
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from girder_zarr.server.share import asgi, grants
from girder_zarr.server.share.requests import respond
from support.girder_images import upload

from .conftest import FAR, LOCAL

pytestmark = pytest.mark.plugin('zarr')
KINDS = [(kind, '0.5') for kind in LOCAL + FAR] + [(kind, '0.4') for kind in (*LOCAL, *FAR) if kind != 'ozx']


@pytest.mark.parametrize(('kind', 'version'), KINDS)
def test_every_key_is_the_stored_bytes(web, owner, make_image, kind, version):
    image = make_image(kind, version)
    assert len(image.snapshot) > 15
    for key, body in image.snapshot.items():
        found = web.ask(f'{image.path}/{key}', headers=owner)
        assert (found.status, found.body) == (200, body), key
        assert found.headers['content-length'] == str(len(body))
        is_metadata = key.rpartition('/')[2] in ('zarr.json', '.zarray', '.zattrs', '.zgroup')
        assert found.headers['content-type'] == (
            'application/json' if is_metadata else 'application/octet-stream'
        )
        assert found.headers['cache-control'] == 'private, no-cache'
        assert found.headers['x-content-type-options'] == 'nosniff'
        head = web.ask(f'{image.path}/{key}', 'HEAD', owner)
        assert (head.status, head.body, head.headers['content-length']) == (200, b'', str(len(body)))
        tag = found.headers['etag']
        assert head.headers['etag'] == tag
        again = web.ask(f'{image.path}/{key}', headers={**owner, 'If-None-Match': f'"x", W/{tag}'})
        assert (again.status, again.body, again.headers['etag']) == (304, b'', tag)
    for key in ('0/c/99/99', '9/9', 'nothing', '0', 'zarr.json/x', 'x' * 300, '0/c/../zarr.json'):
        assert web.ask(f'{image.path}/{key}', headers=owner).status == 404, key


def test_an_answer_is_the_same_by_both_ways(web, owner, make_image, monkeypatch):
    """Small values are answered in the event loop once the rights are known, others in threads."""
    image = make_image('zip')
    ways = []

    def watched(request, **options):
        ways.append(request.key)
        return respond(request, **options)

    monkeypatch.setattr(asgi, 'respond', watched)
    for key, body in image.snapshot.items():
        grants.forget_grants()
        replies = [web.ask(f'{image.path}/{key}', headers=owner) for _ in range(2)]
        assert ways == [key], 'once in a thread, which learns the rights, then without one'
        assert replies[0] == replies[1]
        assert (replies[1].status, replies[1].body) == (200, body)
        part = web.ask(f'{image.path}/{key}', headers={**owner, 'Range': 'bytes=2-5'})
        assert (part.status, part.body, ways) == (206, body[2:6], [key])
        assert web.ask(f'{image.path}.zarr/{key}', headers=owner) == replies[1]
        ways.clear()


def test_no_more_streams_than_there_is_memory_for(web, owner, people, folder, make_image, monkeypatch):
    monkeypatch.setattr(asgi, 'MAX_STREAMS', 0)
    image = make_image('zip')
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        for name, value in image.snapshot.items():
            archive.writestr(name, value)
        archive.writestr('large', bytes(2_000_000))
    item, _ = upload(folder, people['owner'], 'large.zip', stream.getvalue())
    path = f'/zarr/item/{item["_id"]}'
    busy = web.ask(f'{path}/large', headers=owner)
    assert (busy.status, busy.headers['retry-after']) == (503, '5')
    assert web.ask(f'{path}/zarr.json', headers=owner).status == 200
    monkeypatch.setattr(asgi, 'MAX_STREAMS', 1)
    assert web.ask(f'{path}/large', headers=owner).body == bytes(2_000_000)


def spans_of(header, size):
    """The bytes that a well-formed header asks for, counted one by one."""
    found = []
    for part in header.removeprefix('bytes=').split(','):
        first, _, last = part.strip().partition('-')
        if not first:
            numbers = range(max(0, size - int(last)), size)
        else:
            numbers = range(int(first), min(size, int(last) + 1 if last else size))
        if numbers:
            found.append(numbers)
    return found


PART = st.one_of(
    st.tuples(st.integers(0, 5000), st.integers(0, 5000)).map(lambda ab: f'{min(ab)}-{max(ab)}'),
    st.integers(0, 5000).map('{}-'.format),
    st.integers(0, 5000).map('-{}'.format),
    st.just('0-99999999999999999999999'),
)


@pytest.mark.parametrize(
    'kind', ['directory', 'zip', 'deflated', 'database', 'uploaded', 's3 zip', 's3 prefix']
)
def test_every_range_is_a_part_of_the_stored_bytes(web, owner, make_image, kind):
    image = make_image(kind)
    keys = sorted(image.snapshot)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(keys), st.lists(PART, min_size=1, max_size=4))
    def check(key, parts):
        body, header = image.snapshot[key], f'bytes={",".join(parts)}'
        found = web.ask(f'{image.path}/{key}', headers={**owner, 'Range': header})
        spans = spans_of(header, len(body))
        taken = [number for span in spans for number in span]
        if not spans or len(taken) != len(set(taken)):
            assert found.status == 416
            assert found.headers['content-range'] == f'bytes */{len(body)}'
            return
        assert found.status == 206
        if len(spans) == 1:
            span = spans[0]
            assert found.body == body[span.start : span.stop]
            assert found.headers['content-range'] == f'bytes {span.start}-{span.stop - 1}/{len(body)}'
            return
        message = email.message_from_bytes(
            b'Content-Type: ' + found.headers['content-type'].encode() + b'\r\n\r\n' + found.body,
            policy=email.policy.HTTP,
        )
        pieces = list(message.iter_parts())
        assert [piece['Content-Range'] for piece in pieces] == [
            f'bytes {span.start}-{span.stop - 1}/{len(body)}' for span in spans
        ]
        at = 0
        for span in spans:  # bytes may look like line ends, so that they are looked for as they are
            at = found.body.index(b'\r\n\r\n', at) + 4
            assert found.body[at : at + len(span)] == body[span.start : span.stop]
            at += len(span)

    check()


def test_malformed_and_hostile_ranges(web, owner, make_image):
    image = make_image('zip')
    path, body = f'{image.path}/zarr.json', image.snapshot['zarr.json']

    def ask(value, **more):
        found = web.ask(path, headers={**owner, 'Range': value, **more})
        return found.status, found.body if found.status != 416 else b''

    for malformed in ('bytes=5-2', 'bytes=a-b', 'bytes=-', 'lines=0-1', 'bytes', 'bytes=1-2,x', 'bytes=+1-2'):
        assert ask(malformed) == (200, body), malformed
    for refused in ('bytes=-0', f'bytes={len(body)}-', 'bytes=0-9,5-14', 'bytes=0-,-1'):
        assert ask(refused) == (416, b''), refused
    assert ask('bytes=' + ','.join(f'{2 * at}-{2 * at}' for at in range(5000)))[0] == 416
    tag = web.ask(path, headers=owner).headers['etag']
    assert ask('bytes=0-4', **{'If-Range': tag}) == (206, body[:5])
    assert ask('bytes=0-4', **{'If-Range': '"another"'}) == (200, body)
    assert web.ask(path, headers={**owner, 'If-Match': '"another"'}).status == 412
    assert web.ask(path, headers={**owner, 'If-Match': tag}).status == 200


def test_a_value_that_is_replaced_has_another_validator(web, owner, make_image, tmp_path):
    image = make_image('directory')
    key = next(key for key in image.snapshot if '/c/' in key)
    before = web.ask(f'{image.path}/{key}', headers=owner)
    (tmp_path / 'image.zarr' / key).write_bytes(b'other')
    after = web.ask(f'{image.path}/{key}', headers={**owner, 'If-None-Match': before.headers['etag']})
    assert (after.status, after.body) == (200, b'other')
    assert after.headers['etag'] != before.headers['etag']


def test_consolidated_metadata_is_made_for_v2_where_there_is_none(web, owner, make_image):
    import json

    for kind in ('directory', 'zip', 'database'):
        image = make_image(kind, '0.4', name=f'consolidated-{kind}')
        found = web.ask(f'{image.path}/.zmetadata', headers=owner)
        assert found.status == 200
        snapshot = {
            key: json.loads(body)
            for key, body in image.snapshot.items()
            if key.rpartition('/')[2].startswith('.z')
        }
        assert found.json == {'zarr_consolidated_format': 1, 'metadata': snapshot}
    image = make_image('zip', '0.5', name='v3')
    assert web.ask(f'{image.path}/.zmetadata', headers=owner).status == 404


def test_an_error_of_the_store_is_no_absent_key(web, owner, make_image, tmp_path, caplog):
    image = make_image('directory')
    key = next(key for key in image.snapshot if '/c/' in key)
    path = tmp_path / 'image.zarr' / key
    path.unlink()
    outside = tmp_path / 'secret'
    outside.write_bytes(b'secret')
    path.symlink_to(outside)
    found = web.ask(f'{image.path}/{key}', headers=owner)
    assert found.status == 500
    assert str(tmp_path).encode() not in found.body
    assert b'secret' not in found.body
    path.unlink()
    assert web.ask(f'{image.path}/{key}', headers=owner).status == 404


def test_a_damaged_entry_breaks_off(web, owner, people, folder, make_image, caplog):
    """What is deflated shows its damage after the first block: no client takes half of it for the whole."""
    import http.client

    image = make_image('deflated')
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, value in image.snapshot.items():
            archive.writestr(name, value)
        archive.writestr('large', bytes(2_000_000))
    data = bytearray(stream.getvalue())
    info = zipfile.ZipFile(stream).getinfo('large')
    crc = info.CRC.to_bytes(4, 'little')
    at = data.rindex(crc)
    data[at : at + 4] = b'\1\2\3\4'
    item, _ = upload(folder, people['owner'], 'damaged.zip', bytes(data))
    with pytest.raises(http.client.IncompleteRead):
        web.ask(f'/zarr/item/{item["_id"]}/large', headers=owner)
