"""Stitch sessions over HTTP, on top of `girder_client`; docs/rest.md describes the routes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sized
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from girder_zarr.errors import CancelledError, GirderZarrError

from .http import Requests
from .patch import Patch, bytes_of, content_digest, tar_of
from .progress_bar import progress_bar
from .refusals import PATCH_REFUSALS, REFUSED, Refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from girder_client import GirderClient

__all__ = ['Patch', 'StitchClient', 'StitchFailedError', 'WaitTimeoutError', 'content_digest']

#: Patches and bytes of one request at most: enough that its fixed cost (some 16 database queries) is shared,
#: while what is repeated after a lost connection stays small.
MAX_BATCH_PATCHES = 32
MAX_BATCH_BYTES = 16 * 2**20
#: Patches on one page of the list of those that the server has.
MAX_PAGE = 20_000
#: The states of a session after which it no longer changes by itself.
FINAL_STATES = frozenset({'complete', 'error', 'cancelled'})


class StitchFailedError(GirderZarrError):
    """The server could not make the image; the message is the server's."""


class WaitTimeoutError(GirderZarrError, TimeoutError):
    """The image was not finished in time; the job goes on."""


class StitchClient(Requests):
    """Creates, fills and finishes stitch sessions. Safe under many threads.

    >>> client = StitchClient(girder)  # a girder_client.GirderClient that is signed in
    >>> session = client.create(folder_id, 'Slide 7', {'overlap': 'feather'})
    >>> client.upload(session['_id'], [Patch('a', 'a.png', x=0, y=0), Patch('b', array, x=480, y=0)])
    Counter({'created': 2})
    >>> client.finalize(session['_id'])
    >>> print(client.item_url(client.wait(session['_id'])['itemId']))

    Its arguments are those of `Requests`. Every method raises the errors of ``http.ERRORS`` with the server's
    message if the server refuses, and a `GirderZarrError` if it does not answer.
    """

    def create(self, folder_id: str, name: str, spec: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Create a session in a folder and return it.

        :param spec: see "Spec" in docs/rest.md; None: all defaults.
        """
        body: dict[str, Any] = {'folderId': str(folder_id), 'name': name}
        if spec:
            body['spec'] = dict(spec)
        # not repeated, because a second request would create a second session
        return self._object('POST', 'stitch_session', json=body, attempts=1)

    def get(self, session_id: str) -> dict[str, Any]:
        """Return a session, as docs/rest.md describes it."""
        return self._object('GET', f'stitch_session/{session_id}')

    def edit(
        self, session_id: str, *, name: str | None = None, spec: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Change the name and fields of the spec of an open session, and return it.

        :param name: None leaves it.
        :param spec: the fields to change; None leaves all.
        """
        body = {'name': name, 'spec': None if spec is None else dict(spec)}
        return self._object('PUT', f'stitch_session/{session_id}', json=body)

    def sessions(self, folder_id: str) -> Iterator[dict[str, Any]]:
        """Yield the sessions of a folder."""
        return self._pages('stitch_session', {'folderId': str(folder_id)})

    def patches(self, session_id: str) -> Iterator[dict[str, Any]]:
        """Yield the description of each patch of a session, ordered by key."""
        return self._pages(f'stitch_session/{session_id}/patch', {})

    def missing(self, session_id: str, keys: Iterable[str | tuple[str, str]]) -> dict[str, Any]:
        """Return which of many patches the session lacks, with one request.

        :param keys: keys, or pairs of key and digest (as :func:`content_digest` gives it).
        :returns: ``{missing: [key], different: [key], present: number}``.
        """
        requested = [key if isinstance(key, str) else {'key': key[0], 'digest': key[1]} for key in keys]
        return self._object('POST', f'stitch_session/{session_id}/missing', json={'keys': requested})

    def put_patches(
        self, session_id: str, patches: Iterable[Patch], *, replace: bool = False
    ) -> list[dict[str, Any]]:
        """Store some patches with one request; return ``{key, status, code, message}`` of each.

        A refused patch (status ``refused``) does not prevent the others from being stored.

        :param replace: whether a patch may replace a different one of the same key.
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
        **fields: Any,
    ) -> dict[str, Any]:
        """Store one patch and return its description.

        :param data: and all further fields: as of `Patch`.
        :param replace: whether it may replace a different patch of the same key.
        """
        patch, refusals = Patch(key, data, x, y, **fields), Refusals()
        try:
            return self._put(self.girder, session_id, patch, patch.read(), replace=replace)
        except PATCH_REFUSALS as error:
            refusals.add(patch, error)
            refusals.check(1)
            raise

    def delete_patch(self, session_id: str, key: str) -> None:
        """Remove one patch."""
        self._json('DELETE', f'stitch_session/{session_id}/patch/{quote(key, safe="")}')

    def put_reference(
        self, session_id: str, key: str, data: Any, *, replace: bool = False, **layout: Any
    ) -> dict[str, Any]:
        """Store a mask, flat or dark field, and return its description.

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
        """Return the description of each reference image of a session."""
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
        """Store many patches. Those that the server already has are skipped, so an upload can be resumed.

        :param patches: any number; consumed one by one, so that they need not all be in memory.
        :param threads: requests at the same time.
        :param batch: the largest number of small patches in one request; 1: one request for each.
        :param progress: whether to show a progress bar on a terminal; or a function that is called with the
            outcome of each patch, from any thread.
        :param replace: whether a patch may replace a different one of the same key.
        :returns: how many were ``created``, ``replaced``, ``unchanged``, or ``skipped`` without being sent.
        :raises GirderZarrError: some patches were refused; the others are stored. The message gives key and
            file of the first 20 and counts the rest; the attribute ``refusals`` lists all. Its class is that
            of the first.
        """
        known, spec = self._known(session_id), self.get(session_id)['spec']
        refusals = Refusals()
        source, lock, stopped = iter(patches), threading.Lock(), threading.Event()
        outcomes: Counter[str] = Counter()

        def work(advance: Callable[[str], None]) -> None:
            client = self._clone()
            with client.session():
                while not stopped.is_set():
                    group, done = self._gather(source, lock, known, spec, batch, refusals)
                    for outcome in self._send(client, session_id, group, refusals, replace=replace):
                        done.append(outcome)
                    if not done:
                        return
                    if refusals.are_too_many:
                        stopped.set()
                    with lock:
                        outcomes.update(done)
                        for outcome in done:
                            advance(outcome)

        total = len(patches) if isinstance(patches, Sized) else None
        with progress_bar(progress, total) as advance, ThreadPoolExecutor(threads) as pool:
            try:
                tasks = [pool.submit(_stop_others_on_error, work, advance, stopped) for _ in range(threads)]
                for task in tasks:
                    task.result()
            finally:
                stopped.set()
        refusals.check(outcomes.total())
        del outcomes[REFUSED]
        return outcomes

    def finalize(self, session_id: str, *, force: bool = False) -> dict[str, Any]:
        """Start the job that makes the image, and return the session.

        :param force: also with fewer patches than ``spec.expected``.
        """
        parameters = {'force': 'true'} if force else {}
        return self._object('POST', f'stitch_session/{session_id}/finalize', parameters=parameters)

    def cancel(self, session_id: str) -> dict[str, Any]:
        """Stop the job, or close an open session; return the session."""
        return self._object('POST', f'stitch_session/{session_id}/cancel')

    def delete(self, session_id: str) -> None:
        """Remove a session and its patches; a finished item stays."""
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
        :param interval: seconds between two requests at most; the first ones follow faster.
        :param progress: called with ``{current, total, message}`` after each request.
        :raises StitchFailedError: the job failed.
        :raises CancelledError: it was cancelled.
        :raises WaitTimeoutError: it takes longer than ``timeout``.
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
        """Return the address of an item's page in the web client."""
        return f'{self.girder.urlBase.rstrip("/").removesuffix("/api/v1")}/#item/{item_id}'

    def _known(self, session_id: str) -> dict[str, dict[str, Any]]:
        """Return the descriptions of the patches that the session has, by key."""
        pages = self._pages(f'stitch_session/{session_id}/patch', {}, size=MAX_PAGE)
        return {patch['key']: patch for patch in pages}

    @staticmethod
    def _gather(
        source: Iterator[Patch],
        lock: threading.Lock,
        known: Mapping[str, Any],
        spec: Mapping[str, Any],
        batch: int,
        refusals: Refusals,
    ) -> tuple[list[tuple[Patch, bytes]], list[str]]:
        """Take as many patches as one request holds, with their bytes, and skip those that the server has.

        :returns: the patches to send, and ``skipped`` or ``refused`` for each of the others.
        """
        group: list[tuple[Patch, bytes]] = []
        skipped: list[str] = []
        size = 0
        while len(group) < batch and size < MAX_BATCH_BYTES and len(skipped) < MAX_BATCH_PATCHES:
            with lock:
                patch = next(source, None)
            if patch is None:
                break
            try:
                data = patch.read()
            except GirderZarrError as error:
                refusals.add(patch, error)
                skipped.append(REFUSED)
                continue
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
        self,
        client: GirderClient,
        session_id: str,
        group: list[tuple[Patch, bytes]],
        refusals: Refusals,
        *,
        replace: bool,
    ) -> Iterator[str]:
        """Store patches, small ones with one request; yield the outcome of each.

        :raises GirderZarrError: an error of the session or server, not of one patch.
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
        # a refused patch is sent once more by itself: its error is raised, unless another request stored it
        for patch, data in alone:
            try:
                yield str(self._put(client, session_id, patch, data, replace=replace)['status'])
            except PATCH_REFUSALS as error:
                refusals.add(patch, error)
                yield REFUSED

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
        return self._object(
            'PUT',
            f'{path}/{quote(key, safe="")}',
            client=client,
            parameters={**parameters, 'replace': 'true'} if replace else parameters,
            data=data,
            headers={'Content-Type': 'application/octet-stream', 'Content-Digest': content_digest(data)},
        )


def _stop_others_on_error(
    work: Callable[[Callable[[str], None]], None], advance: Callable[[str], None], stopped: threading.Event
) -> None:
    """Run the work of one thread; if it fails, stop the other threads."""
    try:
        work(advance)
    except BaseException:
        stopped.set()
        raise
