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
    from collections.abc import Mapping

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
        if '.zarray' not in names:
            pending += [above + name[:-1] for name in names if name.endswith('/')]
    found |= {key: {'zarr_format': 2} for key in _unwritten_groups(found)}
    data = json.dumps({'zarr_consolidated_format': 1, 'metadata': dict(sorted(found.items()))}).encode()
    return BytesEntry(data, f'made:{hashlib.sha256(data).hexdigest()}')


def _unwritten_groups(found: Mapping[str, object]) -> set[str]:
    """Return the keys of groups that only what lies in them tells of, such as the rows of many plates.

    Readers of consolidated metadata go from group to group.
    """
    folders = {key.rpartition('/')[0] for key in found}
    above = {
        '/'.join(parts[:at]) for parts in (one.split('/') for one in folders) for at in range(1, len(parts))
    }
    return {f'{one}/.zgroup' for one in above} - found.keys()


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
