"""Requests to a Girder server that are sent again where this does no harm; refusals as our errors."""

from __future__ import annotations

import contextlib
import random
import time
from typing import TYPE_CHECKING, Any

import requests
from girder_client import GirderClient, HttpError

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

#: What a refusal of the server becomes here; every other status is a plain GirderZarrError.
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
#: Seconds between two attempts at most, whatever the server asks for.
MAX_PAUSE = 30.0


class Requests:
    """Sends requests; may be used by several threads.

    A lost connection, a failing server (status 500 and above) and one that has too much to do (429) are tried
    again, with longer and longer pauses, or after those that the answer's ``Retry-After`` asks for.

    :param girder: a client that is signed in. Only its address and token are used.
    :param attempts: how often a request is sent at most.
    :param pause: seconds before the second attempt; doubled before each further one, up to 30.
    """

    def __init__(self, girder: GirderClient, *, attempts: int = 8, pause: float = 0.25) -> None:
        self.girder = girder
        self.attempts = attempts
        self.pause = pause

    def _clone(self) -> GirderClient:
        """Return a client for one thread: girder_client keeps one connection in use at a time."""
        client = GirderClient(apiUrl=self.girder.urlBase)
        client.setToken(self.girder.token)
        return client

    def _pages(self, path: str, parameters: dict[str, Any], size: int = 500) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page: Any = self._json('GET', path, parameters={**parameters, 'limit': size, 'offset': offset})
            yield from page
            offset += len(page)
            if len(page) < size:
                return

    def _json(
        self,
        method: str,
        path: str,
        *,
        client: GirderClient | None = None,
        attempts: int | None = None,
        **request: Any,
    ) -> Any:
        """Send a request and return the answer's JSON, or None where it has no body.

        :raises GirderZarrError: the server refuses, or does not answer however often it is asked.
        """
        client, attempts = client or self.girder, attempts or self.attempts
        for attempt in range(1, attempts + 1):
            wait = min(self.pause * 2 ** (attempt - 1), MAX_PAUSE)
            try:
                answer = client.sendRestRequest(method, path, jsonResp=False, timeout=TIMEOUT, **request)
            except HttpError as error:
                if attempt > 1 and error.status == 404 and method == 'DELETE':
                    return None
                if attempt == attempts or not worth_another(error.status, attempt):
                    raise refusal(error) from error
                wait = asked_pause(error) or wait
            except requests.RequestException as error:
                if attempt == attempts:
                    msg = f'No answer from {client.urlBase}: {reason(error)}.'
                    raise GirderZarrError(msg) from error
            else:
                return answer.json() if answer.content else None
            # not all at the same moment, where many have waited for one server
            time.sleep(wait * random.uniform(0.75, 1.25))  # noqa: S311 - no secret
        return None


def worth_another(status: int, attempt: int) -> bool:
    """Return whether a request that was refused with a status may be granted when it is sent again.

    The first attempt may have been lost on its way back, and may still be at work over there: then the
    second meets its traces, which is a conflict.
    """
    # A disk that is full (507) stays full for longer than this client waits.
    return (status >= 500 and status != 507) or status == 429 or (status == 409 and attempt > 1)


def asked_pause(error: HttpError) -> float | None:
    """Return how many seconds the server asks to wait, or None where it does not say, or gives a date."""
    headers = getattr(error.response, 'headers', None) or {}
    with contextlib.suppress(ValueError):
        return min(max(float(headers.get('Retry-After', '')), 0.0), MAX_PAUSE)
    return None


def refusal(error: HttpError) -> GirderZarrError:
    """Return our error for an answer of the server, with the server's sentence."""
    message = ''
    with contextlib.suppress(ValueError, AttributeError):
        message = str(error.response.json().get('message') or '')
    if not message:
        message = f'The server answered {error.status} to {error.method} {error.url}.'
    return ERRORS.get(error.status, GirderZarrError)(message)


def reason(error: requests.RequestException) -> str:
    """Return in a few words why there was no answer."""
    if isinstance(error, requests.Timeout):
        return 'it takes too long'
    if isinstance(error, requests.ConnectionError):
        return 'it cannot be reached, or has closed the connection'
    return str(error)
