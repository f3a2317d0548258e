"""The provenance of a stitched image, written into its metadata; docs/format.md describes it."""

from __future__ import annotations

import importlib.metadata
import io
import json
from typing import TYPE_CHECKING, Any

from girder_zarr.stitch.illumination.field_picture import to_tiff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from girder_zarr.stitch.illumination.flat_field import FlatField
    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.plan import Plan
    from girder_zarr.stitch.registration.result import Registration

#: More patches than this are listed in a document of their own, so that opening the image stays fast.
MAX_INLINE = 256
#: The path of that document in the hierarchy.
DOCUMENT = 'girder_zarr/stitch.json'
#: Raised when readers of older documents would misread new ones.
_FORMAT = 1


def describe(plan: Plan) -> dict[str, Any]:
    """Return the provenance for the metadata; of more than ``MAX_INLINE`` patches only the count."""
    about = _about(plan)
    if len(plan.patches) > MAX_INLINE:
        return {**about, 'document': DOCUMENT}
    return {**about, 'patches': list(_patches(plan)), **_details(plan)}


def document_of(plan: Plan) -> bytes | None:
    """Return the document that lists the patches, JSON in UTF-8, or None if the metadata does."""
    if len(plan.patches) <= MAX_INLINE:
        return None
    # one patch after the other: as Python objects they take ten times the memory
    stream = io.BytesIO()
    stream.write(_json(_about(plan))[:-1] + b',"patches":[')
    for at, patch in enumerate(_patches(plan)):
        stream.write((b',' if at else b'') + _json(patch))
    stream.write(b']')
    for name, value in _details(plan).items():
        stream.write(b',' + _json(name) + b':' + _json(value))
    stream.write(b'}')
    return stream.getvalue()


def beside(plan: Plan) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file in the hierarchy that says how the image was made."""
    document = document_of(plan)
    if document is not None:
        yield DOCUMENT, document
    for field in plan.illumination.values():
        yield _field_path(field), to_tiff(field)


def _field_path(field: FlatField) -> str:
    return f'girder_zarr/illumination/c{field.channel}.tiff'


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(',', ':')).encode()


def _about(plan: Plan) -> dict[str, Any]:
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
    if plan.illumination:
        about['illumination'] = [
            {**field.to_json(), 'path': _field_path(field)} for field in plan.illumination.values()
        ]
    return about


def _patches(plan: Plan) -> Iterator[dict[str, Any]]:
    for patch in plan.patches:
        yield _patch(patch, plan.registration)


def _details(plan: Plan) -> dict[str, Any]:
    spec, found = plan.spec, dict[str, Any]()
    if plan.references:
        found['references'] = [
            {'key': patch.key, 'digest': patch.digest or None} for patch in plan.references.values()
        ]
        found['flatField'], found['darkField'] = spec.flat_field, spec.dark_field
    if plan.registration is not None:
        found['pairs'] = _pairs(plan.registration)
    return found


def _patch(patch: Patch, registration: Registration | None) -> dict[str, Any]:
    """Return one patch: ``position`` is the given one, ``correction`` what registration added to it.

    ``measured`` is what registration found, where patches move by whole pixels only.
    """
    correction = measured = None
    y = x = 0
    if registration is not None and patch.key in registration.moves:
        exact = registration.moves[patch.key]
        y, x = registration.whole(patch.key)
        correction = _point(exact if registration.subpixel else (y, x))
        measured = None if registration.subpixel else _point(exact)
    position = {**patch.placement.as_dict(), 'x': patch.placement.x - x, 'y': patch.placement.y - y}
    found = {
        'key': patch.key,
        'digest': patch.digest or None,
        'position': position,
        'correction': correction,
        'measured': measured,
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
            'shift': _point(pair.shift),
            'correlation': pair.correlation,
            'residual': None if pair.residual is None else _point(pair.residual),
            'area': pair.area,
            'planes': pair.planes,
        }
        for pair in registration.pairs
    ]


def _point(place: tuple[float, float]) -> dict[str, float]:
    return {'x': place[1], 'y': place[0]}


def _version() -> str:
    try:
        return importlib.metadata.version('girder-zarr')
    except importlib.metadata.PackageNotFoundError:
        return 'unknown'
