"""Consolidated metadata of zarr v2 for a hierarchy that has none.

The form is zarr-python 2's: ``{"zarr_consolidated_format": 1, "metadata": {key: document}}``.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from girder_zarr.image.limits import DEFAULT, load_json
from girder_zarr.image.store.entries import BytesEntry, Entry

if TYPE_CHECKING:
    from .tree import Tree

KEY = '.zmetadata'
#: The most groups and arrays; a hierarchy with more does without.
MAX_NODES = 5000
_DOCUMENTS = ('.zgroup', '.zarray', '.zattrs')


def consolidated(tree: Tree) -> Entry | None:
    """Return what `.zmetadata` would hold, or None: the root is no v2 group, or there are too many nodes.

    :raises UnreadableImageError: a part of the metadata cannot be read.
    """
    if _document(tree, '.zgroup') is None:
        return None
    found: dict[str, object] = {}
    pending, nodes = [''], 0
    while pending:
        folder = pending.pop()
        nodes += 1
        if nodes > MAX_NODES:
            return None
        above = folder + '/' if folder else ''
        names = [one.name for one in tree.listed(folder)]
        for name in _DOCUMENTS:
            if name in names and (document := _document(tree, above + name)) is not None:
                found[above + name] = document
        if '.zgroup' in names and '.zarray' not in names:
            pending += [above + name[:-1] for name in names if name.endswith('/')]
    data = json.dumps({'zarr_consolidated_format': 1, 'metadata': dict(sorted(found.items()))}).encode()
    return BytesEntry(data, f'made:{hashlib.sha256(data).hexdigest()}')


def _document(tree: Tree, key: str) -> object | None:
    entry = tree.entry(key)
    if entry is None:
        return None
    try:
        if entry.size > DEFAULT.json_bytes:
            return None
        return load_json(b''.join(entry.blocks(0, entry.size)), key)
    finally:
        entry.close()
