"""The result of registration as JSON, so that it is computed once and used by every worker."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import TYPE_CHECKING

from girder_zarr.stitch.plan import Plan

from .result import Pair, Registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.spec.model import StitchSpec


def dump(registration: Registration) -> bytes:
    """Return a registration as JSON in UTF-8, which :func:`load` reads."""
    document = {
        'corrections': registration.corrections,
        'pairs': [astuple(pair) for pair in registration.pairs],
    }
    return json.dumps(document, separators=(',', ':')).encode()


def load(content: bytes) -> Registration:
    """Return the registration that :func:`dump` wrote."""
    document = json.loads(content)
    corrections = {key: (y, x) for key, (y, x) in document['corrections'].items()}
    pairs = [
        Pair((keys[0], keys[1]), (shift[0], shift[1]), correlation, residual and (residual[0], residual[1]))
        for keys, shift, correlation, residual in document['pairs']
    ]
    return Registration(corrections, pairs)


def build_plan(
    patches: Sequence[Patch], spec: StitchSpec, references: Sequence[Patch], registration: Registration
) -> Plan:
    """Return the plan of an image from patches and their registration.

    :param patches: at the positions that were given, not yet corrected.
    :raises InvalidInputError, ConflictError, LimitExceededError: as `Plan`.
    """
    return Plan([registration.moved(patch) for patch in patches], spec, references, registration)
