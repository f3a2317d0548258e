"""How a setting of ours is defined: its key, its default, and what is stored of a value that is given."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from girder.exceptions import ValidationException
from girder.utility import setting_utilities

if TYPE_CHECKING:
    from collections.abc import Callable


class SettingKey:
    """Our keys in Girder's settings."""

    SOURCE_PRIORITIES = 'zarr.source_priorities'
    ALLOWED_HOSTS = 'zarr.allowed_hosts'
    STYLE_FUNCTIONS = 'zarr.style_functions'
    LINK_ROOTS = 'zarr.link_roots'
    LIMITS = 'zarr.limits'
    MEMORY_BUDGET = 'zarr.memory_budget'
    CHUNK_CACHE_BYTES = 'zarr.chunk_cache_bytes'
    READ_AHEAD = 'zarr.read_ahead'
    STITCH_LIMITS = 'zarr.stitch_limits'
    STITCH_EXPIRES_HOURS = 'zarr.stitch_expires_hours'
    STITCH_PART_VALUES = 'zarr.stitch_part_values'
    VIEWERS = 'zarr.viewers'


def define(key: str, default: Any, normalise: Callable[[Any], Any]) -> None:
    """Define a setting.

    :param default: its value where nothing is stored. Every reader gets a copy of its own.
    :param normalise: returns what is stored for a value that somebody gives, so that readers need no second
        set of rules; raises ValidationException where the value is not acceptable.
    """

    def validate(document: dict[str, Any]) -> None:
        document['value'] = normalise(document['value'])

    setting_utilities.default(key)(lambda: copy.deepcopy(default))
    # Without replace, importing the module again would chain the validator to itself.
    setting_utilities.validator(key, replace=True)(validate)


def check_whole_number(key: str, value: object, least: int, most: int, unit: str) -> int:
    """Return a number that is given as the value of a setting.

    :raises ValidationException: it is no whole number within the bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        msg = f'{key}: expected an integer from {least} to {most} ({unit}), found {describe(value)}.'
        raise ValidationException(msg, 'value')
    return value


def whole_number(key: str, default: int, least: int, most: int, unit: str) -> Callable[[object], int]:
    """Return what normalises a number as :func:`check_whole_number` takes it; None and '' are the default."""

    def normalise(value: object) -> int:
        return default if value is None or value == '' else check_whole_number(key, value, least, most, unit)

    return normalise


def describe(value: object) -> str:
    """Return a value for a message, short."""
    if isinstance(value, Mapping):
        return 'an object'
    if isinstance(value, list | tuple):
        return 'a list'
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + '...'
