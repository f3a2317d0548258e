"""The setting ``zarr.limits``: what images may cost that are read."""

from __future__ import annotations

from girder.exceptions import ValidationException

from girder_zarr.common.bounded_json import parse_json
from girder_zarr.image.limits import parse_limits

from .define import SettingKey, define

#: Bytes of the setting as text.
MAX_BYTES = 2**16


def normalise_image_limits(value: object) -> object:
    """Check what differs from the limits of `girder_zarr.image.limits.Limits`.

    :param value: an object of some of its fields, or the same as JSON text; None or '' is no difference.
    :returns: the object.
    :raises ValidationException: with what was expected and what was found.
    """
    try:
        value = parse_json(value or '{}', MAX_BYTES, MAX_BYTES) if isinstance(value, str) else value
        parse_limits(value)
    except ValueError as error:
        msg = f'{SettingKey.LIMITS}: {error}.'
        raise ValidationException(msg, 'value') from None
    return value or {}


define(SettingKey.LIMITS, {}, normalise_image_limits)
