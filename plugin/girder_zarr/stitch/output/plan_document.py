"""What was computed for a plan, as JSON, so that it is computed once and used by every worker."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from girder_zarr.stitch.illumination.flat_field import FlatField
from girder_zarr.stitch.plan import Plan
from girder_zarr.stitch.registration.result import Pair, Registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.spec.model import StitchSpec


def dump(plan: Plan) -> bytes | None:
    """Return the registration and the estimated light of a plan, JSON in UTF-8; None if it has neither."""
    if plan.registration is None and not plan.illumination:
        return None
    document = {
        'registration': None if plan.registration is None else _registration_json(plan.registration),
        'illumination': [field.to_json() for field in plan.illumination.values()],
    }
    return json.dumps(document, separators=(',', ':')).encode()


def build_plan(
    patches: Sequence[Patch], spec: StitchSpec, references: Sequence[Patch], content: bytes
) -> Plan:
    """Return the plan of an image from patches and what :func:`dump` wrote of an equal plan.

    :param patches: at the positions that were given, not yet corrected.
    :raises InvalidInputError, ConflictError, LimitExceededError: as `Plan`.
    """
    document = json.loads(content)
    fields = [FlatField.from_json(one) for one in document['illumination']]
    illumination = {field.channel: field for field in fields}
    if document['registration'] is None:
        return Plan(patches, spec, references, None, illumination)
    found = _registration(document['registration'])
    return Plan([found.moved(patch) for patch in patches], spec, references, found, illumination)


def _registration_json(registration: Registration) -> dict[str, Any]:
    return {
        'moves': registration.moves,
        'subpixel': registration.subpixel,
        'pairs': [astuple(pair) for pair in registration.pairs],
    }


def _registration(document: dict[str, Any]) -> Registration:
    moves = {key: (y, x) for key, (y, x) in document['moves'].items()}
    pairs = [
        Pair((keys[0], keys[1]), (y, x), correlation, residual and (residual[0], residual[1]), *sizes)
        for keys, (y, x), correlation, residual, *sizes in document['pairs']
    ]
    return Registration(moves, pairs, document['subpixel'])
