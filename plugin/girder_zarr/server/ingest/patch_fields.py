"""The fields of a patch besides its bytes, from a query, a manifest, a name or a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError
from girder_zarr.stitch.patch import check_key, parse_digest
from girder_zarr.stitch.spec import patch_parameters
from girder_zarr.stitch.spec.model import StitchSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from girder_zarr.stitch.spec.patch_parameters import PatchParameters

_BOOLEANS = {'true': True, '1': True, 'false': False, '0': False}
#: The names that `read` knows.
NAMES = ('key', *patch_parameters.NAMES, 'digest', 'replace')


@dataclass(frozen=True, slots=True)
class PatchFields:
    """The checked fields of a patch.

    :param parameters: where it lies, and how its bytes are read.
    :param digest: the digest that its bytes should have, as RFC 9530 writes it, or None if none was given.
    :param replace: whether it may replace another patch, or None if the request decides.
    """

    key: str
    parameters: PatchParameters
    digest: str | None
    replace: bool | None


def read(given: Mapping[str, Any], spec: StitchSpec | None = None) -> PatchFields:
    """Check and return the fields of a patch; values may be text, as in a table, where '' is no value.

    :param spec: the session's, which rows, columns and units of length need.
    :raises InvalidInputError: a field is missing, unknown or malformed; the message names it.
    """
    present = {name: value for name, value in given.items() if value is not None and value != ''}
    unknown = sorted(str(name) for name in set(present) - set(NAMES))
    if unknown:
        msg = f'{unknown[0][:80]}: expected one of the fields {", ".join(NAMES)}.'
        raise InvalidInputError(msg)
    key = present.get('key')
    if not isinstance(key, str):
        msg = f'key: expected a text, found {key!r:.80}.'
        raise InvalidInputError(msg)
    check_key(key)
    found = patch_parameters.parse(present, spec or StitchSpec())
    return PatchFields(
        key=key,
        parameters=found,
        digest=_digest(present.get('digest')),
        replace=_boolean('replace', present.get('replace')),
    )


def _boolean(name: str, value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    found = _BOOLEANS.get(str(value).strip().lower())
    if found is None:
        msg = f'{name}: expected true or false, found {value!r:.80}.'
        raise InvalidInputError(msg)
    return found


def _digest(value: Any) -> str | None:
    """Return a digest."""
    if value is None:
        return None
    if not isinstance(value, str):
        msg = f'digest: expected sha-256=:BASE64:, found {value!r:.80}.'
        raise InvalidInputError(msg)
    found = parse_digest(value)
    if found is None:
        msg = f'digest: expected sha-256=:BASE64:, found {value!r:.80}.'
        raise InvalidInputError(msg)
    return found
