"""Stitch sessions over HTTP, on top of `girder_client`; the routes are in docs/rest.md.

client = StitchClient(girder)
session = client.create(folder_id, 'Slide 7')
client.upload(session['_id'], [Patch('a', 'a.png', x=0, y=0), Patch('b', array, x=480, y=0)])
client.finalize(session['_id'])
print(client.item_url(client.wait(session['_id'])['itemId']))
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from girder_zarr.errors import CancelledError, GirderZarrError

from .http import Requests
from .patch import Patch, bytes_of, content_digest, guarded, progress_bar, tar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from girder_client import GirderClient

__all__ = ['Patch', 'StitchClient', 'StitchFailedError', 'WaitTimeoutError', 'content_digest']

#: What goes with one request at most: so many patches, of so many bytes together.
MAX_BATCH_PATCHES = 32
MAX_BATCH_BYTES = 16 * 2**20
#: How many patches one request tells of, when it is asked which are there.
KNOWN_AT_ONCE = 20_000
FINAL_STATES = frozenset({'complete', 'error', 'cancelled'})


class StitchFailedError(GirderZarrError):
    """The server could not make the image; the message is the server's."""


class WaitTimeoutError(GirderZarrError, TimeoutError):
    """The image was not finished in time; the job goes on."""


class StitchClient(Requests):
    """Creates, fills and finishes stitch sessions; may be used by several threads.

    Its arguments are those of `Requests`. What the server refuses is raised as an error of `errors` with the
    server's sentence.
    """

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

    def edit(
        self, session_id: str, *, name: str | None = None, spec: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Change the name and some fields of the spec of an open session."""
        body = {'name': name, 'spec': None if spec is None else dict(spec)}
        return self._json('PUT', f'stitch_session/{session_id}', json=body)

    def sessions(self, folder_id: str) -> Iterator[dict[str, Any]]:
        """Yield the sessions of a folder."""
        return self._pages('stitch_session', {'folderId': str(folder_id)})

    def patches(self, session_id: str) -> Iterator[dict[str, Any]]:
        """Yield what the server knows of each patch of a session, ordered by key."""
        return self._pages(f'stitch_session/{session_id}/patch', {})

    def missing(self, session_id: str, keys: Iterable[str | tuple[str, str]]) -> dict[str, Any]:
        """Ask which of many patches the session does not have, in one request.

        :param keys: keys, or pairs of key and digest (as :func:`content_digest` gives it).
        :returns: ``{missing: [key], different: [key], present: number}``.
        """
        asked = [key if isinstance(key, str) else {'key': key[0], 'digest': key[1]} for key in keys]
        return self._json('POST', f'stitch_session/{session_id}/missing', json={'keys': asked})

    def put_patches(
        self, session_id: str, patches: Iterable[Patch], *, replace: bool = False
    ) -> list[dict[str, Any]]:
        """Store some patches with one request; return what became of each, ``{key, status, code, message}``.

        A refused patch (status ``refused``) does not keep the others from being stored.
        """
        pairs = [(patch, patch.read()) for patch in patches]
        return self._put_together(self.girder, session_id, pairs, replace=replace)

    def put_patch(
        self,
        session_id: str,
        key: str,
        data: Any,
        x: float | None = None,
        y: float | None = None,
        *,
        replace: bool = False,
        **said: Any,
    ) -> dict[str, Any]:
        """Store one patch; `data` and what is said of it are as in `Patch`."""
        patch = Patch(key, data, x, y, **said)
        return self._put(self.girder, session_id, patch, patch.read(), replace=replace)

    def delete_patch(self, session_id: str, key: str) -> None:
        """Remove one patch."""
        self._json('DELETE', f'stitch_session/{session_id}/patch/{quote(key, safe="")}')

    def put_reference(
        self, session_id: str, key: str, data: Any, *, replace: bool = False, **layout: Any
    ) -> dict[str, Any]:
        """Store a mask, flat or dark field.

        :param data: as of `Patch`.
        :param layout: shape, dtype and compression of raw pixels, as of `Patch`.
        """
        content = bytes_of(data, f'reference image {key}')
        parameters = Patch(key, content, **layout).parameters
        del parameters['order']
        return self._send_bytes(
            self.girder, f'stitch_session/{session_id}/reference', key, content, parameters, replace=replace
        )

    def references(self, session_id: str) -> list[dict[str, Any]]:
        """Return what the server knows of each reference image."""
        return list(self._json('GET', f'stitch_session/{session_id}/reference'))

    def delete_reference(self, session_id: str, key: str) -> None:
        """Remove one reference image."""
        self._json('DELETE', f'stitch_session/{session_id}/reference/{quote(key, safe="")}')

    def upload(
        self,
        session_id: str,
        patches: Iterable[Patch],
        *,
        threads: int = 4,
        batch: int = MAX_BATCH_PATCHES,
        progress: bool | Callable[[str], None] = True,
        replace: bool = False,
    ) -> Counter[str]:
        """Store many patches; what the server already has is not sent again, so an upload can be resumed.

        :param patches: any number; taken one by one, so that they need not all be in memory.
        :param threads: requests at the same time.
        :param batch: how many small patches go with one request at most; 1: each with its own.
        :param progress: a progress bar on a terminal, or a function that is told the outcome of each patch.
        :param replace: whether a patch may take the place of another one with its key.
        :returns: how many were ``created``, ``replaced``, ``unchanged``, or ``skipped`` without being sent.
        :raises GirderZarrError: the first refusal; no further patch is sent.
        """
        known, spec = self._known(session_id), self.get(session_id)['spec']
        source, lock, stopped = iter(patches), threading.Lock(), threading.Event()
        outcomes: Counter[str] = Counter()

        def work(advance: Callable[[str], None]) -> None:
            client = self._clone()
            with client.session():
                while not stopped.is_set():
                    group, done = self._gather(source, lock, known, spec, batch)
                    for outcome in self._send(client, session_id, group, replace=replace):
                        done.append(outcome)
                    if not done:
                        return
                    with lock:
                        outcomes.update(done)
                        for outcome in done:
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

    def _known(self, session_id: str) -> dict[str, dict[str, Any]]:
        """Return what the session has, by key."""
        pages = self._pages(f'stitch_session/{session_id}/patch', {}, size=KNOWN_AT_ONCE)
        return {patch['key']: patch for patch in pages}

    @staticmethod
    def _gather(
        source: Iterator[Patch],
        lock: threading.Lock,
        known: Mapping[str, Any],
        spec: Mapping[str, Any],
        batch: int,
    ) -> tuple[list[tuple[Patch, bytes]], list[str]]:
        """Take as many patches as one request carries, with their bytes; pass over those that are there.

        :returns: the patches to be sent, and ``skipped`` for each of the others.
        """
        group: list[tuple[Patch, bytes]] = []
        skipped: list[str] = []
        size = 0
        while len(group) < batch and size < MAX_BATCH_BYTES and len(skipped) < MAX_BATCH_PATCHES:
            with lock:
                patch = next(source, None)
            if patch is None:
                break
            data = patch.read()
            there = known.get(patch.key)
            if (
                there is not None
                and there['digest'] == content_digest(data)
                and patch.is_stored_as(there, spec)
            ):
                skipped.append('skipped')
                continue
            group.append((patch, data))
            size += len(data)
        return group, skipped

    def _send(
        self, client: GirderClient, session_id: str, group: list[tuple[Patch, bytes]], *, replace: bool
    ) -> Iterator[str]:
        """Store patches, together if that is worth it; yield what became of each.

        :raises GirderZarrError: the first refusal.
        """
        small = [pair for pair in group if len(pair[1]) <= MAX_BATCH_BYTES // 4]
        together = small if len(small) > 1 else []
        by_key = {patch.key: (patch, data) for patch, data in together}
        if len(by_key) < len(together):
            together, by_key = [], {}
        alone = [pair for pair in group if pair[0].key not in by_key]
        if together:
            for found in self._put_together(client, session_id, together, replace=replace):
                if found['status'] == 'refused':
                    alone.append(by_key[found['key']])
                else:
                    yield found['status']
        # What was refused is asked for once more: the answer is the error, unless another request was faster.
        for patch, data in alone:
            yield str(self._put(client, session_id, patch, data, replace=replace)['status'])

    def _put_together(
        self, client: GirderClient, session_id: str, pairs: list[tuple[Patch, bytes]], *, replace: bool
    ) -> list[dict[str, Any]]:
        answer = self._json(
            'POST',
            f'stitch_session/{session_id}/patches',
            client=client,
            parameters={'replace': 'true'} if replace else {},
            data=tar_of(pairs),
            headers={'Content-Type': 'application/x-tar'},
        )
        return list(answer['patches'])

    def _put(
        self, client: GirderClient, session_id: str, patch: Patch, data: bytes, *, replace: bool
    ) -> dict[str, Any]:
        path = f'stitch_session/{session_id}/patch'
        return self._send_bytes(client, path, patch.key, data, patch.parameters, replace=replace)

    def _send_bytes(
        self,
        client: GirderClient,
        path: str,
        key: str,
        data: bytes,
        parameters: dict[str, Any],
        *,
        replace: bool,
    ) -> dict[str, Any]:
        return self._json(
            'PUT',
            f'{path}/{quote(key, safe="")}',
            client=client,
            parameters={**parameters, 'replace': 'true'} if replace else parameters,
            data=data,
            headers={'Content-Type': 'application/octet-stream', 'Content-Digest': content_digest(data)},
        )
