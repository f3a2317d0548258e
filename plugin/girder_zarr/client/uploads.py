"""Patches sent to a session: in batches, files of several pages as a whole, over several connections."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sized
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from girder_zarr.errors import GirderZarrError, InvalidInputError, LimitExceededError

from .http import ERRORS, Requests
from .page_upload import by_file
from .patch import Patch, content_digest, tar_of
from .progress_bar import progress_bar
from .refusals import PATCH_REFUSALS, REFUSED, Refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from girder_client import GirderClient

    from .page_upload import FilePages

#: Patches and bytes of one request at most: enough that its fixed cost (some 16 database queries) is shared,
#: while what is repeated after a lost connection stays small.
MAX_BATCH_PATCHES = 32
MAX_BATCH_BYTES = 16 * 2**20
#: Patches on one page of the list of those that the server has.
MAX_PAGE = 20_000


class Uploads(Requests):
    """Sends patches. Safe under many threads."""

    def get(self, session_id: str) -> dict[str, Any]:
        """Return a session, as docs/rest.md describes it."""
        return self._object('GET', f'stitch_session/{session_id}')

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
        source, lock, stopped = by_file(patches), threading.Lock(), threading.Event()
        outcomes: Counter[str] = Counter()

        def work(advance: Callable[[str], None]) -> None:
            client = self._clone()
            with client.session():
                while not stopped.is_set():
                    group, files, done = self._gather(source, lock, known, spec, batch, refusals)
                    for pages in files:
                        done += self._send_file(
                            client, session_id, pages, known, spec, refusals, replace=replace
                        )
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

    def _known(self, session_id: str) -> dict[str, dict[str, Any]]:
        """Return the descriptions of the patches that the session has, by key."""
        pages = self._pages(f'stitch_session/{session_id}/patch', {}, size=MAX_PAGE)
        return {patch['key']: patch for patch in pages}

    @staticmethod
    def _gather(
        source: Iterator[Patch | FilePages],
        lock: threading.Lock,
        known: Mapping[str, Any],
        spec: Mapping[str, Any],
        batch: int,
        refusals: Refusals,
    ) -> tuple[list[tuple[Patch, bytes]], list[FilePages], list[str]]:
        """Take as many patches as one request holds, with their bytes, and skip those that the server has.

        :returns: the patches and the file to send, and ``skipped`` or ``refused`` for each of the others.
        """
        group: list[tuple[Patch, bytes]] = []
        skipped: list[str] = []
        size = 0
        while len(group) < batch and size < MAX_BATCH_BYTES and len(skipped) < MAX_BATCH_PATCHES:
            with lock:
                patch = next(source, None)
            if patch is None:
                break
            if not isinstance(patch, Patch):
                return group, [patch], skipped
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
        return group, [], skipped

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

    def _send_file(
        self,
        client: GirderClient,
        session_id: str,
        pages: FilePages,
        known: Mapping[str, Any],
        spec: Mapping[str, Any],
        refusals: Refusals,
        *,
        replace: bool,
    ) -> list[str]:
        """Store the pages of a file with one request, unless the server has them; return what became of each.

        :raises GirderZarrError: an error of the session or server, not of one patch.
        """
        try:
            digest = pages.digest()
            if all(
                (there := known.get(patch.key)) is not None
                and there['digest'] == digest
                and patch.is_stored_as(there, spec, of_file=True)
                for patch in pages.patches
            ):
                return ['skipped'] * len(pages.patches)
            with pages.body(digest) as body:
                found = self._put_stream(client, session_id, body, replace=replace)
        except LimitExceededError:
            # a smaller request for each page may still be taken
            return [
                outcome
                for patch in pages.patches
                for outcome in self._send(
                    client, session_id, [(patch, patch.read())], refusals, replace=replace
                )
            ]
        except InvalidInputError as error:
            for patch in pages.patches:
                refusals.add(patch, error)
            return [REFUSED] * len(pages.patches)
        by_key = {patch.key: patch for patch in pages.patches}
        for one in found:
            if one['status'] == REFUSED:
                error_class = ERRORS.get(one['code'], GirderZarrError)
                refusals.add(by_key[one['key']], error_class(one.get('message', 'It was refused.')))
        return [str(one['status']) for one in found]

    def _put_together(
        self, client: GirderClient, session_id: str, pairs: list[tuple[Patch, bytes]], *, replace: bool
    ) -> list[dict[str, Any]]:
        return self._put_stream(client, session_id, tar_of(pairs), replace=replace)

    def _put_stream(
        self, client: GirderClient, session_id: str, body: Any, *, replace: bool
    ) -> list[dict[str, Any]]:
        answer = self._json(
            'POST',
            f'stitch_session/{session_id}/patches',
            client=client,
            parameters={'replace': 'true'} if replace else {},
            data=body,
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
