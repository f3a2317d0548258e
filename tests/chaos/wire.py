"""Requests over one connection, which may be cut at any moment by either side."""

from __future__ import annotations

import http.client
import io
import json
import socket
import struct
import tarfile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

#: A request that takes longer than this has hung.
TIMEOUT = 150.0
#: How often a request is made that has to be answered in the end.
INSIST = 5


class NoAnswerError(Exception):
    """The connection ended before the answer was there."""


class Answer:
    """Status and body of an answer."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.body = status, body

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def message(self) -> str:
        """Why it was refused."""
        found = self.json
        return str(found.get('message', '')) if isinstance(found, dict) else self.body[:200].decode('latin-1')


class Wire:
    """One client's connection to the server; it connects anew whenever it has to."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host, self._port = parts.hostname, parts.port
        self._token = token
        self._connection: http.client.HTTPConnection | None = None

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: bytes = b'',
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and return the answer.

        :raises NoAnswerError: there is none.
        """
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        try:
            self._connection.request(method, address(path, query), body or b'', self._headers(headers))
            response = self._connection.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswerError(f'{type(error).__name__}: {error}') from error

    def insist(self, method: str, path: str, query: Mapping[str, Any] | None = None) -> Answer:
        """Ask until the answer is 200, where it can be no other in the end.

        :raises AssertionError: it is another after many attempts.
        """
        said = ''
        for _ in range(INSIST):
            try:
                answer = self.ask(method, path, query)
            except NoAnswerError as error:
                # A connection that was not used for seconds, for example.
                said = str(error)
                continue
            if answer.status == 200:
                return answer
            said = f'{answer.status}: {answer.message}'
        raise AssertionError(f'{method} {path}: {said}')

    def cut(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: bytes,
        headers: Mapping[str, str],
        rng: random.Random,
    ) -> None:
        """Send a request's head and a part of its body, then end the connection, politely or not."""
        lines = [f'{method} {address(path, query)} HTTP/1.1', f'Host: {self._host}:{self._port}']
        lines += [f'{name}: {value}' for name, value in self._headers(headers).items()]
        lines.append(f'Content-Length: {len(body)}')
        head = ('\r\n'.join(lines) + '\r\n\r\n').encode()
        try:
            with socket.create_connection((self._host, self._port), TIMEOUT) as raw:
                raw.sendall(head + body[: rng.randrange(len(body))])
                if rng.random() < 0.5:
                    # Reset in place of an orderly end.
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        except OSError:
            return

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _headers(self, more: Mapping[str, str] | None) -> dict[str, str]:
        return {
            'Girder-Token': self._token,
            'Content-Type': 'application/octet-stream',
            **(more or {}),
        }


def address(path: str, query: Mapping[str, Any] | None) -> str:
    text = f'/api/v1/{quote(path)}'
    return f'{text}?{urlencode(query)}' if query else text


def tar_of(members: list[tuple[str, bytes]]) -> bytes:
    """Return a tar of named members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
