"""The setting ``zarr.read_ahead``: how many chunks of a far image are asked for ahead of need."""

from __future__ import annotations

from girder_zarr.common.read_ahead import DEFAULT_CHUNKS

from .define import SettingKey, check_whole_number, define

#: More than an eighth of any cache of chunks has room for.
MAX_CHUNKS = 2**20


def normalise_read_ahead(value: object) -> int:
    """Return a number of chunks; None or '' is the default, and with 0 nothing is read ahead.

    :raises ValidationException: with what was expected and what was found.
    """
    if value is None or value == '':
        return DEFAULT_CHUNKS
    return check_whole_number(SettingKey.READ_AHEAD, value, 0, MAX_CHUNKS, 'chunks')


define(SettingKey.READ_AHEAD, DEFAULT_CHUNKS, normalise_read_ahead)
