"""A server whose answers a function gives."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

from girder_client import GirderClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def scripted_server(
    answer: Callable[[str, str, Any, bytes], tuple[int, Any]],
) -> Iterator[tuple[GirderClient, list[tuple[str, str, Any]]]]:
    """Yield a client of the server, and the requests that it got: method, path, headers.

    :param answer: gives status and document for method, path, headers and body.
    """
    requests: list[tuple[str, str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
            requests.append((self.command, self.path, self.headers))
            status, document = answer(self.command, self.path, self.headers, body)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header('Content-Length', str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = reply  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        girder = GirderClient(apiUrl=f'http://127.0.0.1:{server.server_port}/api/v1')
        girder.setToken('token')
        try:
            yield girder, requests
        finally:
            server.shutdown()
            thread.join()
