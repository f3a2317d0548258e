"""A web server on 127.0.0.1 with ranged reads, which counts what it is asked for."""

from __future__ import annotations

import http.server
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Served:
    """What a server has been asked for, and how it shall answer.

    :param redirects: paths to where they redirect.
    :param ranges: whether ranges are given.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ''
        self.port = 0
        self.asked: list[tuple[str, str | None]] = []
        self.redirects: dict[str, str] = {}
        self.ranges = True
        self.endless = False


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    served: ClassVar[Served]

    def do_GET(self) -> None:
        served = self.served
        asked = self.headers.get('Range')
        served.asked.append((self.path, asked))
        if self.path in served.redirects:
            self._answer(302, b'', Location=served.redirects[self.path])
            return
        path = served.folder / unquote(self.path.partition('?')[0]).lstrip('/')
        if not path.is_file():
            self._answer(404, b'nothing')
            return
        data = path.read_bytes()
        tag = f'"{path.stat().st_mtime_ns}"'
        if self.headers.get('If-Match', tag) != tag:
            self._answer(412, b'changed')
            return
        match = re.fullmatch(r'bytes=(\d*)-(\d*)', asked or '')
        if match is None or not served.ranges:
            self._answer(200, data * (100 if served.endless else 1), ETag=tag)
            return
        first, last = match[1], match[2]
        start = len(data) - int(last) if not first else int(first)
        stop = len(data) if not first or not last else min(len(data), int(last) + 1)
        if start >= len(data):
            self._answer(416, b'')
            return
        said = {'Content-Range': f'bytes {start}-{stop - 1}/{len(data)}', 'ETag': tag}
        self._answer(206, data[start:stop], **said)

    def _answer(self, status: int, data: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    """Serve a folder until the context ends."""
    served = Served(folder)
    handler = type('Handler', (_Handler,), {'served': served})
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.daemon_threads = True
    served.port = server.server_address[1]
    served.address = f'http://127.0.0.1:{served.port}'
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
