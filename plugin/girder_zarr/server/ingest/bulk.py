"""Many patches at once: taken from a stream one by one, stored together, each accepted or refused on its own.

Patches that arrive together share one Girder file, of which each knows its part. So an upload, its database
writes and the change of the session are paid once for dozens of patches instead of once for each.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from girder_zarr.errors import GirderZarrError, InvalidInputError, LimitExceededError
from girder_zarr.server.common.http_errors import status_of
from girder_zarr.server.patches.batch import BatchEntry, put_together
from girder_zarr.server.patches.incoming import CREATED, NewPatch
from girder_zarr.server.sessions.model import Document, StitchSession, spec_of
from girder_zarr.stitch.formats import registry as formats
from girder_zarr.stitch.patch import format_digest

from . import fields as patch_fields
from . import manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from girder_zarr.server.settings.session_limits import StitchLimits

    from .archives import Member

#: What is stored together at most. A patch of more than half of that is stored by itself.
GROUP_BYTES = 16 * 2**20
GROUP_PATCHES = 256
_SPOOL_BYTES = 4 * 2**20
_PIECE = 2**16


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one patch."""

    key: str
    status: str
    code: int
    message: str = ''

    @property
    def view(self) -> Document:
        """The outcome as docs/rest.md shows it."""
        shown: Document = {'key': self.key, 'status': self.status, 'code': self.code}
        return {**shown, 'message': self.message} if self.message else shown


def refused(key: str, error: Exception) -> Outcome:
    """Return the outcome of a patch that was not accepted."""
    code = status_of(error) if isinstance(error, GirderZarrError) else 400
    return Outcome(key, 'refused', code, str(error))


class Intake:
    """Takes the patches of one request.

    :param session: what they go to.
    :param replace: whether they may take the place of others where they do not say so themselves.
    """

    def __init__(
        self,
        session: Document,
        user: Document,
        limits: StitchLimits,
        *,
        replace: bool,
    ) -> None:
        self._session_id, self._user, self._limits = session['_id'], user, limits
        self._spec = spec_of(session)
        self._replace = replace
        self._manifest: dict[str, Document] | None = None
        self._group: dict[int, BatchEntry] = {}
        self._bytes = 0
        self._outcomes: dict[int, Outcome] = {}
        self._count = 0

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of the patches, in the order in which they came; all of them once :meth:`take` ends."""
        return [outcome for _, outcome in sorted(self._outcomes.items(), key=lambda item: item[0])]

    def take(self, members: Iterator[Member]) -> None:
        """Take all patches of a stream; those that came before an error of the stream are stored.

        :raises GirderZarrError: the stream or its manifest is not acceptable.
        """
        try:
            most = self._limits.requestPatches
            for number, member in enumerate(members):
                if number == 0 and member.name in manifest.NAMES:
                    data = _read(member, manifest.MAX_BYTES, 'The manifest')
                    self._manifest = manifest.by_file(manifest.parse(data, most))
                elif self._count >= most:
                    msg = f'The request has more than {most} patches, which is the limit.'
                    raise LimitExceededError(msg)
                elif not member.is_folder:
                    self._take_member(member)
        finally:
            self._flush()
        for entry in (self._manifest or {}).values():
            key = str(entry['key'])[:200]
            self._settle(refused(key, InvalidInputError(f'Patch {key}: its file is not in the request.')))

    def _take_member(self, member: Member) -> None:
        said = self._said(member)
        key = str(said.get('key') or member.name)[:200]
        try:
            if member.problem:
                raise InvalidInputError(f'{key}: {member.problem}')
            self._add(self._receive(patch_fields.read(said, self._spec), member))
        except GirderZarrError as error:
            self._settle(refused(key, error))

    def _settle(self, outcome: Outcome) -> None:
        """Note what became of the next patch."""
        self._outcomes[self._count] = outcome
        self._count += 1

    def _said(self, member: Member) -> Document:
        """Return what is said of a member, by its header, the manifest or its name, in this order."""
        if member.said:
            return {'key': member.name, **member.said}
        if self._manifest is not None:
            return self._manifest.pop(member.name, {'key': member.name})
        return manifest.from_name(member.name)

    def _receive(self, fields: patch_fields.PatchFields, member: Member) -> BatchEntry:
        """Read a patch into memory, or into a temporary file if it is large."""
        stream: IO[bytes] = tempfile.SpooledTemporaryFile(_SPOOL_BYTES, prefix='girder-zarr-')  # noqa: SIM115
        try:
            digest, size = hashlib.sha256(), 0
            while piece := member.read(_PIECE):
                size += len(piece)
                if size > self._limits.patchBytes:
                    msg = f'The patch has more than {self._limits.patchBytes} bytes, which is the limit.'
                    raise LimitExceededError(msg)
                digest.update(piece)
                stream.write(piece)
            found = format_digest(digest.digest())
            if fields.digest not in {None, found}:
                msg = f'digest: announced {fields.digest}, what arrived has {found}.'
                raise InvalidInputError(msg)
            if not size:
                msg = 'The patch is empty; expected an image.'
                raise InvalidInputError(msg)
            info = formats.inspect(stream, self._limits.for_formats, **fields.options.for_formats)
        except BaseException:
            stream.close()
            raise
        replace = self._replace if fields.replace is None else fields.replace
        new = NewPatch(fields.key, fields.placement, fields.order, found, size, info, stream, fields.options)
        return BatchEntry(new, replace)

    def _add(self, entry: BatchEntry) -> None:
        full = self._bytes + entry.new.size > GROUP_BYTES or len(self._group) == GROUP_PATCHES
        if full or any(other.new.key == entry.new.key for other in self._group.values()):
            self._flush()
        self._group[self._count] = entry
        self._count += 1
        self._bytes += entry.new.size

    def _flush(self) -> None:
        group, self._group, self._bytes = self._group, {}, 0
        if not group:
            return
        try:
            session = StitchSession().get(self._session_id)
            results = put_together(session, list(group.values()), self._user, self._limits)
        finally:
            for entry in group.values():
                entry.new.stream.close()
        for (at, entry), result in zip(group.items(), results, strict=True):
            if isinstance(result, Exception):
                self._outcomes[at] = refused(entry.new.key, result)
                continue
            _, status = result
            self._outcomes[at] = Outcome(entry.new.key, status, 201 if status == CREATED else 200)


def _read(member: Member, limit: int, what: str) -> bytes:
    parts, size = [], 0
    while piece := member.read(_PIECE):
        size += len(piece)
        if size > limit:
            msg = f'{what} has more than {limit} bytes, which is the limit.'
            raise LimitExceededError(msg)
        parts.append(piece)
    return b''.join(parts)
