"""What a stitched image was made from, for its metadata; docs/format.md describes it."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .patch import Patch
    from .plan import Plan
    from .register import Registration

#: With more patches than this they are listed in a document of their own, so that the image opens as fast.
MAX_INLINE = 256
#: The path of that document in the hierarchy.
DOCUMENT = 'girder_zarr/stitch.json'
_FORMAT = 1


def describe(plan: Plan) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return what goes into the metadata, and what goes into a document of its own where that is too much."""
    spec = plan.spec
    about: dict[str, Any] = {
        'formatVersion': _FORMAT,
        'software': {'name': 'girder-zarr', 'version': _version()},
        'count': len(plan.patches),
        'origin': {'x': plan.origin[1], 'y': plan.origin[0]},
        'overlap': spec.overlap,
        'overlapBy': spec.overlap_by,
    }
    if plan.registration is not None:
        about['registration'] = plan.registration.summary()
    details = _details(plan)
    if len(plan.patches) <= MAX_INLINE:
        return {**about, **details}, None
    return {**about, 'document': DOCUMENT}, {**about, **details}


def _details(plan: Plan) -> dict[str, Any]:
    spec, moves = plan.spec, plan.registration.corrections if plan.registration else {}
    found: dict[str, Any] = {'patches': [_patch(patch, moves.get(patch.key)) for patch in plan.patches]}
    if plan.references:
        found['references'] = [
            {'key': patch.key, 'digest': patch.digest or None} for patch in plan.references.values()
        ]
        found['flatField'], found['darkField'] = spec.flat_field, spec.dark_field
    if plan.registration is not None:
        found['pairs'] = _pairs(plan.registration)
    return found


def _patch(patch: Patch, move: tuple[int, int] | None) -> dict[str, Any]:
    """Return one patch: ``position`` is what was given, ``correction`` what was added to it."""
    y, x = move or (0, 0)
    position = {**patch.placement.as_dict(), 'x': patch.placement.x - x, 'y': patch.placement.y - y}
    found = {
        'key': patch.key,
        'digest': patch.digest or None,
        'position': position,
        'correction': {'x': x, 'y': y} if move else None,
        'order': patch.order or None,
        'weight': None if patch.weight == 1 else patch.weight,
        'mask': 'alpha' if patch.alpha else None,
        'maskKey': patch.mask_key or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _pairs(registration: Registration) -> list[dict[str, Any]]:
    return [
        {
            'keys': list(pair.keys),
            'shift': {'x': pair.shift[1], 'y': pair.shift[0]},
            'correlation': pair.correlation,
            'residual': None if pair.residual is None else {'x': pair.residual[1], 'y': pair.residual[0]},
        }
        for pair in registration.pairs
    ]


def _version() -> str:
    try:
        return importlib.metadata.version('girder-zarr')
    except importlib.metadata.PackageNotFoundError:
        return 'unknown'
