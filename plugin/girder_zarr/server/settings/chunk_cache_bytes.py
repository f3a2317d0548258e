"""The setting ``zarr.chunk_cache_bytes``: what each process keeps of decoded chunks."""

from __future__ import annotations

from girder_zarr.common.chunk_cache import DEFAULT_BYTES

from .define import SettingKey, check_whole_number, define

#: More than any machine has; the operator knows how much memory is free.
MAX_BYTES = 2**44


def normalise_chunk_cache_bytes(value: object) -> int:
    """Return a number of bytes; None or '' is the default, and 0 keeps nothing.

    :raises ValidationException: with what was expected and what was found.
    """
    if value is None or value == '':
        return DEFAULT_BYTES
    return check_whole_number(SettingKey.CHUNK_CACHE_BYTES, value, 0, MAX_BYTES, 'bytes')


define(SettingKey.CHUNK_CACHE_BYTES, DEFAULT_BYTES, normalise_chunk_cache_bytes)
