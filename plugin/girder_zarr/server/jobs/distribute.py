"""A large image made by as many workers as there are.

The worker that runs the attempt cuts the image into parts, asks for help, and puts the parts together in
their order; as long as the next one is not there it makes parts itself. Helpers make parts as long as there
are any. Nobody waits for a helper: with one worker the image is made as well, and a helper that dies costs
the part that it held. What is done stays done when the run is taken over by another worker.
"""

from __future__ import annotations

import io
import logging
import threading
import time
from typing import IO, TYPE_CHECKING

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
from girder_zarr.server.leases import heartbeat, run_lease
from girder_zarr.server.leases.part_lease import StitchPart, to_part
from girder_zarr.server.patches.reader import PatchReader
from girder_zarr.server.settings.job_settings import part_values
from girder_zarr.server.storage.file_stream import FileStream
from girder_zarr.stitch.output.assemble import values_of
from girder_zarr.stitch.output.image_parts import PartMaker, cut, merge_file
from girder_zarr.stitch.registration import serialize as corrections

from .progress import Stopper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from girder_zarr.server.sessions.model import Document
    from girder_zarr.stitch.plan import Plan

    from .progress import Reporter

logger = logging.getLogger(__name__)

#: An image of more than so many parts is shared out.
FEW = 4
#: How many helpers are asked for at most.
MAX_HELPERS = 64
#: After so long a helper lets other jobs have their turn.
HELP_SECONDS = 60.0
#: How often a part is tried before the image is given up.
MAX_TRIES = 4
#: What another worker would find as well.
_FINAL = (ConflictError, InvalidInputError, LimitExceededError, UnsupportedFormatError)
_PAUSE = 0.2
_COUNT_SECONDS = 1.0
#: Parts are read in pieces of this size.
_READ = 2**22


def is_large(plan: Plan) -> bool:
    """Return whether an image is shared out."""
    return values_of(plan) > FEW * part_values()


def prepare(session: Document, plan: Plan, user: Document) -> Document:
    """Store the parts of an attempt, where they are not stored yet; return its plan document."""
    planned = StitchPart().plan(session)
    if planned is None:
        values, file_id = part_values(), None
        if plan.registration is not None:
            content = corrections.dump(plan.registration)
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
    reporter: Reporter,
    check: Callable[[], None],
) -> None:
    """Make the image of a session together with helpers.

    :param target: the file to write, in a folder for temporary data.
    :param check: raises to stop.
    """
    maker = PartMaker(plan, PatchReader(plan.patches), planned['values'])
    worker = _Worker(session, maker, target.parent, user, check)
    worker.told = lambda: reporter.reach(lambda: StitchPart().made(session))
    parts = _in_order(session, worker, check, lambda: reporter.say('Putting the last parts together'))
    merge_file(plan, parts, target, planned['values'], name=session['name'], check=check)
    reporter.say('All parts are together', current=values_of(plan))


def _in_order(
    session: Document, worker: _Worker, check: Callable[[], None], all_made: Callable[[], None]
) -> Iterator[IO[bytes]]:
    """Yield the parts in their order; while the next one is not there, make what nobody makes.

    So the parts are put together while helpers make others, and in the end nobody waits for that.

    :param all_made: called once, when no part is left to make.
    """
    parts, waiting = StitchPart(), True
    for index in range(parts.count_all(session)):
        while (done := parts.find_done(session, index)) is None:
            if not worker.make_one():
                parts.release_gone(session)
                worker.told()
                time.sleep(_PAUSE)
            check()
        check()
        if waiting and not parts.left(session):
            waiting = False
            all_made()
        with io.BufferedReader(FileStream(File().load(done['fileId'], force=True)), _READ) as stream:
            yield stream


def help_with(session: Document, planned: Document, plan: Plan, folder: Path) -> bool:
    """Make parts of a session for a while; return whether there are more that nobody makes.

    :raises CancelledError: the session does not wait for them any more.
    :raises GirderZarrError: the image cannot be made; the session is in error.
    """
    user = User().load(session['finalizerId'], force=True)
    attempt = {**session, 'run': None}  # whichever worker runs it
    maker = PartMaker(plan, PatchReader(plan.patches), planned['values'])
    worker = _Worker(attempt, maker, folder, user, Stopper(attempt).check)
    return worker.run(until=time.monotonic() + HELP_SECONDS)


class _Worker:
    """Makes parts of one attempt, one after the other."""

    def __init__(
        self, session: Document, maker: PartMaker, folder: Path, user: Document, check: Callable[[], None]
    ) -> None:
        self._session, self._maker, self._folder, self._user = session, maker, folder, user
        self._check = check
        #: Called when something was made.
        self.told: Callable[[], None] = lambda: None

    def run(self, until: float) -> bool:
        """Make parts until there is none that nobody makes; return False.

        :param until: a time of the monotonic clock, after which no other part is begun; then return True.
        """
        while self.make_one():
            if time.monotonic() > until:
                return True
        return False

    def make_one(self) -> bool:
        """Make a part that nobody makes; return whether there was one."""
        self._check()
        document = StitchPart().claim(self._session)
        if document is None:
            return False
        self._make(document)
        return True

    def _make(self, document: Document) -> None:
        with heartbeat.Heart(lambda: StitchPart().renew(document)) as beating:

            def check() -> None:
                beating.check()
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
            counter = _Counter(document, self.told)
            self._maker.write(to_part(document), path, progress=counter.add, check=check)
            file = StitchPart().store(self._session, path, self._user, check)
        finally:
            path.unlink(missing_ok=True)
        if StitchPart().finish(document, file):
            run_lease.made_progress(self._session)
        self.told()


class _Counter:
    """Counts what is made of a part, and tells the database now and then."""

    def __init__(self, document: Document, told: Callable[[], None]) -> None:
        self._document, self._told = document, told
        self._lock = threading.Lock()
        self._made, self._when = 0, time.monotonic()

    def add(self, values: int) -> None:
        """Add to what is made."""
        with self._lock:
            self._made += values
            if time.monotonic() - self._when < _COUNT_SECONDS:
                return
            made, self._made, self._when = self._made, 0, time.monotonic()
        StitchPart().count(self._document, made)
        self._told()
