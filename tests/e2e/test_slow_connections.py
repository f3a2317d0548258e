"""Clients that send slowly, or not at all, keep nobody else from being answered."""

import contextlib
import socket

import requests

from girder_zarr.client import StitchClient
from support.server import png, random_pixels

UPLOADS, HALVES = 100, 100
#: More than is awaited before a request is begun.
BEGINNING = 2**17


def connect(stack, head, body=b''):
    connection = socket.create_connection(('127.0.0.1', stack.port), timeout=60)
    connection.sendall(head.replace('\n', '\r\n').encode() + b'\r\n\r\n' + body)
    return connection


def slow_upload(stack, session, token, number):
    """Begin to put a patch; what comes after the beginning does not come."""
    head = (
        f'PUT /api/v1/stitch_session/{session["_id"]}/patch/slow{number}?x=0&y=0 HTTP/1.1\n'
        f'Host: localhost\nGirder-Token: {token}\nContent-Length: {2**23}'
    )
    return connect(stack, head, bytes(BEGINNING))


def half_sent_post(stack, number):
    """Begin to send a form without being anybody; every second one is longer than what is awaited."""
    head = 'POST /api/v1/user HTTP/1.1\nHost: localhost\nContent-Length: 8000000'
    head += '\nContent-Type: application/x-www-form-urlencoded'
    return connect(stack, head, b'a' * (BEGINNING if number % 2 else 5))


def test_others_are_answered_beside_slow_uploads(stack, girder):
    folder = girder.createFolder(girder.get('user/me')['_id'], 'slow', parentType='user')
    client = StitchClient(girder)
    session = client.create(folder['_id'], 'slow')
    with contextlib.ExitStack() as connections:
        for number in range(UPLOADS):
            connections.enter_context(slow_upload(stack, session, girder.token, number))
        for number in range(HALVES):
            connections.enter_context(half_sent_post(stack, number))
        # Each by a connection of its own, with a time that no working server needs.
        for _ in range(20):
            assert requests.get(f'{stack.url}api/v1/system/version', timeout=20).ok
        headers = {'Girder-Token': girder.token}
        address = f'{stack.url}api/v1/stitch_session/{session["_id"]}/patch/quick?x=0&y=0'
        answer = requests.put(address, png(random_pixels(64, 64)), headers=headers, timeout=20)
        assert answer.status_code == 201, answer.text
        assert requests.get(stack.url, timeout=20).ok
    girder.delete(f'folder/{folder["_id"]}')
