"""Kill servers, workers, database and broker at random moments while clients upload and finalize.

    PYTHONPATH=tests python -m chaos.kill_stack [--kills 100] [--seed 0] [--json FILE] [--parts server worker]
        [--broker rabbitmq] [--seconds 0]

Starts `girder-zarr serve` in a new folder. In each round 8 clients upload the patches of some sessions: some
twice, in any order, in every way there is, some with connections that are cut. Then all of them see that each
session is finalized. Meanwhile processes of the stack are killed with SIGKILL. Rounds follow until there were
enough kills. In the end all is counted: what was acknowledged, the pixels of each image, what is left over.
Ends with 1 where something is lost, wrong, or left over. docs/chaos.md says what came of it.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from support.rabbitmq import running_rabbitmq
from support.stack import Stack
from support.waiting import wait_until

from .census import Census
from .clients import Client, deliver, share_out
from .killer import OUTSIDE, WEIGHTS, Killer, Watch
from .ledger import Ledger
from .material import Work, make_work
from .results import wrong_patches, wrong_pixels
from .wire import NoAnswerError, Wire

#: How long what is in between may take to come to an end once nothing is killed any more, in seconds.
SETTLE_SECONDS = 150.0


class Run:
    """One run over one stack."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.rng = options, random.Random(options.seed)
        self.temporary = folder / 'temporary'
        self.temporary.mkdir()
        self.opened = contextlib.ExitStack()
        self.rabbitmq, broker = None, []
        if options.broker == OUTSIDE:
            self.rabbitmq = self.opened.enter_context(running_rabbitmq(folder / OUTSIDE))
            broker = ['--broker', self.rabbitmq.url]
        self.stack = Stack(folder / 'data', *broker, environment={'TMPDIR': str(self.temporary)})
        self.opened.callback(self.stack.close)
        self.ledger, self.stop = Ledger(), threading.Event()
        self.works: list[tuple[str, Work]] = []
        self.killed: collections.Counter[str] = collections.Counter()
        self.kill_log: list[tuple[float, str]] = []
        self.rounds = 0
        self.closing = False

    def prepare(self) -> None:
        """Wait for the stack and make a folder in it."""
        self.stack.ready()
        self.girder = girder = self.stack.client()
        self.token = girder.token
        # So that small patches come in several chunks as well.
        girder.put('system/setting', {'key': 'core.upload_minimum_chunk_size', 'value': '0'})
        collection = girder.createCollection('chaos')
        self.folder = girder.createFolder(collection['_id'], 'chaos', parentType='collection')['_id']
        self.wire = Wire(self.stack.url, self.token)
        self.opened.callback(self.wire.close)
        self.watch = Watch(self.stack, self.ledger, self.stack_ended)
        self.watch.start()
        self.census = Census(self.stack, self.temporary)
        self.opened.callback(self.census.close)

    def stack_ended(self) -> None:
        """Stop, unless it was we who have stopped the stack."""
        if not self.closing:
            self.ledger.fault(f'the stack has ended: {" ".join(self.stack.errors)}')
            self.stop.set()

    def close(self) -> None:
        """Stop the stack."""
        self.closing = True
        self.opened.close()

    def is_enough(self) -> bool:
        """Return whether there were enough kills for long enough, or something is wrong."""
        kills, seconds = self.options.kills, self.options.seconds
        long_enough = self.killed.total() >= kills and self.ledger.seconds() >= seconds
        return long_enough or bool(self.ledger.faults)

    def round(self) -> None:
        """Upload and finalize some sessions while parts are killed."""
        self.rounds += 1
        wait_until(self.all_answers, seconds=120, what='the whole stack')
        # In every second round the workers share the images out.
        values = 2**18 if self.rounds % 2 else 2**28
        self.girder.put('system/setting', {'key': 'zarr.stitch_part_values', 'value': values})
        works = self.make_works()
        sessions = {work.name: self.create(work) for work in works}
        self.works += [(sessions[work.name], work) for work in works]
        left = self.options.kills - self.killed.total()
        most = self.options.kills_a_round
        kills = min(left, most) if left > 0 else most
        parts = self.options.parts or [*sorted(WEIGHTS), *([OUTSIDE] if self.rabbitmq else [])]
        killer = Killer(self.stack, self.watch, parts, kills, self.rng, self.ledger, self.rabbitmq)
        tasks = share_out(works, self.options.clients, self.rng)
        clients = [self.client(sessions) for _ in tasks]
        killer.start()
        try:
            self.together(deliver, clients, tasks)
            self.check_acknowledged(sessions, works)
            self.together(self.finish, clients, [works] * len(clients))
        finally:
            killer.end()
            self.killed += killer.killed
            self.kill_log += killer.log
        for client in clients:
            client.wire.close()
        print(
            f'{self.ledger.seconds():6.0f} s: round {self.rounds}, {self.killed.total()} kills, '
            f'{len(self.ledger.acknowledged)} patches acknowledged, {len(self.ledger.faults)} faults',
            file=sys.stderr,
            flush=True,
        )

    def make_works(self) -> list[Work]:
        options, rng = self.options, self.rng
        # Two more than there are, so that each kind of session has every fate in turn.
        first = self.rounds * (options.sessions + 2)
        return [
            make_work(
                rng,
                first + number,
                f'round {self.rounds} session {number}',
                columns=options.columns,
                side=options.side,
                doomed=number == options.sessions - 1,
            )
            for number in range(options.sessions)
        ]

    def create(self, work: Work) -> str:
        """Create the session of a work; nothing is being killed yet."""
        body = {'folderId': self.folder, 'name': work.name, 'spec': work.spec}
        headers = {'Content-Type': 'application/json'}
        asked = lambda: self.try_ask('POST', 'stitch_session', json.dumps(body).encode(), headers)  # noqa: E731
        return str(wait_until(asked, seconds=120, what='a new session')['_id'])

    def try_ask(self, method: str, path: str, body: bytes = b'', headers: Any = None) -> Any:
        """Return the JSON of an answer, or None where there is none or a refusal."""
        try:
            answer = self.wire.ask(method, path, body=body, headers=headers)
        except NoAnswerError:
            return None
        return answer.json if answer.status == 200 else None

    def client(self, sessions: dict[str, str]) -> Client:
        wire = Wire(self.stack.url, self.token)
        rng = random.Random(self.rng.getrandbits(64))
        return Client(wire, self.folder, sessions, self.ledger, rng, self.stop)

    def together(self, function: Any, *arguments: list[Any]) -> None:
        """Let all clients do something at the same time."""
        with ThreadPoolExecutor(len(arguments[0])) as pool:
            try:
                list(pool.map(function, *arguments))
            except BaseException:
                self.stop.set()
                raise

    def finish(self, client: Client, works: list[Work]) -> None:
        """See that all sessions become complete, in an order of this client's own."""
        mine = [work for work in works if not work.doomed]
        client.rng.shuffle(mine)
        for work in mine:
            client.settle(work, cancel=client.rng.random() < 0.05)

    def check_acknowledged(self, sessions: dict[str, str], works: list[Work]) -> None:
        """See that what was acknowledged is there, before anything is sent again."""
        for work in works:
            if not work.doomed:
                known = self.ledger.of_session(sessions[work.name])
                lost = wait_until(
                    lambda work=work, known=known: self.try_compare(sessions[work.name], work, known),
                    seconds=120,
                    what='the list of patches',
                )
                for sentence in lost[0]:
                    self.ledger.fault(f'lost: {sentence}')

    def try_compare(self, session: str, work: Work, known: dict[str, str | None]) -> Any:
        try:
            return wrong_patches(self.wire, session, work, known, complete=False)
        except (NoAnswerError, AssertionError):
            return None

    # In the end

    def all_answers(self) -> bool:
        """Return whether server, database and a worker answer."""
        status = self.try_ask('GET', 'worker/status')
        return bool(status and status.get('ping'))

    def conclude(self) -> dict[str, Any]:
        """Count everything, once nothing is killed any more."""
        wait_until(self.all_answers, seconds=120, what='the whole stack')
        at_once = self.census.orphans()
        lost: list[str] = []
        for session, work in self.works:
            if work.doomed:
                continue
            known = self.ledger.of_session(session)
            missing, other = wrong_patches(self.wire, session, work, known, complete=True)
            lost += missing
            self.ledger.faults += other
        pixels = [
            fault
            for session, work in self.works
            if not work.doomed and (fault := wrong_pixels(self.wire, session, work)) is not None
        ]
        left = self.swept()
        return self.report(lost, pixels, at_once, left)

    def swept(self) -> dict[str, list[str]]:
        """Return what is left over when an hour has passed, in which the server has looked after it."""
        end, left = time.monotonic() + SETTLE_SECONDS, self.census.orphans()
        self.census.age(hours=1.5)
        while any(self.bad(left).values()) and time.monotonic() < end:
            self.wire.insist('POST', 'stitch_session/sweep')
            # What an administrator does about uploads that nobody goes on with; the age is in days.
            self.wire.insist('DELETE', 'system/uploads', {'minimumAge': 0.05})
            self.stop.wait(1)
            left = self.census.orphans()
        return left

    @staticmethod
    def bad(left: dict[str, list[str]]) -> dict[str, list[str]]:
        """Return what must not be there; the empty files of locks may."""
        return {kind: those for kind, those in left.items() if those and kind != 'locks on disk'}

    def report(
        self,
        lost: list[str],
        pixels: list[str],
        at_once: dict[str, list[str]],
        left: dict[str, list[str]],
    ) -> dict[str, Any]:
        """Return all that there is to say."""
        well = not (lost or pixels or self.ledger.faults or self.bad(left))
        return {
            'well': well,
            'seed': self.options.seed,
            'seconds': round(self.ledger.seconds(), 1),
            'rounds': self.rounds,
            'sessions': sum(not work.doomed for _, work in self.works),
            'sessions deleted meanwhile': sum(work.doomed for _, work in self.works),
            'patches': sum(len(work.pieces) for _, work in self.works if not work.doomed),
            'kills': self.killed.total(),
            'killed': dict(sorted(self.killed.items())),
            'counts': dict(sorted(self.ledger.counts.items())),
            'patches acknowledged': len(self.ledger.acknowledged),
            'acknowledged and lost': lost,
            'wrong images': pixels,
            'faults': self.ledger.faults,
            'kept': self.census.kept(),
            'orphans': {
                kind: {'after the last kill': len(those), 'in the end': len(left.get(kind, []))}
                for kind, those in at_once.items()
            },
            'orphans by name': {'after the last kill': at_once, 'in the end': left},
            'said': dict(self.ledger.errors.most_common(40)),
            'moments': self.kill_log,
        }


def show(report: dict[str, Any]) -> None:
    """Print a report for people."""
    for name in ('seed', 'seconds', 'rounds', 'sessions', 'patches', 'kills', 'patches acknowledged'):
        print(f'{name}: {report[name]}')
    print('killed: ' + ', '.join(f'{part} {number}' for part, number in report['killed'].items()))
    for title in ('counts', 'kept'):
        print(f'\n{title}')
        for name, number in report[title].items():
            print(f'  {number:7d}  {name}')
    print('\n| left over | after the last kill | in the end |\n|---|---|---|')
    for kind, found in report['orphans'].items():
        print(f'| {kind} | {found["after the last kill"]} | {found["in the end"]} |')
    for title in ('acknowledged and lost', 'wrong images', 'faults'):
        print(f'\n{title}: {len(report[title])}')
        for sentence in report[title][:20]:
            print(f'  {sentence}')
    print('\n' + ('All is well.' if report['well'] else 'Something is wrong.'))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, default=100, help='how often something is killed (%(default)s)')
    parser.add_argument('--kills-a-round', type=int, default=15, help='at most (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='for all that is random but time (%(default)s)')
    parser.add_argument('--clients', type=int, default=8, help='%(default)s')
    parser.add_argument('--sessions', type=int, default=5, help='in a round (%(default)s)')
    parser.add_argument(
        '--columns', type=int, default=6, help='and rows of patches in a session (%(default)s)'
    )
    parser.add_argument('--side', type=int, default=160, help='of a patch in pixels (%(default)s)')
    parser.add_argument('--parts', nargs='+', choices=[*sorted(WEIGHTS), OUTSIDE], help='default: all')
    parser.add_argument(
        '--broker',
        choices=['valkey', OUTSIDE],
        default='valkey',
        help='with rabbitmq the messages go to a rabbitmq-server, which is killed as well (%(default)s)',
    )
    parser.add_argument('--seconds', type=float, default=0, help='go on at least so long (%(default)s)')
    parser.add_argument('--json', type=Path, help='a file for the whole report')
    parser.add_argument('--folder', type=Path, help='kept afterwards; default: a temporary one')
    options = parser.parse_args(arguments)
    if OUTSIDE in (options.parts or ()) and options.broker != OUTSIDE:
        parser.error(f'--parts {OUTSIDE} needs --broker {OUTSIDE}')
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run and return the report."""
    folder = options.folder or Path(tempfile.mkdtemp(prefix='girder-zarr-chaos-'))
    folder.mkdir(parents=True, exist_ok=True)
    chaos = Run(options, folder)
    try:
        chaos.prepare()
        while not chaos.is_enough():
            chaos.round()
        if chaos.stop.is_set():
            raise RuntimeError(chaos.ledger.faults)
        return chaos.conclude()
    finally:
        chaos.close()
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    # So that the stack is stopped as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = run(options)
    show(report)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + os.linesep)
    return 0 if report['well'] else 1


if __name__ == '__main__':
    sys.exit(main())
