"""Requests to a Girder server, with retries where they are safe; error statuses become our errors."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import requests
from girder_client import AuthenticationError, GirderClient, HttpError

from girder_zarr.errors import (
    ConflictError,
    GirderZarrError,
    InvalidInputError,
    LimitExceededError,
    NoSpaceError,
    NotFoundError,
    TooManyError,
    UnsupportedFormatError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The error of each status of the server; any other status is a plain GirderZarrError.
ERRORS: dict[int, type[GirderZarrError]] = {
    400: InvalidInputError,
    404: NotFoundError,
    409: ConflictError,
    413: LimitExceededError,
    415: UnsupportedFormatError,
    429: TooManyError,
    507: NoSpaceError,
}
#: Seconds to connect, and to wait for an answer: storing a large patch may take a while.
TIMEOUT = (10, 300)
#: Seconds between two attempts at most, whatever ``Retry-After`` demands, so that nothing hangs for hours.
MAX_PAUSE = 30.0


class Requests:
    """Sends requests with retries. Safe under many threads.

    A request is repeated after a lost connection, a status of 500 and above, and 429, with growing pauses or
    those of the answer's ``Retry-After``.

    :param girder: a client that is signed in. Only its address and token are used.
    :param attempts: how often a request is sent at most.
    :param pause: seconds before the second attempt; doubled before each further one, up to ``MAX_PAUSE``.
    :param api_key: signs in again if the server no longer accepts the token: an upload may outlast it.
    """

    def __init__(
        self, girder: GirderClient, *, attempts: int = 8, pause: float = 0.25, api_key: str | None = None
    ) -> None:
        self.girder = girder
        self.attempts = attempts
        self.pause = pause
        self._api_key = api_key
        self._signing_in = threading.Lock()

    def _clone(self) -> GirderClient:
        """Return a client for one thread: a session of girder_client has one connection."""
        client = GirderClient(apiUrl=self.girder.urlBase)
        client.setToken(self.girder.token)
        return client

    def _pages(self, path: str, parameters: dict[str, Any], size: int = 500) -> Iterator[dict[str, Any]]:
        """Yield the entries of a list, ``size`` with each request."""
        offset = 0
        while True:
            page: Any = self._json('GET', path, parameters={**parameters, 'limit': size, 'offset': offset})
            yield from page
            offset += len(page)
            if len(page) < size:
                return

    def _object(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Send a request as :meth:`_json` does and return the JSON object of the answer."""
        answer: dict[str, Any] = self._json(method, path, **request)
        return answer

    def _json(
        self,
        method: str,
        path: str,
        *,
        client: GirderClient | None = None,
        attempts: int | None = None,
        **request: Any,
    ) -> Any:
        """Send a request and return the JSON of the answer, or None if it has no body.

        :param client: of this thread; None: the shared one.
        :param attempts: in place of those of the constructor.
        :param request: further arguments of `GirderClient.sendRestRequest`.
        :raises GirderZarrError: the server refuses, or all attempts failed; of the class in ``ERRORS``.
        """
        client, attempts = client or self.girder, attempts or self.attempts
        if client is not self.girder:
            # another thread may have signed in anew meanwhile
            client.setToken(self.girder.token)
        renewed = False
        attempt = 0
        while attempt < attempts:
            attempt += 1
            wait = min(self.pause * 2 ** (attempt - 1), MAX_PAUSE)
            try:
                answer = _sent(client, method, path, request)
            except HttpError as error:
                if error.status == 401 and not renewed and self._sign_in_again(client):
                    renewed, attempt = True, attempt - 1
                    continue
                if attempt > 1 and error.status == 404 and method == 'DELETE':
                    return None
                if attempt == attempts or not should_retry(error.status, attempt):
                    raise to_error(error) from error
                wait = retry_after(error) or wait
            except requests.RequestException as error:
                if attempt == attempts:
                    msg = f'No answer from {client.urlBase}: {describe(error)}.'
                    raise GirderZarrError(msg) from error
            else:
                return answer.json() if answer.content else None
            # not all at the same moment, where many have waited for one server
            time.sleep(wait * random.uniform(0.75, 1.25))  # noqa: S311 - no secret
        return None

    def _sign_in_again(self, client: GirderClient) -> bool:
        """Get a new token with the API key; return whether there is one to try."""
        if self._api_key is None:
            return False
        with self._signing_in:
            # of many threads whose token has ended, one asks for a new one
            if client.token == self.girder.token:
                try:
                    self.girder.authenticate(apiKey=self._api_key)
                except (AuthenticationError, HttpError, requests.RequestException):
                    return False
            client.setToken(self.girder.token)
        return True


def _sent(client: GirderClient, method: str, path: str, request: dict[str, Any]) -> requests.Response:
    """Send a request once, a body that is read as it is sent from its beginning."""
    if hasattr(request.get('data'), 'seek'):
        request['data'].seek(0)
    answer: requests.Response = client.sendRestRequest(
        method, path, jsonResp=False, timeout=TIMEOUT, **request
    )
    return answer


def should_retry(status: int, attempt: int) -> bool:
    """Return whether a request that failed with a status is worth another attempt.

    A 409 is, from the second attempt on: the first may have lost its answer while the server still works on
    it, and the second then conflicts with the first.
    """
    # A disk that is full (507) stays full for longer than this client waits.
    return (status >= 500 and status != 507) or status == 429 or (status == 409 and attempt > 1)


def retry_after(error: HttpError) -> float | None:
    """Return the seconds of ``Retry-After``, at most ``MAX_PAUSE``; None if it is absent or a date."""
    headers = getattr(error.response, 'headers', None) or {}
    with contextlib.suppress(ValueError):
        return min(max(float(headers.get('Retry-After', '')), 0.0), MAX_PAUSE)
    return None


def to_error(error: HttpError) -> GirderZarrError:
    """Return our error for an error status, with the server's message."""
    message = ''
    with contextlib.suppress(ValueError, AttributeError):
        message = str(error.response.json().get('message') or '')
    if not message:
        message = f'The server answered {error.status} to {error.method} {error.url}.'
    return ERRORS.get(error.status, GirderZarrError)(message)


def describe(error: requests.RequestException) -> str:
    """Return in a few words why there was no answer, for an error message."""
    if isinstance(error, requests.Timeout):
        return 'it takes too long'
    if isinstance(error, requests.ConnectionError):
        return 'it cannot be reached, or has closed the connection'
    return str(error)
