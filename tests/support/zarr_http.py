"""``/zarr`` and ``/iiif`` on a port of 127.0.0.1, in this process, and a client that sees whole answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from typing import NamedTuple
from urllib.parse import urlsplit

import uvicorn
from girder.models.token import Token
from starlette.applications import Starlette

from girder_zarr.server.iiif import iiif_answers, iiif_app, iiif_target
from girder_zarr.server.share import grants, mount, open_images, reads

from .waiting import wait_until


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """Requests as they are given, without tidying their addresses up as most libraries do."""

    def __init__(self, address):
        self.address = address
        self.host = urlsplit(address).netloc

    def ask(self, path, method='GET', headers=None):
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()


@contextlib.contextmanager
def serving():
    """Yield a client of a server that answers ``/zarr`` and ``/iiif``."""
    app = Starlette()
    iiif_app.add_routes(app)
    mount.add_routes(app)
    listener = socket.create_server(('127.0.0.1', 0))
    config = uvicorn.Config(app, log_level='warning', lifespan='on', timeout_graceful_shutdown=3)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={'sockets': [listener]})
    thread.start()
    try:
        wait_until(lambda: server.started, what='the web server')
        yield Client(f'http://127.0.0.1:{listener.getsockname()[1]}')
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        grants.forget_grants()
        open_images.forget_stores()
        iiif_answers.forget_pictures()
        iiif_target.forget_rights()
        reads.counts.__init__()


def token_of(user, **options):
    """Return a header that signs a user in."""
    return {'Girder-Token': str(Token().createToken(user, **options)['_id'])}
