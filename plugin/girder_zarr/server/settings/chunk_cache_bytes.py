"""The setting ``zarr.chunk_cache_bytes``: what each process keeps of decoded chunks."""

from __future__ import annotations

from girder.exceptions import ValidationException

from girder_zarr.common.chunk_cache import DEFAULT_BYTES

from .define import SettingKey, define, describe

#: More than any machine has; the operator knows how much memory is free.
MAX_BYTES = 2**44


def normalise_chunk_cache_bytes(value: object) -> int:
    """Return a number of bytes; None or '' is the default, and 0 keeps nothing.

    :raises ValidationException: with what was expected and what was found.
    """
    if value is None or value == '':
        return DEFAULT_BYTES
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_BYTES:
        msg = (
            f'{SettingKey.CHUNK_CACHE_BYTES}: expected a whole number of bytes from 0 to {MAX_BYTES}, '
            f'found {describe(value)}.'
        )
        raise ValidationException(msg, 'value')
    return value


define(SettingKey.CHUNK_CACHE_BYTES, DEFAULT_BYTES, normalise_chunk_cache_bytes)
