"""The setting ``zarr.chunk_cache_bytes``: what each process keeps of decoded chunks."""

from __future__ import annotations

from girder_zarr.common.chunk_cache import DEFAULT_BYTES

from .define import SettingKey, define, whole_number

#: More than any machine has; the operator knows how much memory is free.
MAX_BYTES = 2**44

#: With 0 nothing is kept.
normalise_chunk_cache_bytes = whole_number(SettingKey.CHUNK_CACHE_BYTES, DEFAULT_BYTES, 0, MAX_BYTES, 'bytes')

define(SettingKey.CHUNK_CACHE_BYTES, DEFAULT_BYTES, normalise_chunk_cache_bytes)
