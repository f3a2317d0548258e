"""The setting ``zarr.memory_budget``: how many bytes a process may decode at a time."""

from __future__ import annotations

from girder.exceptions import ValidationException

from girder_zarr.common.budget import DEFAULT_BYTES

from .define import SettingKey, define, describe

#: Less makes large patches wait for each other that would not have to; more than a machine has is no bound.
MIN_BYTES, MAX_BYTES = 64 * 2**20, 2**44


def parse_memory_budget(value: object) -> int:
    """Return the value of the setting; None is the default.

    :raises ValueError: it is no whole number within the bounds.
    """
    if value is None:
        return DEFAULT_BYTES
    if isinstance(value, bool) or not isinstance(value, int) or not MIN_BYTES <= value <= MAX_BYTES:
        msg = f'expected an integer from {MIN_BYTES} to {MAX_BYTES} (bytes), found {describe(value)}'
        raise ValueError(msg)
    return value


def normalise_memory_budget(value: object) -> int:
    """Return what is stored.

    :raises ValidationException: it is no whole number within the bounds.
    """
    try:
        return parse_memory_budget(value)
    except ValueError as error:
        msg = f'{SettingKey.MEMORY_BUDGET}: {error}.'
        raise ValidationException(msg, 'value') from None


define(SettingKey.MEMORY_BUDGET, DEFAULT_BYTES, normalise_memory_budget)
