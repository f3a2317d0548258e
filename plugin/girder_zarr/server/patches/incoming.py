"""A patch that arrived, checked against what its session takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from girder_zarr.errors import ConflictError
from girder_zarr.server.sessions.model import spec_of, to_extent
from girder_zarr.server.sessions.states import EDITABLE
from girder_zarr.server.settings.session_limits import current as limits_now
from girder_zarr.stitch.spec.patch_parameters import PatchOptions

from . import session_extent
from .document import MAX_VACATED, rank_of

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document
    from girder_zarr.server.settings.session_limits import StitchLimits
    from girder_zarr.stitch.formats.registry import PatchInfo
    from girder_zarr.stitch.patch import Placement

#: What becomes of a patch that is put.
CREATED, UNCHANGED, REPLACED = 'created', 'unchanged', 'replaced'


@dataclass(frozen=True)
class NewPatch:
    """A patch that arrived and passed every check that needs no database.

    :param rank: that which it had before it was removed or replaced; None: it arrives now.
    """

    key: str
    placement: Placement
    order: int
    digest: str
    size: int
    info: PatchInfo
    stream: IO[bytes]
    options: PatchOptions = field(default_factory=PatchOptions)
    rank: int | None = None

    @property
    def fields(self) -> Document:
        """The fields of the patch's document without its file."""
        return {
            'digest': self.digest,
            'size': self.size,
            'format': self.info.format,
            'shape': list(self.info.shape),
            'dtype': self.info.dtype,
            'position': self.placement.as_dict(),
            'order': self.order,
            'options': self.options.to_json(),
            **({} if self.rank is None else {'rank': self.rank}),
        }

    @property
    def kind(self) -> Document:
        """The fields that all patches of a session share: dtype, bands and axes."""
        return {'dtype': self.info.dtype, 'bands': self.info.shape[2], 'axes': list(self.placement.axes)}

    @property
    def box(self) -> session_extent.Box:
        """The part of the image that it covers."""
        return session_extent.box_of(self.placement.as_dict(), self.info.shape)

    def same_as(self, document: Document) -> bool:
        """Return whether it is what the document describes."""
        return not self.differences(document)

    def is_read_as(self, document: Document) -> bool:
        """Return whether its file has the pixels that the document says.

        One of before an update, by which files are turned upright or have other bands, may have others.
        """
        return (document['shape'], document['dtype']) == (list(self.info.shape), self.info.dtype)

    def differences(self, document: Document) -> list[str]:
        """Return in what it differs from what the document describes, in words."""
        found = [name for name in ('digest', 'position', 'order') if document[name] != self.fields[name]]
        if document.get('options', {}) != self.options.to_json():
            found.append('weight, mask, layout, orientation or page')
        if self.rank not in {None, rank_of(document)}:
            found.append('arrival')
        return found


def check_editable(session: Document) -> None:
    """Check that patches may be put and removed.

    :raises ConflictError: they may not.
    """
    if session['state'] not in EDITABLE:
        msg = f'The session is {session["state"]}; patches can be put or removed while it is open.'
        raise ConflictError(msg)


def check_fits(session: Document, new: NewPatch, limits: StitchLimits | None = None) -> None:
    """Check a new patch against the session.

    :param limits: those in force, if the caller has them.
    :raises ConflictError: the session is not editable, or dtype, bands or axes differ from its patches'.
    :raises InvalidInputError: it lies outside of the sizes that the spec declares.
    :raises LimitExceededError: the image would become too large.
    """
    check_editable(session)
    limits = limits or limits_now()
    if session['dtype'] is not None:
        pairs = (
            ('dtype', session['dtype'], new.info.dtype),
            ('bands', session['bands'], new.info.shape[2]),
            ('axes besides x and y', session['axes'] or 'none', list(new.placement.axes) or 'none'),
        )
        for name, expected, found in pairs:
            if expected != found:
                msg = f'{name}: the patches of this session have {expected}, this one has {found}.'
                raise ConflictError(msg)
    limits.check_dtype(new.info.dtype)
    spec = spec_of(session)
    spec.check_dtype(new.info.dtype, new.info.shape[2])
    spec.check_inside(new.placement, new.info.shape)
    together = session_extent.grown(session['extent'], new.box)
    limits.check_extent(to_extent(together, new.placement.axes), spec, new.info.shape[2])


def check_rank(session: Document, existing: Document | None, new: NewPatch) -> None:
    """Check that a patch takes no rank but one that its key has or had: nobody gets before others with it.

    :raises ConflictError: it would.
    """
    if new.rank is None:
        return
    had = [one['arrival'] for one in session.get('vacated', ()) if one['key'] == new.key]
    if existing is not None:
        had.append(rank_of(existing))
    if new.rank not in had:
        msg = (
            f'arrival: expected that of patch {new.key} before it was removed or replaced, as one of the '
            f'last {MAX_VACATED}, found {new.rank}.'
        )
        raise ConflictError(msg)


def decide(existing: Document, new: NewPatch, *, replace: bool) -> str:
    """Return what happens to a patch whose key exists: `UNCHANGED` or `REPLACED`.

    A patch that reads a file of an item, which may be gone, is replaced by the same bytes with ``replace``;
    one whose file is read otherwise than when it was stored, without that too.

    :raises ConflictError: it differs and ``replace`` is not set.
    """
    if new.same_as(existing):
        if not new.is_read_as(existing):
            return REPLACED
        return REPLACED if replace and existing.get('shared') else UNCHANGED
    if not replace:
        differs = ' and '.join(new.differences(existing))
        msg = f'Patch {new.key} exists with another {differs}; replace=true replaces it.'
        raise ConflictError(msg)
    return REPLACED
