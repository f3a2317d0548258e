"""Keys as they come in addresses, and what kind of content they stand for."""

from __future__ import annotations

import re

from girder_zarr.image.store.zarr_names import METADATA_KEYS

#: The names of zarr's metadata, of both formats; all of it is JSON.
METADATA_NAMES = frozenset(METADATA_KEYS)
JSON, BYTES = 'application/json', 'application/octet-stream'
#: Bytes of a key; S3 has the same bound.
MAX_KEY_BYTES = 1024
#: What no key of ours has: characters that XML cannot hold, a name that is not UTF-8, the other slash.
_UNUSUAL = r'\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff\\'
UNUSUAL = re.compile(f'[{_UNUSUAL}]')
_PART = rf'(?!\.\.?(?:/|\Z))[^/{_UNUSUAL}]+'
_KEY = re.compile(f'{_PART}(?:/{_PART})*')


def is_possible(key: str) -> bool:
    """Whether a store can have a key, or a folder: relative, without empty parts, dots, backslash and NUL.

    :param key: as decoded from an address, once; without a slash at its end.
    """
    if len(key) > MAX_KEY_BYTES or _KEY.fullmatch(key) is None:
        return False
    return key.isascii() or len(key.encode()) <= MAX_KEY_BYTES


def is_metadata(key: str) -> bool:
    """Whether a key is one of metadata, by its name."""
    return key.rpartition('/')[2] in METADATA_NAMES


def content_type_of(key: str) -> str:
    """Return the type of a value. Nothing that a browser would show or run, whatever its name."""
    return JSON if is_metadata(key) else BYTES
