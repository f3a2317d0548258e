"""Patches over a real connection to the server that Girder runs in production."""

import contextlib
import http.client
import socket

import pytest
from girder.models.token import Token

from support.server import Api, png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
BODY = png(random_pixels(64, 64))


@pytest.fixture
def _application(db):
    """Let Girder make its application, with all plugins, apart from those of the test's server."""
    import girder.asgi  # noqa: F401
    from girder import plugin

    plugin._pluginRegistry = None
    plugin._pluginStaticContent.clear()


@pytest.fixture
def wire(_application, asgiBoundServer, fsAssetstore, people, folder):  # noqa: N803 - pytest-girder's fixtures
    """Send a PUT to a session of its own; return status and answer."""
    api = Api(asgiBoundServer, people['owner'])
    _, session = api.create(folder)
    tokens = {name: Token().createToken(user)['_id'] for name, user in people.items() if user}

    def put(body, *, who='owner', **headers):
        connection = http.client.HTTPConnection('127.0.0.1', asgiBoundServer.boundPort, timeout=30)
        with contextlib.closing(connection):
            path = f'/api/v1/stitch_session/{session["_id"]}/patch/a?x=0&y=0'
            headers = {'Girder-Token': str(tokens[who]), **headers}
            connection.request('PUT', path, body, headers, encode_chunked='Transfer-Encoding' in headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    put.api, put.session, put.port, put.token = api, session, asgiBoundServer.boundPort, str(tokens['owner'])
    return put


@pytest.mark.parametrize(
    'headers',
    [
        {},
        {'Content-Type': 'application/x-www-form-urlencoded'},
        {'Content-Type': 'multipart/form-data; boundary=a'},
    ],
)
def test_a_body_arrives_whatever_it_is_called(wire, headers):
    status, answer = wire(BODY, **headers)
    assert status == 201, answer


def test_a_body_in_pieces_of_unknown_number(wire):
    pieces = (BODY[at : at + 1000] for at in range(0, len(BODY), 1000))
    status, answer = wire(pieces, **{'Transfer-Encoding': 'chunked'})
    assert (status, wire.api.get(wire.session)[1]['counts']['bytes']) == (201, len(BODY)), answer


def test_no_body(wire):
    status, answer = wire(b'')
    assert (status, 'empty' in answer) == (400, True)


def test_a_large_body_that_is_refused_still_gets_its_answer(wire):
    for who, expected in (('owner', 415), ('reader', 403)):
        status, answer = wire(bytes(30 * 2**20), who=who)
        assert status == expected, answer


def test_a_connection_that_is_cut_stores_nothing(wire, stored):
    before = stored()
    head = (
        f'PUT /api/v1/stitch_session/{wire.session["_id"]}/patch/a?x=0&y=0 HTTP/1.1\r\n'
        f'Host: localhost\r\nGirder-Token: {wire.token}\r\nContent-Length: {len(BODY)}\r\n\r\n'
    )
    with socket.create_connection(('127.0.0.1', wire.port), timeout=30) as connection:
        connection.sendall(head.encode() + BODY[: len(BODY) // 2])
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(30)
        connection.recv(65536)
    status, answer = wire(BODY)
    assert status == 201, answer
    after = stored()
    assert (after['File'], after['Upload']) == (before['File'] + 1, before['Upload'])
