"""Answers come at once: no packet waits until the client has acknowledged the one before."""

import contextlib
import http.client
import socket
import statistics
import threading
import time

from girder_zarr.stack.child.web import NO_BRIDGE

REQUESTS = 25


@contextlib.contextmanager
def waiting_server():
    """Yield the port of a bare server whose answers are two packets on a connection without TCP_NODELAY.

    The kernel holds the second back until the client acknowledges the first, which the client puts off: what
    that costs here and now is what the stack is held against.
    """

    def serve(listener):
        connection, _ = listener.accept()
        with connection, connection.makefile('rb') as stream:
            while line := stream.readline():
                while line not in (b'\r\n', b''):
                    line = stream.readline()
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n')
                connection.sendall(b'{}')

    with socket.create_server(('127.0.0.1', 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def median_seconds(port, path):
    """Return how long a small request takes on a connection that is kept."""
    with contextlib.closing(http.client.HTTPConnection('127.0.0.1', port, timeout=30)) as connection:
        seconds = []
        for _ in range(REQUESTS):
            started = time.perf_counter()
            connection.request('GET', path)
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def test_requests_take_our_bridge(stack):
    assert stack.client().get('system/version')['release']
    assert NO_BRIDGE not in (stack.data / 'logs' / 'girder.log').read_text()


def test_a_small_answer_waits_for_no_acknowledgement(stack):
    with waiting_server() as port:
        waited = median_seconds(port, '/')
    answered = median_seconds(stack.port, '/api/v1/system/version')
    assert answered < waited / 2, f'{answered:.4f} s; a delayed acknowledgement takes {waited:.4f}'
