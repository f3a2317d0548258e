"""The uneven light of a session's patches, estimated from those that have arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder_zarr.common.cache import LRU
from girder_zarr.errors import NotFoundError
from girder_zarr.server.patches.document import to_patch
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.reader import PatchReader
from girder_zarr.server.patches.references import StitchReference, to_reference
from girder_zarr.server.sessions.model import spec_of
from girder_zarr.stitch.output.assemble import estimate_illumination
from girder_zarr.stitch.plan import Plan

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document
    from girder_zarr.stitch.illumination.flat_field import FlatField, Illumination

#: Of more patches the first ones by key are looked at: a request must end.
MAX_PATCHES = 20_000
#: Estimates that a process remembers, some kilobytes each.
_MAX_KNOWN = 64

_known: LRU[tuple[str, int], Illumination] = LRU(max_items=_MAX_KNOWN)


def illumination_of(session: Document) -> Illumination:
    """Return the estimated flat fields of the channels for which the spec names none, by channel.

    It is what a job would estimate now, unless there are more than ``MAX_PATCHES`` patches. It is remembered
    until something of the session changes.

    :param session: as just read from the database.
    :raises NotFoundError: it has no patches.
    :raises ConflictError: the patches of a channel differ in size.
    """
    return _known.fetch((str(session['_id']), session['revision']), lambda: _estimate(session))


def field_of(session: Document, channel: int) -> FlatField:
    """Return the estimated flat field of a channel; raises the errors of :func:`illumination_of`.

    :raises NotFoundError: there is no such channel, or the spec names its flat field.
    """
    fields = illumination_of(session)
    if channel not in fields:
        known = ', '.join(map(str, fields)) or 'none'
        msg = f'channel: expected one whose light is estimated ({known}), found {channel}.'
        raise NotFoundError(msg)
    return fields[channel]


def _estimate(session: Document) -> Illumination:
    documents = StitchPatch().list_session(session, limit=MAX_PATCHES)
    patches = [to_patch(document) for document in documents]
    if not patches:
        msg = 'The session has no patches yet; there is nothing to estimate light from.'
        raise NotFoundError(msg)
    references = [to_reference(document) for document in StitchReference().list_session(session)]
    return estimate_illumination(Plan(patches, spec_of(session), references), PatchReader(patches))
