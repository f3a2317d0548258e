"""The work of a run: items one after the other, from where the last worker has come to."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from girder.models.file import File
from girder.models.item import Item
from girder.models.user import User

from girder_zarr.errors import CancelledError, GirderZarrError, InvalidInputError
from girder_zarr.server.common import database
from girder_zarr.server.jobs import girder_job
from girder_zarr.server.leases.heartbeat import Heartbeat
from girder_zarr.server.sessions.access import is_disabled
from girder_zarr.server.tile_sources.first_choice import first_choice, installed_sources, is_asked_first
from girder_zarr.server.tile_sources.item_image import change_source

from . import source_jobs
from .scope import item_ids
from .settle import BATCH, forget_pictures, settle, settle_one, why_not
from .source_change import CHANGED, CHANGING, FAILED, FOUND, KEPT, UNDONE, SourceChange
from .source_run import COUNT, MAX_RUNS, UNDO, SourceRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from girder_zarr.server.common.names import Document

logger = logging.getLogger(__name__)

#: How often progress is recorded, and looked whether the run was cancelled.
REPORT_SECONDS = 0.5
#: How often an item is opened that killed its worker before it is listed as one that fails.
MAX_TRIES = 2


def run_through(run_id: str) -> None:
    """Do the work of a run, unless it has ended or another worker has it.

    A worker that loses the database counts as one that was killed: another goes on later.

    :raises Exception: the run has failed, and says so.
    """
    try:
        run = SourceRun().acquire(run_id)
        if run is None:
            return
        with Heartbeat(lambda: SourceRun().renew(run)) as heartbeat:
            try:
                _work(run, heartbeat.check)
            finally:
                _clean_up(run)
    except Exception as error:
        if not database.was_lost(error):
            raise
        logger.warning('A run over sources of items lost the database', exc_info=True)


def _clean_up(run: Document) -> None:
    """Finish a run that has ended; what goes on, because this worker could not, is left to the next."""
    current = SourceRun().findOne({'_id': run['_id']})
    if current is None or (current['run'] or {}).get('id') != run['run']['id']:
        return
    if not SourceRun().hand_over(run):
        source_jobs.finish(current)


def _work(run: Document, check: Callable[[], None]) -> None:
    girder_job.start(run['jobId'])
    try:
        if run['runs'] > MAX_RUNS:
            msg = f'It was given up after {MAX_RUNS} workers that died or lost the database.'
            raise GirderZarrError(msg)
        user = User().load(run['userId'], force=True)
        if user is None or not user.get('admin') or is_disabled(user):
            msg = 'The user who asked for it is not an administrator any more.'
            raise InvalidInputError(msg)
        _check_sources(run)
        progress = RunProgress(run, check)
        (_undo if run['kind'] == UNDO else _look_through)(run, progress)
        progress.report()
        if SourceRun().complete(run) is not None:
            girder_job.log(run['jobId'], f'Complete: {progress.sentence()}')
    except CancelledError as error:
        girder_job.log(run['jobId'], f'Stopped: {error}')
    except Exception as error:
        if database.was_lost(error):
            raise
        sentence = str(error) if isinstance(error, GirderZarrError) else repr(error)
        if SourceRun().fail(run, sentence) is not None:
            girder_job.log(run['jobId'], f'Failed: {sentence}')
            raise


def _check_sources(run: Document) -> None:
    """Check that this worker has the tile sources of the servers, among which it is to choose.

    :raises GirderZarrError: it lacks some.
    """
    missing = sorted(set(run['sources']) - set(installed_sources()))
    if missing:
        msg = f'The worker lacks tile sources that the server has, so it cannot choose: {", ".join(missing)}.'
        raise GirderZarrError(msg)


class RunProgress:
    """How far a run is, in its document and its job; and whether it is to stop.

    :param check: raises where the lease is lost.
    """

    def __init__(self, run: Document, check: Callable[[], None]) -> None:
        self._run, self._check = run, check
        self._recorded_in = run['of'] or run['_id']
        self.examined, self.total = run['examined'], run['total'] or 0
        self._cursor = run['cursor']
        self._counts = SourceChange().counts(self._recorded_in)
        self._reported = float('-inf')

    def begin(self, total: int) -> None:
        """Set the number of items, those that are done already among them."""
        self.total = total
        self.report()

    def count(self, state: str) -> None:
        """Count an item that is in a state now."""
        self._counts[state] = self._counts.get(state, 0) + 1

    def uncount(self, state: str) -> None:
        """Count an item that is not in a state any more."""
        self._counts[state] = self._counts.get(state, 0) - 1

    def report_soon(self) -> None:
        """Report with the next item."""
        self._reported = float('-inf')

    def passed(self, cursor: Any) -> None:
        """Go on behind an item; raises as :meth:`report`, which is called now and then."""
        self.examined += 1
        self._cursor = cursor
        if time.monotonic() - self._reported > REPORT_SECONDS:
            self.report()

    def report(self) -> None:
        """Record how far the run is.

        :raises CancelledError: it was cancelled, or another worker has it.
        """
        self._check()
        self._reported = time.monotonic()
        fields = {'cursor': self._cursor, 'examined': self.examined, 'total': self.total, 'opening': None}
        # Whoever gets further begins to count lost workers anew.
        further = {'runs': 1} if self.examined > self._run['examined'] else {}
        counts = {state: count for state, count in self._counts.items() if count}
        stopped = girder_job.is_stopped(self._run['jobId'])
        if stopped or not SourceRun().advance(self._run, **fields, **further, counts=counts):
            msg = 'The run was cancelled.'
            raise CancelledError(msg)
        girder_job.show(self._run['jobId'], self.examined, self.total, self.sentence())

    def sentence(self) -> str:
        """Say in words what was found so far."""
        words = {
            FOUND: 'would be opened by another source',
            CHANGED: 'changed',
            UNDONE: 'put back',
            FAILED: 'cannot be opened',
            KEPT: 'left as they are',
        }
        found = [f'{self._counts[state]} {text}' for state, text in words.items() if self._counts.get(state)]
        return ', '.join([f'{self.examined} of {self.total} items looked at', *found])


def _look_through(run: Document, progress: RunProgress) -> None:
    ids = item_ids(run['scope'])
    progress.begin(len(ids))
    if run['cursor'] is not None:
        ids = [one for one in ids if one > run['cursor'].binary]
        progress.examined = progress.total - len(ids)
    for start in range(0, len(ids), BATCH):
        wanted = [ObjectId(one) for one in ids[start : start + BATCH]]
        items = {item['_id']: item for item in Item().find({'_id': {'$in': wanted}})}
        files = _files_of(items.values())
        known = SourceChange().of_items(run['_id'], wanted)
        for item_id in wanted:
            item = items.get(item_id)
            file = files.get((item or {}).get('largeImage', {}).get('fileId'))
            if item is not None and file is not None and item['largeImage'].get('sourceName'):
                _look_at(run, item, file, known.get(item_id), progress)
            progress.passed(item_id)


def _files_of(items: Iterable[Document]) -> dict[Any, Document]:
    wanted = [item['largeImage']['fileId'] for item in items if item.get('largeImage', {}).get('fileId')]
    return {file['_id']: file for file in File().find({'_id': {'$in': wanted}})}


def _look_at(
    run: Document, item: Document, file: Document, known: Document | None, progress: RunProgress
) -> None:
    """Find the first choice of an item, and change it where that is wanted.

    :param known: what an earlier worker of this run has recorded of the item.
    """
    if known is not None and known['state'] != CHANGING:
        return
    if known is not None:
        progress.uncount(CHANGING)
        if why_not(item, known, known['before']) is not None:
            progress.count(settle_one(known))
            return
    if is_asked_first(item, file, run['sources']):
        return
    if not _may_open(run, item):
        reason = f'{MAX_TRIES} workers died while the item was opened.'
        SourceChange().record(run['_id'], item, FAILED, reason=reason)
        progress.count(FAILED)
        progress.report_soon()
        return
    choice = first_choice(item, file, run['sources'])
    if choice.source == item['largeImage']['sourceName']:
        return
    if choice.source is None:
        SourceChange().record(run['_id'], item, FAILED, after=choice.asked, reason=choice.failure)
        progress.count(FAILED)
    elif run['kind'] == COUNT:
        SourceChange().record(run['_id'], item, FOUND, after=choice.source)
        progress.count(FOUND)
    else:
        progress.count(_change(run, item, choice.source))


def _may_open(run: Document, item: Document) -> bool:
    """Note that an item is being opened; False where that has killed workers before.

    :raises CancelledError: the run is not this worker's any more.
    """
    before = run['opening']
    tries = before['tries'] if before is not None and before['itemId'] == item['_id'] else 0
    if tries >= MAX_TRIES:
        return False
    if not SourceRun().advance(run, opening={'itemId': item['_id'], 'tries': tries + 1}):
        msg = 'The run was cancelled.'
        raise CancelledError(msg)
    return True


def _change(run: Document, item: Document, source: str) -> str:
    """Give an item another source; return what became of it.

    What it was before is recorded first, so that a worker that dies in between leaves nothing unknown.
    """
    SourceChange().record(run['_id'], item, CHANGING, after=source)
    entry = SourceChange().of_items(run['_id'], [item['_id']])[item['_id']]
    if change_source(item['_id'], entry['fileId'], entry['before'], source):
        forget_pictures(item['_id'])
        SourceChange().settle(entry, CHANGED)
        return CHANGED
    current = Item().findOne({'_id': item['_id']})
    SourceChange().settle(entry, KEPT, why_not(current, entry, entry['before']))
    return KEPT


def _undo(run: Document, progress: RunProgress) -> None:
    settle(run['of'])
    entries = SourceChange().in_state(run['of'], CHANGED)
    progress.begin(progress.examined + len(entries))
    for start in range(0, len(entries), BATCH):
        for entry in SourceChange().load_some(entries[start : start + BATCH]):
            progress.uncount(CHANGED)
            progress.count(_put_back(run, entry))
            progress.passed(entry['itemId'])


def _put_back(run: Document, entry: Document) -> str:
    """Put an item back as it was, unless it has been changed since; return what became of it."""
    if entry['before'] not in run['sources']:
        gone = f'The source {entry["before"]}, which it had, is not installed any more.'
        SourceChange().settle(entry, KEPT, gone)
        return KEPT
    if not change_source(entry['itemId'], entry['fileId'], entry['after'], entry['before']):
        item = Item().findOne({'_id': entry['itemId']})
        reason = why_not(item, entry, entry['before'])  # None: a worker that died has put it back
        if reason is not None:
            SourceChange().settle(entry, KEPT, reason)
            return KEPT
    forget_pictures(entry['itemId'])
    SourceChange().settle(entry, UNDONE)
    return UNDONE
