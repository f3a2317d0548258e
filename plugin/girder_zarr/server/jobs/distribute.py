"""Distributes a large image over all workers that are there.

The worker that runs the attempt divides the image into parts, asks for helpers, and merges the parts in
their order; while the next one is not done it makes parts itself. Helpers make parts as long as there are
any. The run never depends on a helper: one worker alone makes the image too, and a helper that dies costs the
part that it had leased. Parts that are done stay done when another worker takes the run over.
"""

from __future__ import annotations

import io
import logging
import threading
import time
from typing import IO, TYPE_CHECKING, Any

from girder.models.file import File
from girder.models.user import User

from girder_zarr.errors import (
    CancelledError,
    ConflictError,
    GirderZarrError,
    InvalidInputError,
    LimitExceededError,
    UnsupportedFormatError,
)
from girder_zarr.image.write.file_digest import FileDigest
from girder_zarr.server.leases import heartbeat, run_lease
from girder_zarr.server.leases.part_lease import StitchPart, to_part
from girder_zarr.server.patches.reader import PatchReader
from girder_zarr.server.settings.job_settings import part_values
from girder_zarr.server.storage.file_bytes import open_bytes
from girder_zarr.server.storage.file_stream import FileStream
from girder_zarr.stitch.output import plan_document
from girder_zarr.stitch.output.assemble import values_of
from girder_zarr.stitch.output.image_parts import PartMaker, cut, merge_file

from .progress import CancellationCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from girder_zarr.server.common.names import Document
    from girder_zarr.stitch.plan import Plan

    from .progress import ProgressReporter

logger = logging.getLogger(__name__)

#: An image of more than so many parts is distributed; below, handing parts around costs more than it saves.
MAX_PARTS_ALONE = 4
#: The most helper messages: more workers than any installation that we know of has, and few
#: enough messages not to fill a queue.
MAX_HELPERS = 64
#: After so long a helper queues again behind the tasks of others, so that one large image does not block
#: the workers for small ones.
HELP_SECONDS = 60.0
#: How often a part is tried before the image is given up: often enough for workers that were restarted, and
#: few enough that a part that kills its worker (for lack of memory, say) does not go on to kill all of them.
MAX_TRIES = 4
#: Errors of the patches or the spec, which another worker would meet too.
_FINAL = (ConflictError, InvalidInputError, LimitExceededError, UnsupportedFormatError)
#: Between looks for the next part while helpers make it.
_PAUSE = 0.1
#: How often the progress within a part is written to the database.
_COUNT_SECONDS = 1.0
#: Parts are read in pieces of this size: one request each where they are in S3.
_READ_BYTES = 2**22


def is_large(plan: Plan) -> bool:
    """Return whether an image is distributed."""
    return values_of(plan) > MAX_PARTS_ALONE * part_values()


def prepare(session: Document, plan: Plan, user: Document) -> Document:
    """Store the parts of an attempt, where they are not stored yet; return its plan document."""
    planned = StitchPart().plan(session)
    if planned is None:
        values, file_id = part_values(), None
        content = plan_document.dump(plan)
        if content is not None:
            file_id = StitchPart().store(session, content, user)['_id']
        StitchPart().set_plan(session, cut(plan, values), values, file_id)
        planned = StitchPart().plan(session)
        assert planned is not None, 'it was stored'
    return planned


def make(
    session: Document,
    plan: Plan,
    planned: Document,
    target: Path,
    user: Document,
    reporter: ProgressReporter,
    check: Callable[[], None],
    digest: FileDigest,
) -> None:
    """Make the image of a session together with helpers.

    :param target: the file to write, in a folder for temporary data.
    :param check: raises to stop.
    :param digest: made of the file meanwhile.
    """
    maker = PartMaker(plan, PatchReader(plan.patches), planned['values'])
    worker = PartWorker(session, maker, target.parent, user, check)
    worker.on_progress = lambda: reporter.update(lambda: StitchPart().made(session))
    parts = _done_in_order(session, worker, check, lambda: reporter.show('Putting the last parts together'))
    merge_file(plan, parts, target, planned['values'], name=session['name'], check=check, digest=digest)
    reporter.show('All parts are together', current=values_of(plan))


def _done_in_order(
    session: Document, worker: PartWorker, check: Callable[[], None], on_all_made: Callable[[], None]
) -> Iterator[IO[bytes]]:
    """Yield the files of the parts in their order; while the next one is not done, make parts.

    So the caller merges parts while helpers make others, and little is left to merge at the end.

    :param on_all_made: called once, when no part is left to make.
    """
    parts, waiting = StitchPart(), True
    adapters: dict[Any, Any] = {}
    for index in range(parts.count_parts(session)):
        while (done := parts.find_done(session, index)) is None:
            if not worker.make_one():
                parts.release_exited(session)
                worker.on_progress()
                time.sleep(_PAUSE)
            check()
        check()
        if waiting and worker.has_found_none and not parts.left(session):
            waiting = False
            on_all_made()
        file = File().load(done['fileId'], force=True)
        if file['assetstoreId'] not in adapters:
            adapters[file['assetstoreId']] = File().getAssetstoreAdapter(file)
        source = open_bytes(file, adapters[file['assetstoreId']])
        with io.BufferedReader(FileStream(source), _READ_BYTES) as stream:
            yield stream


def help_with(session: Document, planned: Document, plan: Plan, folder: Path) -> bool:
    """Make parts of a session for `HELP_SECONDS`; return whether there are more that no worker makes.

    :raises CancelledError: the session does not wait for them any more.
    :raises GirderZarrError: the image cannot be made; the session is in error.
    """
    user = User().load(session['finalizerId'], force=True)
    attempt = {**session, 'run': None}  # whichever worker runs it
    maker = PartMaker(plan, PatchReader(plan.patches), planned['values'])
    worker = PartWorker(attempt, maker, folder, user, CancellationCheck(attempt).check)
    return worker.run(until=time.monotonic() + HELP_SECONDS)


class PartWorker:
    """Makes parts of one attempt, one after the other."""

    def __init__(
        self, session: Document, maker: PartMaker, folder: Path, user: Document, check: Callable[[], None]
    ) -> None:
        self._session, self._maker, self._folder, self._user = session, maker, folder, user
        self._check = check
        #: Whether there was no part to lease when it was asked for last.
        self.has_found_none = False
        #: Called when values were made.
        self.on_progress: Callable[[], None] = lambda: None

    def run(self, until: float) -> bool:
        """Make parts until none is left to lease.

        :param until: a time of the monotonic clock, after which no other part is begun.
        :returns: whether it stopped because of the time, so that parts are left.
        """
        while self.make_one():
            if time.monotonic() > until:
                return True
        return False

    def make_one(self) -> bool:
        """Lease a part and make it; return whether there was one."""
        self._check()
        document = StitchPart().claim(self._session)
        self.has_found_none = document is None
        if document is None:
            return False
        self._make(document)
        return True

    def _make(self, document: Document) -> None:
        with heartbeat.Heartbeat(lambda: StitchPart().renew(document)) as lease:

            def check() -> None:
                lease.check()
                self._check()

            try:
                self._write_and_store(document, check)
            except CancelledError:
                StitchPart().release(document)
                self._check()  # goes on where only the lease was lost
            except Exception as error:
                StitchPart().release(document)
                if isinstance(error, _FINAL) or document['tries'] >= MAX_TRIES:
                    raise
                logger.exception('Part %d of session %s failed', document['index'], self._session['_id'])
            except BaseException:
                StitchPart().release(document)
                raise

    def _write_and_store(self, document: Document, check: Callable[[], None]) -> None:
        if document['tries'] > MAX_TRIES:
            msg = f'Part {document["index"]} was given up after {MAX_TRIES} workers died with it.'
            raise GirderZarrError(msg)
        path = self._folder / f'part-{document["index"]}.zip'
        path.unlink(missing_ok=True)
        try:
            counter, digest = PartCounter(document, self.on_progress), FileDigest()
            self._maker.write(to_part(document), path, digest=digest, progress=counter.add, check=check)
            file = StitchPart().store(self._session, path, self._user, check, digest)
        finally:
            path.unlink(missing_ok=True)
        if StitchPart().finish(document, file):
            run_lease.record_progress(self._session)
        self.on_progress()


class PartCounter:
    """Counts the values that are made of a part; adds them to its document every second. Thread safe."""

    def __init__(self, document: Document, on_progress: Callable[[], None]) -> None:
        self._document, self._on_progress = document, on_progress
        self._lock = threading.Lock()
        self._made, self._written = 0, time.monotonic()

    def add(self, values: int) -> None:
        """Add to what is made."""
        with self._lock:
            self._made += values
            if time.monotonic() - self._written < _COUNT_SECONDS:
                return
            made, self._made, self._written = self._made, 0, time.monotonic()
        StitchPart().add_made(self._document, made)
        self._on_progress()
