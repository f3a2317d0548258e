"""What is made of pixels has threads of its own, is made once, and not for clients that have left."""

import io
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import tifffile
from girder.models.item import Item

from girder_zarr.common.chunk_cache import CHUNKS
from girder_zarr.image.virtual.tile_series import TileLevel
from girder_zarr.server.share import asgi
from support.girder_images import upload
from support.server import random_pixels
from support.waiting import wait_until

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def slide(people, folder):
    """The path of a TIFF of 256 tiles."""
    stream = io.BytesIO()
    pixels = random_pixels(256, 256)
    tifffile.imwrite(stream, pixels, tile=(16, 16), photometric='rgb')
    item, _ = upload(folder, people['owner'], 'slide.tiff', stream.getvalue())
    assert Item().load(item['_id'], force=True)['largeImage']['sourceName'] == 'tiff'
    return f'/zarr/item/{item["_id"]}'


class Held:
    """Reads of tile levels wait until they are let go."""

    def __init__(self, monkeypatch):
        self.go, self.begun, read = threading.Event(), [], TileLevel.read
        self.lock = threading.Lock()

        def waits(level, region):
            with self.lock:
                self.begun.append(region)
            assert self.go.wait(60)
            return read(level, region)

        monkeypatch.setattr(TileLevel, 'read', waits)


@pytest.fixture
def held(monkeypatch):
    CHUNKS.clear()
    held = Held(monkeypatch)
    yield held
    held.go.set()


def keys(count):
    return [f'0/c/0/{at // 16}/{at % 16}' for at in range(count)]


def test_slow_making_does_not_stop_stored_chunks(web, owner, slide, held, make_image):
    image = make_image('zip')
    assert web.ask(f'{slide}/zarr.json', headers=owner).status == 200
    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(web.ask, f'{slide}/{key}', headers=owner) for key in keys(40)]
        wait_until(lambda: len(held.begun) == asgi.MAKERS, what='all makers')
        for key, body in image.snapshot.items():
            assert web.ask(f'{image.path}/{key}', headers=owner).body == body
        assert len(held.begun) == asgi.MAKERS
        assert not any(one.done() for one in asked)
        held.go.set()
        assert [one.result().status for one in asked] == [200] * 40


def test_a_chunk_is_made_once(web, owner, slide, held):
    key = f'{slide}/0/c/0/0/0'
    assert web.ask(f'{slide}/zarr.json', headers=owner).status == 200
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(web.ask, key, headers=owner) for _ in range(6)]
        wait_until(lambda: held.begun, what='a maker')
        held.go.set()
        bodies = {one.result().body for one in asked}
    assert len(bodies) == len(held.begun) == 1
    again = web.ask(key, headers=owner)
    assert ({again.body}, len(held.begun)) == (bodies, 1)
    CHUNKS.clear()
    assert ({web.ask(key, headers=owner).body}, len(held.begun)) == (bodies, 2)


def test_what_a_client_no_longer_waits_for_is_not_made(web, owner, slide, held, monkeypatch):
    ((name, token),) = owner.items()
    left, original = [], asgi._left

    async def waits(receive):
        await original(receive)
        left.append(receive)

    monkeypatch.setattr(asgi, '_left', waits)
    assert web.ask(f'{slide}/zarr.json', headers=owner).status == 200
    place = urlsplit(web.address)
    connections = []
    for number, key in enumerate(keys(asgi.MAKERS + 5)):
        connection = socket.create_connection((place.hostname, place.port))
        connection.sendall(f'GET {slide}/{key} HTTP/1.1\r\nHost: x\r\n{name}: {token}\r\n\r\n'.encode())
        connections.append(connection)
        if number < asgi.MAKERS:
            wait_until(lambda number=number: len(held.begun) == number + 1, what='a maker')
    for connection in connections[asgi.MAKERS :]:
        connection.close()
    wait_until(lambda: len(left) == 5, what='the server to notice')
    # Asked last, it is answered with none of those before it made.
    with ThreadPoolExecutor(1) as pool:
        last = pool.submit(web.ask, f'{slide}/{keys(200)[-1]}', headers=owner)
        wait_until(lambda: web.ask(f'{slide}/zarr.json', headers=owner).status == 200, what='the server')
        held.go.set()
        assert last.result().status == 200
    assert len(held.begun) == asgi.MAKERS + 1
    for connection in connections[: asgi.MAKERS]:
        assert connection.recv(12) == b'HTTP/1.1 200'
        connection.close()


def test_no_more_wait_than_are_worth_it(web, owner, slide, held, monkeypatch):
    assert web.ask(f'{slide}/zarr.json', headers=owner).status == 200
    monkeypatch.setattr(asgi, 'MAX_MAKING', 3)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(web.ask, f'{slide}/{key}', headers=owner) for key in keys(3)]
        wait_until(lambda: len(held.begun) == 3, what='makers')
        busy = web.ask(f'{slide}/{keys(4)[3]}', headers=owner)
        assert (busy.status, busy.headers['retry-after']) == (503, '5')
        held.go.set()
        assert [one.result().status for one in asked] == [200] * 3
