"""Every answer of the server says what a browser may make of it."""

import asyncio

import pytest

from girder_zarr.stack.child.safe_headers import FILE_POLICY, PAGE_POLICY, SafeHeaders


def headers_of(path, *headers):
    sent = []

    async def app(_scope, _receive, send):
        await send({'type': 'http.response.start', 'status': 200, 'headers': list(headers)})

    async def send(message):
        sent.append(message)

    asyncio.run(SafeHeaders(app)({'type': 'http', 'path': path}, None, send))
    return sent[0]['headers']


@pytest.mark.parametrize(
    ('path', 'kind', 'policy'),
    [
        ('/', b'text/html', PAGE_POLICY),
        ('/api/v1', b'text/html', PAGE_POLICY),
        ('/api/v1/file/1/download', b'image/png', PAGE_POLICY),
        ('/api/v1/file/1/download', b'text/html;charset=utf-8', FILE_POLICY),
        ('/api/v1/file/1/download/a.svg', b'image/svg+xml', FILE_POLICY),
        ('/api/v1/item/1/download', b'Text/HTML', FILE_POLICY),
    ],
)
def test_what_is_added(path, kind, policy):
    found = headers_of(path, (b'Content-Type', kind))
    assert (b'x-content-type-options', b'nosniff') in found
    assert (b'content-security-policy', policy) in found


def test_a_policy_of_a_route_stays():
    found = headers_of('/', (b'Content-Security-Policy', b'sandbox'), (b'X-Content-Type-Options', b'nosniff'))
    assert [value for name, value in found if name.lower() == b'content-security-policy'] == [b'sandbox']
    assert len(found) == 3
