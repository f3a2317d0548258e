"""The setting ``zarr.read_ahead``: how many chunks of a far image are asked for ahead of need."""

from __future__ import annotations

from girder_zarr.common.read_ahead import DEFAULT_CHUNKS

from .define import SettingKey, define, whole_number

#: More than an eighth of any cache of chunks has room for.
MAX_CHUNKS = 2**20

#: With 0 nothing is read ahead.
normalise_read_ahead = whole_number(SettingKey.READ_AHEAD, DEFAULT_CHUNKS, 0, MAX_CHUNKS, 'chunks')

define(SettingKey.READ_AHEAD, DEFAULT_CHUNKS, normalise_read_ahead)
