"""Clients that upload patches in every way there is, and ask again until they are told that one is stored."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from .wire import Answer, NoAnswerError, Wire, tar_of

if TYPE_CHECKING:
    import random
    import threading
    from collections.abc import Callable, Sequence

    from .ledger import Ledger
    from .material import Piece, Work

#: After so many seconds without success something hangs.
PATIENCE = 400.0
#: A session that is seen in error more often than this, by all clients, does not come right by itself.
MOST_ERRORS = 40
#: The error of a session whose job met no broker; it is finalized again until there is one.
UNSENT = 'The job could not be started'
#: What an attempt returns when there is nothing more to try.
DONE = True
AGAIN = False


class Client:
    """One of several clients.

    :param sessions: ids of the sessions, by the names of the works.
    :param stop: set when the run is to end at once.
    """

    def __init__(
        self,
        wire: Wire,
        folder: str,
        sessions: dict[str, str],
        ledger: Ledger,
        rng: random.Random,
        stop: threading.Event,
    ) -> None:
        self.wire, self.folder, self.sessions = wire, folder, sessions
        self.ledger, self.rng, self.stop = ledger, rng, stop

    # Asking again

    def persist(self, what: str, attempt: Callable[[], bool], pause: float = 0.1) -> None:
        """Attempt something until there is nothing more to try."""
        end = time.monotonic() + PATIENCE
        while not self.stop.is_set():
            try:
                if attempt():
                    return
            except NoAnswerError:
                self.ledger.count('requests without an answer')
            if time.monotonic() > end:
                self.ledger.fault(f'{what}: still not accepted after {PATIENCE:.0f} seconds')
                return
            self.stop.wait(pause)

    def ask(self, method: str, path: str, **request: Any) -> Answer:
        """Send a request and count what came of it."""
        self.ledger.count('requests')
        answer = self.wire.ask(method, path, **request)
        if answer.status >= 500:
            self.ledger.count('answers of 500 and above')
            self.ledger.error(f'{answer.status}: {answer.message}')
        return answer

    def refused(self, what: str, work: Work, answer: Answer) -> bool:
        """Return whether a patch that was refused need not be tried again."""
        if answer.status >= 500 or answer.status == 429:
            return AGAIN
        if answer.status == 404 and work.doomed:
            self.ledger.count('patches for a deleted session')
            return DONE
        if answer.status == 409:
            state = self.state(self.sessions[work.name])
            if state in ('finalizing', 'complete'):
                self.ledger.count('patches that came too late')
                return DONE
            self.ledger.count('patches to be tried again (409)')
            return AGAIN
        self.ledger.fault(f'{what}: answered {answer.status}, {answer.message}')
        return DONE

    def state(self, session: str) -> str:
        """Return the state of a session, or nothing where the server does not say."""
        answer = self.ask('GET', f'stitch_session/{session}')
        return str(answer.json['state']) if answer.status == 200 else ''

    # One patch

    def put(self, work: Work, one: Piece, *, replace: bool = False, cut: bool = False) -> None:
        """Put one patch, perhaps after a request that was cut."""
        session = self.sessions[work.name]
        path = f'stitch_session/{session}/patch/{one.key}'
        request: dict[str, Any] = {
            'query': {**one.fields, **({'replace': 'true'} if replace else {})},
            'body': one.data,
            'headers': {'Content-Digest': one.digest},
        }

        def attempt() -> bool:
            if cut and self.rng.random() < 0.7:
                self.ledger.count('connections cut in a body')
                self.wire.cut('PUT', path, rng=self.rng, **request)
            answer = self.ask('PUT', path, **request)
            if answer.status in (200, 201):
                self.ledger.acknowledge(session, one.key, one.digest, 'PUT')
                return DONE
            return self.refused(f'PUT {one.key} of {work.name}', work, answer)

        self.persist(f'PUT {one.key} of {work.name}', attempt)

    def replace(self, work: Work, earlier: Piece, one: Piece) -> None:
        """Put a patch, then another one in its place."""
        self.put(work, earlier)
        self.put(work, one, replace=True)

    def stray(self, work: Work, one: Piece) -> None:
        """Put a patch and remove it again."""
        self.put(work, one)
        session = self.sessions[work.name]

        def attempt() -> bool:
            answer = self.ask('DELETE', f'stitch_session/{session}/patch/{one.key}')
            # 404: removed by a request whose answer was lost.
            if answer.status in (200, 404):
                self.ledger.acknowledge(session, one.key, None, 'DELETE')
                return DONE
            return self.refused(f'DELETE {one.key} of {work.name}', work, answer)

        self.persist(f'DELETE {one.key} of {work.name}', attempt)

    # Many

    def bulk(self, work: Work, pieces: Sequence[Piece], *, cut: bool = False) -> None:
        """Send patches in one tar; those that are not accepted go by themselves afterwards."""
        session = self.sessions[work.name]
        manifest = [
            {'file': f'm{at}', 'key': one.key, 'digest': one.digest, **one.fields}
            for at, one in enumerate(pieces)
        ]
        members = [(f'm{at}', one.data) for at, one in enumerate(pieces)]
        body = tar_of([('manifest.json', json.dumps(manifest).encode()), *members])
        path, by_key = f'stitch_session/{session}/patches', {one.key: one for one in pieces}
        headers = {'Content-Type': 'application/x-tar'}
        left = dict(by_key)

        def attempt() -> bool:
            if cut and self.rng.random() < 0.5:
                self.ledger.count('connections cut in a body')
                self.wire.cut('POST', path, {}, body, headers, self.rng)
            answer = self.ask('POST', path, body=body, headers=headers)
            found = answer.json or {}
            for told in found.get('patches') or (found.get('extra') or {}).get('patches') or ():
                if told['status'] in ('created', 'unchanged', 'replaced'):
                    one = left.pop(told['key'], None) or by_key[told['key']]
                    self.ledger.acknowledge(session, one.key, one.digest, 'tar')
            return DONE if answer.status == 200 else self.refused(f'tar for {work.name}', work, answer)

        self.persist(f'tar for {work.name}', attempt)
        for one in left.values():
            self.put(work, one)

    # Girder's own uploads

    def upload(self, work: Work, one: Piece) -> None:
        """Send a patch through Girder's upload, going on where it was interrupted."""
        session = self.sessions[work.name]
        what = f'upload of {one.key} of {work.name}'
        reference = {'stitchSession': session, 'key': one.key, 'digest': one.digest, **one.fields}
        query = {
            'parentType': 'folder',
            'parentId': self.folder,
            'name': f'{one.key}.bin',
            'size': len(one.data),
            'reference': json.dumps(reference),
        }
        begun: list[str] = []

        def attempt() -> bool:
            if not begun:
                answer = self.ask('POST', 'file', query=query)
                if answer.status != 200:
                    return self.refused(what, work, answer)
                begun.append(answer.json['_id'])
                at = 0
            else:
                answer = self.ask('GET', 'file/offset', query={'uploadId': begun[0]})
                if answer.status != 200:
                    return self._upload_is_gone(work, one, begun, answer)
                self.ledger.count('uploads resumed')
                at = int(answer.json['offset'])
            return self._chunks(work, one, begun, at)

        self.persist(what, attempt)

    def _chunks(self, work: Work, one: Piece, begun: list[str], at: int) -> bool:
        size = len(one.data)
        while True:
            end = min(size, at + max(1, size // self.rng.randrange(1, 4)))
            query = {'uploadId': begun[0], 'offset': at}
            answer = self.ask('POST', 'file/chunk', query=query, body=one.data[at:end])
            if answer.status != 200:
                return self._upload_failed(work, one, begun, answer)
            at = end
            if answer.json.get('_modelType') == 'file' or 'received' not in answer.json:
                self.ledger.acknowledge(self.sessions[work.name], one.key, one.digest, 'upload')
                return DONE

    def _upload_failed(self, work: Work, one: Piece, begun: list[str], answer: Answer) -> bool:
        if answer.status < 500 and answer.status != 409:
            # Girder has lost count of the bytes: begin anew, as its own clients do.
            self.ledger.error(f'upload: {answer.status}: {answer.message}')
            self.ledger.count('uploads begun anew')
            self.ask('DELETE', f'file/upload/{begun[0]}')
            begun.clear()
            return AGAIN
        return self.refused(f'upload of {one.key} of {work.name}', work, answer)

    def _upload_is_gone(self, work: Work, one: Piece, begun: list[str], answer: Answer) -> bool:
        """Decide what to do when an upload that was interrupted is not there any more."""
        if answer.status >= 500 and self.ledger.count('uploads that cannot be resumed', of=begun[0]) < 20:
            # The database may be away; but an upload whose server died at its very end is never found again.
            return AGAIN
        there = self.ask('GET', f'stitch_session/{self.sessions[work.name]}/patch/{one.key}')
        if there.status == 200 and there.json['digest'] == one.digest:
            self.ledger.count('uploads that were complete although no answer came')
            return DONE
        if there.status < 500:
            self.ledger.count('uploads begun anew')
            self.ask('DELETE', f'file/upload/{begun[0]}')
            begun.clear()
        return AGAIN

    # Sessions

    def delete(self, work: Work) -> None:
        """Delete a session."""
        session = self.sessions[work.name]

        def attempt() -> bool:
            return self.ask('DELETE', f'stitch_session/{session}').status in (200, 404)

        self.persist(f'DELETE of {work.name}', attempt)

    def ask_finalize(self, work: Work) -> None:
        """Ask once for the image; with patches missing that is refused."""
        try:
            answer = self.ask('POST', f'stitch_session/{self.sessions[work.name]}/finalize')
        except NoAnswerError:
            self.ledger.count('requests without an answer')
            return
        self.ledger.count(f'finalize answered {answer.status}')

    def settle(self, work: Work, *, cancel: bool) -> None:
        """See that a session becomes complete: send what is missing, finalize, wait, and again.

        :param cancel: cancel it once while it is finalizing.
        """
        session = self.sessions[work.name]
        cancelled = not cancel

        def attempt() -> bool:
            nonlocal cancelled
            answer = self.ask('GET', f'stitch_session/{session}')
            if answer.status != 200:
                return AGAIN
            state = answer.json['state']
            if state == 'complete':
                return DONE
            if state == 'finalizing':
                if not cancelled:
                    cancelled = True
                    self.ledger.count('sessions cancelled')
                    self.ask('POST', f'stitch_session/{session}/cancel')
                return AGAIN
            if state == 'error':
                self.ledger.error(f'session: {answer.json["error"]}')
                if answer.json['error'].startswith(UNSENT):
                    self.ledger.count('sessions seen in error for want of the broker')
                elif self.ledger.count('sessions seen in error', of=session) > MOST_ERRORS:
                    self.ledger.fault(f'{work.name} goes on ending in error: {answer.json["error"]}')
                    return DONE
            self._send_missing(work)
            self.ask_finalize(work)
            return AGAIN

        self.persist(f'finalizing {work.name}', attempt, pause=0.5)

    def _send_missing(self, work: Work) -> None:
        asked = [{'key': one.key, 'digest': one.digest} for one in work.pieces.values()]
        body = json.dumps({'keys': asked}).encode()
        answer = self.ask(
            'POST',
            f'stitch_session/{self.sessions[work.name]}/missing',
            body=body,
            headers={'Content-Type': 'application/json'},
        )
        if answer.status == 200:
            for key in answer.json['missing']:
                self.ledger.count('patches found missing and sent again')
                self.put(work, work.pieces[key])


def share_out(works: Sequence[Work], clients: int, rng: random.Random) -> list[list[tuple[Any, ...]]]:
    """Return for each client what it shall do, in random order: the name of a method and its arguments.

    Every patch goes to at least one client, most of them to more; what is replaced or removed is one
    client's own business, so that it is known what is right in the end.
    """
    tasks: list[list[tuple[Any, ...]]] = [[] for _ in range(clients)]
    for work in works:
        for key, earlier in work.earlier.items():
            rng.choice(tasks).append(('replace', work, earlier, work.pieces[key]))
        for stray in work.strays.values():
            rng.choice(tasks).append(('stray', work, stray))
        free = [one for key, one in work.pieces.items() if key not in work.earlier]
        deliveries = [one for one in free for _ in range(1 + (rng.random() < 0.5) + (rng.random() < 0.2))]
        rng.shuffle(deliveries)
        while deliveries:
            way = rng.random()
            if way < 0.2:
                group = {one.key: one for one in (deliveries.pop() for _ in range(min(6, len(deliveries))))}
                rng.choice(tasks).append(('bulk', work, list(group.values()), rng.random() < 0.3))
            elif way < 0.4:
                rng.choice(tasks).append(('upload', work, deliveries.pop()))
            else:
                rng.choice(tasks).append(('put', work, deliveries.pop(), way < 0.55))
        if work.doomed:
            rng.choice(tasks).append(('delete', work))
    for mine in tasks:
        rng.shuffle(mine)
    return tasks


def deliver(client: Client, tasks: Sequence[tuple[Any, ...]]) -> None:
    """Do everything that one client has to do."""
    for name, work, *rest in tasks:
        if client.stop.is_set():
            return
        more = {'cut': rest.pop()} if name in ('put', 'bulk') else {}
        getattr(client, name)(work, *rest, **more)
