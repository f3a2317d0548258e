"""Stitch sessions over HTTP, on top of `girder_client`; docs/rest.md describes the routes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from girder_zarr.errors import CancelledError, GirderZarrError

from .patch import Patch, bytes_of, content_digest
from .refusals import PATCH_REFUSALS, Refusals
from .uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


__all__ = ['Patch', 'StitchClient', 'StitchFailedError', 'WaitTimeoutError', 'content_digest']

#: The states of a session after which it no longer changes by itself.
FINAL_STATES = frozenset({'complete', 'error', 'cancelled'})


class StitchFailedError(GirderZarrError):
    """The server could not make the image; the message is the server's."""


class WaitTimeoutError(GirderZarrError, TimeoutError):
    """The image was not finished in time; the job goes on."""


class StitchClient(Uploads):
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
