"""Stitch sessions over HTTP, on top of `girder_client`; the routes are in docs/rest.md.

client = StitchClient(girder)
session = client.create(folder_id, 'Slide 7')
client.upload(session['_id'], [Patch('a', 'a.png', x=0, y=0), Patch('b', array, x=480, y=0)])
client.finalize(session['_id'])
print(client.item_url(client.wait(session['_id'])['itemId']))
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from girder_client import GirderClient, HttpError

from .errors import (
    CancelledError,
    ConflictError,
    GirderZarrError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    TooManyError,
    UnsupportedFormatError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

#: What a refusal of the server becomes here; every other status is a plain GirderZarrError.
ERRORS: dict[int, type[GirderZarrError]] = {
    400: InvalidInputError,
    404: NotFoundError,
    409: ConflictError,
    413: LimitExceededError,
    415: UnsupportedFormatError,
    429: TooManyError,
}
#: Seconds to connect, and to wait for an answer: storing a large patch may take a while.
TIMEOUT = (10, 300)
FINAL_STATES = frozenset({'complete', 'error', 'cancelled'})


class StitchFailedError(GirderZarrError):
    """The server could not make the image; the message is the server's."""


class WaitTimeoutError(GirderZarrError, TimeoutError):
    """The image was not finished in time; the job goes on."""


@dataclass(frozen=True)
class Patch:
    """One patch to be uploaded.

    :param key: names it within its session: 1 to 200 of ``A-Z a-z 0-9 . _ ~ - , @ = +``.
    :param data: the bytes of an image file, the path of one, or an array of shape (y, x) or (y, x, bands).
    :param x: column of the left upper pixel; may be negative.
    :param y: row of the left upper pixel; may be negative.
    :param order: decides where patches overlap: with ``last`` the highest counts.
    """

    key: str
    data: Any
    x: int
    y: int
    order: int = 0
    t: int | None = None
    z: int | None = None
    c: int | None = None

    @property
    def position(self) -> dict[str, int]:
        """The position along each axis that is given."""
        axes = {'x': self.x, 'y': self.y, 't': self.t, 'z': self.z, 'c': self.c}
        return {axis: value for axis, value in axes.items() if value is not None}

    def read(self) -> bytes:
        """Return what is sent: the file's bytes, or the array as npy.

        :raises InvalidInputError: there is no such file, or the data is neither bytes, path nor array.
        """
        if isinstance(self.data, bytes | bytearray | memoryview):
            return bytes(self.data)
        if isinstance(self.data, str | Path):
            try:
                return Path(self.data).read_bytes()
            except OSError as error:
                msg = f'The file {self.data} of patch {self.key} cannot be read: {error.strerror}.'
                raise InvalidInputError(msg) from error
        if not hasattr(self.data, '__array__'):
            msg = f'Patch {self.key} has to be bytes, a path or an array, not {type(self.data).__name__}.'
            raise InvalidInputError(msg)
        import numpy as np

        buffer = io.BytesIO()
        np.save(buffer, np.asarray(self.data), allow_pickle=False)
        return buffer.getvalue()


def content_digest(data: bytes) -> str:
    """Return the value of a ``Content-Digest`` header (RFC 9530) with SHA-256."""
    return f'sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:'


class StitchClient:
    """Creates, fills and finishes stitch sessions; may be used by several threads.

    A lost connection and a failing server (status 500 and above) are tried again, with longer and longer
    pauses, where asking twice does no harm. What the server refuses is raised as an error of `errors` with
    the server's sentence.

    :param girder: a client that is signed in. Only its address and token are used.
    :param attempts: how often a request is sent at most.
    :param pause: seconds before the second attempt; doubled before each further one.
    """

    def __init__(self, girder: GirderClient, *, attempts: int = 5, pause: float = 0.25) -> None:
        self.girder = girder
        self.attempts = attempts
        self.pause = pause

    def create(self, folder_id: str, name: str, spec: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Create a session in a folder; `spec` is described in docs/rest.md."""
        body: dict[str, Any] = {'folderId': str(folder_id), 'name': name}
        if spec:
            body['spec'] = dict(spec)
        # Asked twice this would make two sessions.
        return self._json('POST', 'stitch_session', json=body, attempts=1)

    def get(self, session_id: str) -> dict[str, Any]:
        """Return a session."""
        return self._json('GET', f'stitch_session/{session_id}')

    def sessions(self, folder_id: str) -> Iterator[dict[str, Any]]:
        """Yield the sessions of a folder."""
        return self._pages('stitch_session', {'folderId': str(folder_id)})

    def patches(self, session_id: str) -> Iterator[dict[str, Any]]:
        """Yield what the server knows of each patch of a session, ordered by key."""
        return self._pages(f'stitch_session/{session_id}/patch', {})

    def put_patch(
        self, session_id: str, key: str, data: Any, x: int, y: int, *, replace: bool = False, **place: Any
    ) -> dict[str, Any]:
        """Store one patch; `data` and `place` (order, t, z, c) are as in `Patch`."""
        patch = Patch(key, data, x, y, **place)
        return self._put(self.girder, session_id, patch, patch.read(), replace=replace)

    def delete_patch(self, session_id: str, key: str) -> None:
        """Remove one patch."""
        self._json('DELETE', f'stitch_session/{session_id}/patch/{quote(key, safe="")}')

    def upload(
        self,
        session_id: str,
        patches: Iterable[Patch],
        *,
        threads: int = 4,
        progress: bool | Callable[[str], None] = True,
        replace: bool = False,
    ) -> Counter[str]:
        """Store many patches; what the server already has is not sent again, so an upload can be resumed.

        :param patches: any number; taken one by one, so that they need not all be in memory.
        :param threads: requests at the same time.
        :param progress: a progress bar on a terminal, or a function that is told the outcome of each patch.
        :param replace: whether a patch may take the place of another one with its key.
        :returns: how many were ``created``, ``replaced``, ``unchanged``, or ``skipped`` without being sent.
        :raises GirderZarrError: the first refusal; no further patch is sent.
        """
        known = {patch['key']: patch for patch in self.patches(session_id)}
        source, lock, stopped = iter(patches), threading.Lock(), threading.Event()
        outcomes: Counter[str] = Counter()

        def work(advance: Callable[[str], None]) -> None:
            client = self._clone()
            with client.session():
                while not stopped.is_set():
                    with lock:
                        patch = next(source, None)
                    if patch is None:
                        return
                    outcome = self._put_unless_known(client, session_id, patch, known, replace=replace)
                    with lock:
                        outcomes[outcome] += 1
                        advance(outcome)

        total = len(patches) if hasattr(patches, '__len__') else None
        with progress_bar(progress, total) as advance, ThreadPoolExecutor(threads) as pool:
            try:
                tasks = [pool.submit(guarded, work, advance, stopped) for _ in range(threads)]
                for task in tasks:
                    task.result()
            finally:
                stopped.set()
        return outcomes

    def finalize(self, session_id: str, *, force: bool = False) -> dict[str, Any]:
        """Start the job that makes the image; `force` does so with fewer patches than expected."""
        parameters = {'force': 'true'} if force else {}
        return self._json('POST', f'stitch_session/{session_id}/finalize', parameters=parameters)

    def cancel(self, session_id: str) -> dict[str, Any]:
        """Stop the job, or close an open session."""
        return self._json('POST', f'stitch_session/{session_id}/cancel')

    def delete(self, session_id: str) -> None:
        """Remove a session with its patches; the finished item stays."""
        self._json('DELETE', f'stitch_session/{session_id}')

    def wait(
        self,
        session_id: str,
        timeout: float = 600,
        interval: float = 2.0,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Wait until a finalized session is complete, and return it.

        :param timeout: seconds.
        :param interval: seconds between two looks at most; the first ones follow quickly.
        :param progress: told ``{current, total, message}`` at each look.
        :raises StitchFailedError: the job has failed.
        :raises CancelledError: somebody has cancelled it.
        :raises WaitTimeoutError: it takes longer than `timeout`.
        """
        deadline, pause = time.monotonic() + timeout, min(0.1, interval)
        while (session := self.get(session_id))['state'] not in FINAL_STATES:
            if progress is not None:
                progress(session['progress'])
            if time.monotonic() + pause > deadline:
                msg = f'Session {session_id} is still {session["state"]} after {timeout:g} seconds.'
                raise WaitTimeoutError(msg)
            time.sleep(pause)
            pause = min(interval, pause * 1.5)
        if session['state'] == 'error':
            raise StitchFailedError(session['error'] or 'The server gives no reason.')
        if session['state'] == 'cancelled':
            msg = f'Session {session_id} was cancelled.'
            raise CancelledError(msg)
        return session

    def item_url(self, item_id: str) -> str:
        """Return the address of an item's page."""
        return f'{self.girder.urlBase.rstrip("/").removesuffix("/api/v1")}/#item/{item_id}'

    def _clone(self) -> GirderClient:
        """Return a client for one thread: girder_client keeps one connection in use at a time."""
        client = GirderClient(apiUrl=self.girder.urlBase)
        client.setToken(self.girder.token)
        return client

    def _put_unless_known(
        self, client: GirderClient, session_id: str, patch: Patch, known: Mapping[str, Any], *, replace: bool
    ) -> str:
        data = patch.read()
        there = known.get(patch.key)
        if (
            there is not None
            and there['digest'] == content_digest(data)
            and (there['position'], there['order']) == (patch.position, patch.order)
        ):
            return 'skipped'
        return str(self._put(client, session_id, patch, data, replace=replace)['status'])

    def _put(
        self, client: GirderClient, session_id: str, patch: Patch, data: bytes, *, replace: bool
    ) -> dict[str, Any]:
        parameters: dict[str, Any] = {**patch.position, 'order': patch.order}
        if replace:
            parameters['replace'] = 'true'
        return self._json(
            'PUT',
            f'stitch_session/{session_id}/patch/{quote(patch.key, safe="")}',
            client=client,
            parameters=parameters,
            data=data,
            headers={'Content-Type': 'application/octet-stream', 'Content-Digest': content_digest(data)},
        )

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
            try:
                answer = client.sendRestRequest(method, path, jsonResp=False, timeout=TIMEOUT, **request)
            except HttpError as error:
                # The first attempt may have been lost on its way back, and may still be at work over there.
                lost = attempt > 1 and error.status == 409
                if attempt > 1 and error.status == 404 and method == 'DELETE':
                    return None
                if attempt == attempts or (error.status < 500 and not lost):
                    raise refusal(error) from error
            except requests.RequestException as error:
                if attempt == attempts:
                    msg = f'No answer from {client.urlBase}: {reason(error)}.'
                    raise GirderZarrError(msg) from error
            else:
                return answer.json() if answer.content else None
            time.sleep(self.pause * 2 ** (attempt - 1))
        return None


def guarded(
    work: Callable[[Callable[[str], None]], None], advance: Callable[[str], None], stopped: threading.Event
) -> None:
    """Work, and stop the other threads when it fails."""
    try:
        work(advance)
    except BaseException:
        stopped.set()
        raise


@contextlib.contextmanager
def progress_bar(
    progress: bool | Callable[[str], None], total: int | None
) -> Iterator[Callable[[str], None]]:
    """Yield a function that is called once a patch."""
    if callable(progress):
        yield progress
        return
    tqdm = None
    if progress:
        with contextlib.suppress(ImportError):
            from tqdm import tqdm
    if tqdm is None:
        yield lambda _outcome: None
        return
    # disable=None: no bar where stderr is not a terminal.
    with tqdm(total=total, unit='patch', disable=None) as bar:
        yield lambda _outcome: bar.update() and None


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
