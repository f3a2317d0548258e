"""The setting ``zarr.read_ahead``: how many chunks of a far image are asked for ahead of need."""

from __future__ import annotations

from girder.exceptions import ValidationException

from girder_zarr.common.read_ahead import DEFAULT_CHUNKS

from .define import SettingKey, define, describe

#: More than an eighth of any cache of chunks has room for.
MAX_CHUNKS = 2**20


def normalise_read_ahead(value: object) -> int:
    """Return a number of chunks; None or '' is the default, and with 0 nothing is read ahead.

    :raises ValidationException: with what was expected and what was found.
    """
    if value is None or value == '':
        return DEFAULT_CHUNKS
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_CHUNKS:
        msg = (
            f'{SettingKey.READ_AHEAD}: expected a whole number of chunks from 0 to {MAX_CHUNKS}, '
            f'found {describe(value)}.'
        )
        raise ValidationException(msg, 'value')
    return value


define(SettingKey.READ_AHEAD, DEFAULT_CHUNKS, normalise_read_ahead)
