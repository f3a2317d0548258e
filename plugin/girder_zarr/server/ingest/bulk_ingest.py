"""Many patches in one request: read one by one, stored in groups, each accepted or refused on its own.

The patches of a group share one Girder file; each knows its byte range in it. So an upload, its database
writes and the change of the session cost once for dozens of patches instead of once for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING

from girder.exceptions import AccessException, GirderException

from girder_zarr.errors import GirderZarrError, InvalidInputError, LimitExceededError
from girder_zarr.server.common.hidden_paths import without_paths
from girder_zarr.server.common.http_errors import status_of
from girder_zarr.server.common.spool import spool
from girder_zarr.server.patches.batch import BatchEntry, put_together
from girder_zarr.server.patches.incoming import CREATED
from girder_zarr.server.sessions.model import StitchSession, spec_of

from . import file_pages, manifest, patch_fields
from .multipart_stream import read_multipart
from .tar_stream import read_tar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from girder_zarr.server.common.names import Document
    from girder_zarr.server.common.spool import Spooled
    from girder_zarr.server.settings.session_limits import StitchLimits

    from .member import ByteStream, Member
    from .patch_fields import PatchFields

#: What is stored together at most: enough that the cost of a file, its upload and the change of the session
#: is small beside that of the bytes, and little enough to be held in memory by several requests at once.
GROUP_BYTES = 16 * 2**20
GROUP_PATCHES = 256


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one patch of a request."""

    key: str
    status: str
    code: int
    message: str = ''

    def to_json(self) -> Document:
        """Return the outcome as docs/rest.md shows it."""
        shown: Document = {'key': self.key, 'status': self.status, 'code': self.code}
        return {**shown, 'message': self.message} if self.message else shown


def refused(key: str, error: Exception) -> Outcome:
    """Return the outcome of a patch that was not accepted."""
    code = status_of(error) if isinstance(error, GirderZarrError) else 400
    return Outcome(key, 'refused', code, without_paths(str(error)))


class BulkIngest:
    """Stores the patches of one request in a session.

    :param replace: whether they may replace others where their own fields do not say.
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
        self._manifest: dict[str, list[Document]] | None = None
        self._group: dict[int, BatchEntry] = {}
        self._bytes = 0
        self._outcomes: dict[int, Outcome] = {}
        self._count = 0

    @property
    def outcomes(self) -> list[Outcome]:
        """The outcomes of the patches in the order in which they came; of all once :meth:`take` has ended."""
        return [outcome for _, outcome in sorted(self._outcomes.items(), key=lambda item: item[0])]

    def take(self, members: Iterator[Member]) -> None:
        """Store all patches of a stream; those that came before an error of the stream are stored too.

        :raises GirderZarrError: the stream or its manifest is not acceptable.
        """
        try:
            max_patches = self._limits.requestPatches
            for number, member in enumerate(members):
                if number == 0 and member.name in manifest.NAMES:
                    data = _read(member, manifest.MAX_BYTES, 'The manifest')
                    self._manifest = manifest.by_file(manifest.parse(data, max_patches))
                elif self._count >= max_patches:
                    msg = f'The request has more than {max_patches} patches, which is the limit.'
                    raise LimitExceededError(msg)
                elif not member.is_folder:
                    self._take_member(member)
        finally:
            self._flush()
        left = [entry for entries in (self._manifest or {}).values() for entry in entries]
        for entry in left:
            key = str(entry['key'])[:200]
            self._record(refused(key, InvalidInputError(f'Patch {key}: its file is not in the request.')))

    def _take_member(self, member: Member) -> None:
        wanted = []
        for given in self._fields_of(member):
            key = str(given.get('key') or member.name)[:200]
            try:
                if member.problem:
                    raise InvalidInputError(f'{key}: {member.problem}')
                wanted.append(patch_fields.read(given, self._spec))
            except GirderZarrError as error:
                self._record(refused(key, error))
        if not wanted:
            return
        try:
            file = self._receive(wanted, member)
        except GirderZarrError as error:
            for fields in wanted:
                self._record(refused(fields.key, error))
            return
        if wanted[0].parameters.pages is None:
            self._add_pages(wanted, file)
        else:
            self._put_file(wanted[0], file)

    def _record(self, outcome: Outcome) -> None:
        """Record the outcome of the next patch."""
        self._outcomes[self._count] = outcome
        self._count += 1

    def _fields_of(self, member: Member) -> list[Document]:
        """Return the fields of a member's patches: from its header, the manifest or its name."""
        if member.fields:
            return [{'key': member.name, **member.fields}]
        if self._manifest is not None:
            return self._manifest.pop(member.name, [{'key': member.name}])
        return [manifest.from_name(member.name)]

    def _receive(self, wanted: Sequence[PatchFields], member: Member) -> Spooled:
        """Read a file into memory, or into a temporary file if it is large."""
        announced = {fields.digest for fields in wanted} - {None}
        if len(announced) > 1:
            msg = f'digest: expected one for all pages of a file, found {len(announced)}.'
            raise InvalidInputError(msg)
        limit = max(file_pages.max_bytes(fields.parameters, self._limits) for fields in wanted)
        digest = announced.pop() if announced else None
        return spool(member.pieces(), limit, digest, what='The patch', digest_field='digest')

    def _add_pages(self, wanted: Sequence[PatchFields], file: Spooled) -> None:
        """Add a patch, or pages of a file of several, to the group that is stored next."""
        entries: dict[str, BatchEntry] = {}
        for fields in wanted:
            try:
                if fields.key in entries:
                    raise InvalidInputError(f'The manifest names the key {fields.key} twice.')
                (new,) = file_pages.new_patches(fields.key, fields.parameters, file, self._limits)
                entries[fields.key] = BatchEntry(new, self._may_replace(fields))
            except GirderZarrError as error:
                self._record(refused(fields.key, error))
        if not entries:
            file.stream.close()
            return
        full = self._bytes + file.size > GROUP_BYTES or len(self._group) + len(entries) > GROUP_PATCHES
        if full or any(other.new.key in entries for other in self._group.values()):
            self._flush()
        for entry in entries.values():
            self._group[self._count] = entry
            self._count += 1
        self._bytes += file.size

    def _put_file(self, fields: PatchFields, file: Spooled) -> None:
        """Store all pages of a file."""
        self._flush()
        try:
            news = file_pages.new_patches(fields.key, fields.parameters, file, self._limits)
            session = StitchSession().get(self._session_id)
            replace = self._may_replace(fields)
            stored = file_pages.put_pages(
                session, fields.key, news, self._user, self._limits, replace=replace
            )
        except (GirderZarrError, AccessException, GirderException) as error:
            self._record(refused(fields.key, error))
            return
        finally:
            file.stream.close()
        for document, status in stored:
            self._record(Outcome(document['key'], status, 201 if status == CREATED else 200))

    def _may_replace(self, fields: PatchFields) -> bool:
        return self._replace if fields.replace is None else fields.replace

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
    for piece in member.pieces():
        size += len(piece)
        if size > limit:
            msg = f'{what} has more than {limit} bytes, which is the limit.'
            raise LimitExceededError(msg)
        parts.append(piece)
    return b''.join(parts)


def read_members(body: ByteStream, content_type: str) -> Iterator[Member]:
    """Yield the files of a request.

    :raises InvalidInputError: the stream is damaged or ends too early.
    :raises UnsupportedFormatError: it is neither tar nor multipart.
    """
    header = Message()
    header['Content-Type'] = content_type
    if header.get_content_maintype() == 'multipart':
        return read_multipart(body, header.get_boundary())
    return read_tar(body)
