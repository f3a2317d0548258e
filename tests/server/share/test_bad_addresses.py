"""Addresses that somebody made up: none leads anywhere, none breaks anything."""

import http.client
import socket

import pytest

pytestmark = pytest.mark.plugin('zarr')


@pytest.mark.parametrize('kind', ['directory', 'zip', 'database', 'uploaded', 's3 prefix'])
def test_made_up_keys_are_absent(web, owner, make_image, tmp_path, kind):
    (tmp_path / 'secret').write_text('secret')
    image = make_image(kind)
    for key in (
        '../secret', '0/../../secret', '..%2fsecret', '%2e%2e/secret', '%2e%2e%2fsecret', '..%5csecret',
        '%5c..%5csecret', '/etc/passwd', '%2fetc%2fpasswd', '//zarr.json', './zarr.json', '0/./zarr.json',
        'zarr.json%00', '%00', 'zarr.json%00.txt', 'zarr%0d%0aX:%20y.json', '%ff%fe', '%c0%ae%c0%ae/secret',
        '%252e%252e/secret', 'a' * 1025, 'a/' * 600 + 'a', '0/c/' + '9' * 400, 'C:/secret', '~/secret', '%25',
    ):  # fmt: skip
        found = web.ask(f'{image.path}/{key}', headers=owner)
        assert found.status == 404, key
        assert b'secret' not in found.body
    # An encoded slash is a slash, since some clients encode them.
    assert web.ask(f'{image.path}/0%2Fzarr.json', headers=owner).body == image.snapshot['0/zarr.json']


def test_folders_outside_are_not_listed(web, owner, make_image, tmp_path):
    (tmp_path / 'secret').write_text('secret')
    image = make_image('directory')
    for query in ('prefix=../', 'prefix=../s', 'prefix=/', 'prefix=0/../../', 'prefix=..%2F&delimiter=/'):
        found = web.ask(f'{image.path}?list-type=2&{query}', headers=owner)
        assert (found.status, b'<Contents>' in found.body) == (200, False), query
    for folder in ('../', '%2e%2e/', '0/../../', '//', 'nothing/', 'zarr.json/'):
        assert web.ask(f'{image.path}/{folder}', headers=owner).status == 404, folder


@pytest.mark.parametrize(
    'query',
    [
        'list-type=1', 'list-type=2&delimiter=x', 'list-type=2&max-keys=x', 'list-type=2&max-keys=-1',
        'list-type=2&continuation-token=%25', 'list-type=2&encoding-type=xml', 'list-type=2&prefix=%00',
        'list-type=2&prefix=' + 'a' * 2000, '&'.join(f'a{at}=1' for at in range(100)),
    ],
)  # fmt: skip
def test_malformed_listings_are_refused(web, owner, make_image, query):
    image = make_image('zip')
    found = web.ask(f'{image.path}?{query}', headers=owner)
    assert found.status == 400
    assert b'<Error>' in found.body


def test_addresses_that_lead_nowhere(web, owner):
    for path in ('/zarr', '/zarr/', '/zarr/item', '/zarr/item/', '/zarr/other/x/y', '/zarr//x'):
        assert web.ask(path, headers=owner).status in (404, 307), path


def test_other_methods_are_refused(web, owner, make_image):
    image = make_image('zip')
    for method in ('POST', 'PUT', 'DELETE', 'PATCH', 'PROPFIND', 'TRACE'):
        found = web.ask(f'{image.path}/zarr.json', method, owner)
        assert (found.status, found.headers['allow']) == (405, 'GET, HEAD, OPTIONS')


def test_any_page_may_read_with_a_key_and_none_with_a_cookie(web, owner, make_image):
    image = make_image('zip')
    asked = {
        'Origin': 'https://viewer.example',
        'Access-Control-Request-Method': 'GET',
        'Access-Control-Request-Headers': 'range,girder-token',
    }
    found = web.ask(f'{image.path}/zarr.json', 'OPTIONS', asked)
    assert found.status == 204
    assert found.headers['access-control-allow-origin'] == '*'
    assert 'Range' in found.headers['access-control-allow-headers']
    assert 'HEAD' in found.headers['access-control-allow-methods']
    for headers in (owner, {}, {**owner, 'Range': 'bytes=-4'}, {**owner, 'Range': 'bytes=99999999-'}):
        found = web.ask(f'{image.path}/zarr.json', headers={**headers, 'Origin': 'https://viewer.example'})
        assert found.headers['access-control-allow-origin'] == '*'
        assert 'access-control-allow-credentials' not in found.headers
        assert 'Content-Range' in found.headers['access-control-expose-headers']


def test_what_is_stored_is_never_a_page(web, owner, people, folder, make_image):
    """A hierarchy may hold what a browser would run in the name of Girder."""
    import io
    import zipfile

    from support.girder_images import upload

    image = make_image('zip')
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        for name, body in image.snapshot.items():
            archive.writestr(name, body)
        archive.writestr('x.html', '<script>alert(1)</script>')
        archive.writestr('<img src=x onerror=alert(1)>', 'x')
    item, _ = upload(folder, people['owner'], 'page.zip', stream.getvalue())
    found = web.ask(f'/zarr/item/{item["_id"]}/x.html', headers=owner)
    assert found.headers['content-type'] == 'application/octet-stream'
    assert found.headers['x-content-type-options'] == 'nosniff'
    assert 'sandbox' in found.headers['content-security-policy']
    page = web.ask(f'/zarr/item/{item["_id"]}/', headers=owner)
    assert page.headers['content-type'].startswith('text/html')
    assert "default-src 'none'" in page.headers['content-security-policy']
    assert b'<img' not in page.body
    assert b'x.html' in page.body


def test_a_reader_that_leaves_lets_go(web, owner, people, folder, make_image, tmp_path):
    """Whoever asks for gigabytes and goes costs a few blocks."""
    from pathlib import Path

    from girder_zarr.image.store import entries
    from support.waiting import wait_until

    image = make_image('directory')
    path = tmp_path / 'image.zarr' / 'huge'
    with path.open('wb') as sparse:
        sparse.truncate(10 * 2**30)
    read = []
    original = entries.os.pread

    class Counting:
        def __getattr__(self, name):
            return getattr(real, name)

        def pread(self, *arguments):
            read.append(arguments[1])
            return original(*arguments)

    real, entries.os = entries.os, Counting()
    try:
        connection = socket.create_connection(web.host.split(':'))
        lines = [f'GET {image.path}/huge HTTP/1.1', 'Host: x', *(f'{k}: {v}' for k, v in owner.items())]
        connection.sendall('\r\n'.join([*lines, '', '']).encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.getheader('Content-Length') == str(10 * 2**30)
        answer.read(10_000)
        answer.close()
        connection.close()

        def is_closed():
            links = [one.resolve() for one in Path('/proc/self/fd').iterdir() if one.exists()]
            return path not in links

        wait_until(is_closed, what='the file to be closed')
    finally:
        entries.os = real
    assert sum(read) < 64 * 2**20
