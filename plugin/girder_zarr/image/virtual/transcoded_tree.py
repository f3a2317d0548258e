"""A stored hierarchy in another form, key by key: plates, labels and all else stay where they are.

Groups keep their attributes; where the version of OME-NGFF changes, they are moved to where that version has
them. Arrays keep shape, type and chunks, and get another codec. What is no array that we decode is handed on
as it is.
"""

from __future__ import annotations

import hashlib
import itertools
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from girder_zarr.common.cache import LRU
from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.chunk.arrays import read_array
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.hierarchy.groups import read_group, read_image
from girder_zarr.image.limits import DEFAULT, load_json
from girder_zarr.image.ngff.emit import group_documents, image_attributes
from girder_zarr.image.ngff.moved import moved_attributes, needs_parsing
from girder_zarr.image.ngff.parse import ome_attributes
from girder_zarr.image.store.entries import BytesEntry, Entry, Listed
from girder_zarr.image.store.zarr_names import METADATA_KEYS, V2_KEYS

from .encoded_array import EncodedArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.image.store.keystore import KeyStore

    from .served_form import ServedForm

#: Groups and arrays whose metadata is cached.
MAX_NODES = 4096
#: Parts of a key that can be names of groups; keys of arrays may have more.
MAX_DEPTH = 24

#: An array that we do not decode, whose keys are handed on as they are.
AS_STORED = 'as stored'
Node = EncodedArray | dict[str, bytes] | str | None


class TranscodedTree:
    """A stored hierarchy in a form, for as long as nothing in it is taken to change.

    :raises UnreadableImageError: its root cannot be read.
    """

    def __init__(self, store: KeyStore, form: ServedForm) -> None:
        stored = 3 if store.has('zarr.json') else 2
        if form.version is None:
            form = replace(form, version='0.5' if stored == 3 else '0.4')
        self._store, self._form = store, form
        self._is_moved = form.zarr_format != stored
        self._nodes: LRU[str, Node] = LRU(max_items=MAX_NODES)

    def entry(self, key: str) -> Entry | None:
        """Return a value; see `image.serve.tree.Tree`. A chunk is made when its bytes are asked for."""
        folder, _, name = key.rpartition('/')
        node = self._node(folder) if name in METADATA_KEYS else None
        if node is not None and not isinstance(node, str):
            documents = node.documents if isinstance(node, EncodedArray) else node
            data = documents.get(name)
            return None if data is None else BytesEntry(data, hashlib.sha256(data).hexdigest())
        found = self._array(key)
        if found is None:
            return None
        array, rest = found
        if isinstance(array, str):
            return self._store.entry(key)
        place = array.place(rest)
        return None if place is None else self._chunk(array, place)

    def _chunk(self, array: EncodedArray, place: tuple[int, ...]) -> Entry | None:
        """Return a chunk, or None where nothing is stored of it."""
        level = array.level
        assert isinstance(level, StoredLevel)
        stored = [
            range(at * side // chunk, (min((at + 1) * side, size) - 1) // chunk + 1)
            for at, side, chunk, size in zip(place, array.sides, level.chunks, level.shape, strict=True)
        ]
        numbers = [one for one in itertools.product(*stored) if level.has_chunk(one)]
        if not numbers:
            return None
        versions = [level.cache_key(one) for one in numbers]
        # Without one, nothing says whether the bytes are still the same.
        known = f'{versions}' if None not in versions else uuid.uuid4().hex
        made = array.chunk(place, f'{known}:{self._form}:{array.sides}:{place}')
        return made if None not in versions and self._store.has_lasting_versions else made.by_content()

    def cached_entry(self, key: str) -> None:
        """Return nothing: whether a chunk is still what it was takes a look at the store."""
        del key

    def listed(self, folder: str) -> list[Listed]:
        """Return what lies in a folder without the chunks, which are found by their numbers alone."""
        node = self._node(folder)
        if isinstance(node, str):
            return self._store.listed(folder)
        if isinstance(node, EncodedArray):
            return [Listed(name) for name in node.documents]
        below = [one for one in self._store.listed(folder) if one.name.endswith('/')]
        return [*(Listed(name) for name in node or ()), *(Listed(one.name) for one in below)]

    def _array(self, key: str) -> tuple[EncodedArray | str, str] | None:
        """Return the array that a key lies in, and the rest of the key."""
        parts = key.split('/')
        for at in range(min(len(parts), MAX_DEPTH)):
            node = self._node('/'.join(parts[:at]))
            if isinstance(node, EncodedArray | str):
                return node, '/'.join(parts[at:])
        return None

    def _node(self, path: str) -> Node:
        return self._nodes.fetch(path, lambda: self._read_node(path))

    def _read_node(self, path: str) -> Node:
        group = read_group(self._store, path)
        if group is not None:
            return group_documents(self._attributes(path, group), self._form.zarr_format, finite=False)
        try:
            info = read_array(self._store, path)
        except UnreadableImageError:
            if self._is_moved:
                raise
            return AS_STORED
        if info is None:
            return None
        level = StoredLevel(self._store, info)
        unnamed: Sequence[str | None] = [None] * len(info.shape)
        names = info.dimension_names or self._axes_of(path) or unnamed
        attributes = info.attributes or self._v2_attributes(path)
        fill = info.fill.item()
        if not isinstance(fill, int | float):
            return AS_STORED
        return EncodedArray(level, self._form, path, names, fill, attributes)

    def _attributes(self, path: str, group: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes of a group as the version of the form has them."""
        version = self._form.version
        if not self._is_moved or version is None:
            return group
        content = ome_attributes(group)
        if content.get('multiscales') and needs_parsing(content):
            _, images = read_image(self._store, path, group)
            made = [image_attributes(one.multiscale, version) for one in images]
            content = {**ome_attributes(made[0]), 'multiscales': [
                multiscale for one in made for multiscale in ome_attributes(one)['multiscales']
            ]}  # fmt: skip
        return moved_attributes(group, content, version)

    def _axes_of(self, path: str) -> list[str] | None:
        """Return the names of the axes of an array, from the group that it is a level of."""
        parts = path.split('/')
        for depth in range(len(parts) - 1, max(-1, len(parts) - 4), -1):
            group = read_group(self._store, '/'.join(parts[:depth]))
            for one in ome_attributes(group).get('multiscales') or () if group else ():
                levels = one.get('datasets') or ()
                if any(level.get('path') == '/'.join(parts[depth:]) for level in levels):
                    axes = one.get('axes') or ()
                    names = [axis.get('name') if isinstance(axis, dict) else axis for axis in axes]
                    return [str(name) for name in names] or None
        return None

    def _v2_attributes(self, path: str) -> dict[str, Any]:
        """Return the attributes of an array of zarr v2."""
        key = f'{path}/{V2_KEYS[0]}'.lstrip('/')
        data = self._store.read(key, DEFAULT.json_bytes)
        try:
            return {} if data is None else load_json(data, key)
        except UnreadableImageError:
            return {}
