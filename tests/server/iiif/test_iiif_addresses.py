"""Addresses that somebody made up: the right status, and nothing breaks."""

import asyncio
import io
import socket
import threading

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from girder_zarr.errors import NotFoundError
from girder_zarr.server.iiif import iiif_answers, iiif_app
from girder_zarr.server.iiif.iiif_address import base_address, read_address
from support.server import random_pixels

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def base(put):
    stream = io.BytesIO()
    PIL.Image.fromarray(random_pixels(30, 40)).save(stream, 'PNG')
    return f'/iiif/item/{put("picture.png", stream.getvalue())["_id"]}'


@pytest.mark.parametrize(
    'parts',
    [
        'full/max/0/default.gif', 'full/max/0/native.jpg', 'full/max/0/default', 'full/max/361/default.jpg',
        'full/max/-1/default.jpg', 'full/full/0/default.jpg', 'full/41,/0/default.jpg',
        'full/0,0/0/default.jpg',
        'full/1000000000,1000000000/0/default.jpg', 'full/%5E1000000000,1000000000/0/default.jpg',
        'full/pct:nan/0/default.jpg', 'full/pct:0/0/default.jpg', 'full/pct:1e9/0/default.jpg',
        '40,0,1,1/max/0/default.jpg', '0,0,0,0/max/0/default.jpg', '-1,-1,10,10/max/0/default.jpg',
        'pct:nan,0,10,10/max/0/default.jpg', 'pct:0,0,inf,10/max/0/default.jpg',
        '99999999999999999999,0,1,1/max/0/default.jpg', '../max/0/default.jpg', '%2e%2e/max/0/default.jpg',
        'full/max/0/..%2Fdefault.jpg', 'full/max/0/default.jpg%0d%0aX: y', '%f0%9f%98%80/max/0/default.jpg',
        f'{"1" * 200},0,1,1/max/0/default.jpg', 'full/%21100,100/0/default.jpg', 'full/max/nan/default.jpg',
    ],
)  # fmt: skip
def test_malformed_parameters(web, owner, base, parts):
    found = web.ask(f'{base}/{parts}'.replace(' ', '%20'), headers=owner)
    assert found.status == 400, found.body
    assert found.headers['content-type'] == 'text/plain; charset=utf-8'
    assert found.body.endswith(b'.\n')
    assert 'x' not in found.headers


def test_addresses_that_lead_nowhere(web, owner, base):
    item = base.rpartition('/')[2]
    for path in (
        '/iiif/', '/iiif/item', '/iiif/item/', '/iiif//info.json', '/iiif/item//info.json', f'{base}/other',
        f'{base}/info.json/x', f'{base}/full/max/0', f'{base}/full/max/0/default.jpg/x', f'{base}/info.xml',
        f'/iiif/item/..%2F{item}/info.json', f'/iiif/item/%2e%2e%2Fitem%2F{item}/info.json',
        f'/iiif/item/../item/{item}/info.json', f'/iiif/item/{item}%00/info.json', f'{base}/info.json%00',
        f'/iiif/item/{item}%2Finfo.json', '/iiif/item/%ff%fe/info.json', '/iiif/item/[frob]/info.json',
        f'/iiif/item/{item}%0a/info.json', '/iiif/item/a%2Fb/info.json', f'/iiif/item/{"a" * 9000}/info.json',
        f'/iiif/folder/{item}/info.json', f'/iiif/item/{item}/manifest/x', f'{base};page=1/info.json',
        f'{base};page=1/full/max/0/default.jpg', '/iiif/item/;frame=1/info.json',
    ):  # fmt: skip
        found = web.ask(path, headers=owner)
        assert (found.status, found.body) == (404, b'There is nothing here that you may read.\n'), path


def test_raw_bytes_in_a_path(web, owner, base):
    with socket.create_connection(web.host.split(':')) as connection:
        connection.sendall(
            b'GET /iiif/item/\\..\\x/info.json HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'
        )
        assert b' 40' in connection.makefile('rb').readline()


def test_other_methods_are_refused(web, owner, base):
    for method in ('POST', 'PUT', 'DELETE', 'PATCH', 'PROPFIND', 'TRACE'):
        found = web.ask(f'{base}/info.json', method, owner)
        assert (found.status, found.headers['allow']) == (405, 'GET, HEAD, OPTIONS')


def test_too_many_that_wait_are_told_to_come_back(web, owner, base, monkeypatch):
    monkeypatch.setattr(iiif_app, 'MAX_REQUESTS', 0)
    found = web.ask(f'{base}/info.json', headers=owner)
    assert (found.status, found.headers['retry-after']) == (503, '2')


def test_nothing_is_made_for_a_client_that_has_gone(monkeypatch):
    """A viewer that moves on takes its requests back."""
    begun = []
    monkeypatch.setattr(iiif_app, 'respond', begun.append)
    app, gate, sent = iiif_app.IiifApp(), threading.Event(), []

    async def receive():
        return {'type': 'http.disconnect'}

    async def send(message):
        sent.append(message)

    for _ in range(iiif_app.THREADS):
        app._pool.submit(gate.wait)
    scope = {'type': 'http', 'method': 'GET', 'path': '/iiif/item/1/info.json', 'headers': []}
    try:
        asyncio.run(app(scope, receive, send))
    finally:
        gate.set()
        app._pool.shutdown()
    assert (begun, sent) == ([], [])


def test_a_lost_database_is_said_to_be_away(web, owner, base, monkeypatch):
    from pymongo.errors import ConnectionFailure

    def fail(*_):
        raise ConnectionFailure('db:27017 refused')

    monkeypatch.setattr(iiif_answers, 'find_target', fail)
    found = web.ask(f'{base}/info.json', headers=owner)
    assert (found.status, b'27017' in found.body) == (503, False)


NAMES = st.text(min_size=1).filter(lambda one: '\0' not in one and ';' not in one)


@given(st.sampled_from(['item', 'folder', 'k']), NAMES, st.none() | NAMES, st.integers(0, 10**9 - 1))
def test_identifiers_come_back(door, name, below, frame):
    """Whatever a name holds, its base URI leads to it: slashes, dots, percent signs, other scripts."""
    try:
        name.encode()
        (below or '').encode()
    except UnicodeEncodeError:  # no text for an address
        return
    below = below if door == 'k' else None
    path = base_address('', door, name, below).removeprefix('/iiif/')
    selector = f';frame={frame}' if frame else ''
    for end, resource in (('/full/max/0/default.jpg', 'picture'), ('/info.json', 'information')):
        found = read_address(f'{path}{selector}{end}')
        assert (found.door, found.name, found.below) == (door, name, below)
        assert (found.frame, found.page, found.resource) == (frame, None, resource)


@given(st.text(max_size=200))
def test_any_text_is_an_address_or_leads_nowhere(text):
    try:
        found = read_address(text)
    except NotFoundError:
        return
    assert found.door in ('item', 'folder', 'k')
    assert found.name
