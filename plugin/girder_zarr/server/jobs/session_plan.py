"""The plan of a session's image, as every worker makes it from the same documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bson import ObjectId
from girder.models.file import File

from girder_zarr.server.patches.document import to_patch
from girder_zarr.server.patches.lent import check_lent
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.reader import PatchReader
from girder_zarr.server.patches.references import references_of
from girder_zarr.server.sessions.model import spec_of
from girder_zarr.server.settings import session_limits
from girder_zarr.server.storage.file_bytes import open_bytes
from girder_zarr.stitch.output import plan_document
from girder_zarr.stitch.output.assemble import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from girder_zarr.server.common.names import Document
    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.plan import Plan


def list_patches(session: Document) -> list[Patch]:
    """Return the patches of a finalizing session, whose counts and extent are set from them meanwhile.

    They are asked for once: the database is the slowest of what stands before the first pixel.

    :raises ConflictError: a file was lent by a user who may not read it any more.
    """
    patches: list[Patch] = []
    lent: list[Document] = []

    def noted() -> Iterator[Document]:
        for document in StitchPatch().list_unlocked(session):
            patches.append(to_patch(document))
            if document.get('shared'):
                lent.append({name: document.get(name) for name in ('key', 'fileId', 'lenderId', 'shared')})
            yield document

    StitchPatch().recount(session, noted())
    check_lent(session, lent)
    return patches


def build_plan(
    session: Document,
    patches: Sequence[Patch],
    planned: Document | None,
    *,
    check: Callable[[], None],
    on_progress: Callable[[str], None] | None = None,
) -> Plan:
    """Return the plan of a finalizing session, whose patches do not change any more.

    :param patches: all of them.
    :param planned: the plan document of the attempt (`StitchPart.plan`): nothing is computed twice.
    :param check: raises to stop.
    :param on_progress: called with a message before a step that takes long.
    :raises LimitExceededError: the image would be larger than the limits in force.
    """
    spec, references = spec_of(session), references_of(session)
    if planned is not None and planned['fileId'] is not None:
        source = open_bytes(File().load(ObjectId(planned['fileId']), force=True))
        plan = plan_document.build_plan(patches, spec, references, source.read(0, source.size))
    else:
        wanted = [
            name
            for name, field in (('light', spec.illumination), ('overlaps', spec.registration))
            if field is not None
        ]
        if wanted and on_progress is not None:
            on_progress(f'Looking at {" and ".join(wanted)} of {len(patches)} patches')
        plan = make_plan(patches, PatchReader(patches), spec, references, check=check)
    session_limits.current().check_extent(plan.extent, spec, plan.bands)
    return plan
