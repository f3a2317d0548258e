"""The setting ``zarr.stitch_part_values``: how large the parts are that workers make of an image."""

from __future__ import annotations

from girder.models.setting import Setting

from .define import SettingKey, check_whole_number, define

#: Some seconds of work for one worker.
DEFAULT_VALUES = 2**28
#: One small block; the values of an image of 130,000 pixels a side, which one worker makes in minutes.
MIN_VALUES, MAX_VALUES = 2**12, 2**34


def part_values() -> int:
    """Return how many values (pixels times bands and frames) a part holds."""
    return int(Setting().get(SettingKey.STITCH_PART_VALUES))


def check_part_values(value: object) -> int:
    """Return the value of the setting.

    :raises ValidationException: it is no whole number within the bounds.
    """
    return check_whole_number(SettingKey.STITCH_PART_VALUES, value, MIN_VALUES, MAX_VALUES, 'values')


define(SettingKey.STITCH_PART_VALUES, DEFAULT_VALUES, check_part_values)
