"""An image of any kind as the keys of an OME-Zarr hierarchy, 0.5 or 0.4.

The specifications are https://ngff.openmicroscopy.org/0.5/ and /0.4/.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from girder_zarr.common.cache import LRU
from girder_zarr.image.ngff.emit import group_documents, image_attributes
from girder_zarr.image.store.entries import BytesEntry, Entry, Listed

from .encoded_array import EncodedArray
from .served_form import ServedForm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from girder_zarr.image.series.series import Series

#: The group of associated images; docs/format.md has the attribute that names them.
ASSOCIATED = 'associated'
#: Trees of associated images that an image keeps open; they hold no pixels.
MAX_OPEN = 16


class SeriesTree:
    """A series as keys: metadata, ``<level>/...`` and ``associated/<name>/...``.

    :param series: its levels are called 0, 1, ... here, whatever they are called there.
    :param identity: a text that changes when pixels or metadata change.
    :param associated: functions that open small images, such as the label of a slide, by name.
    :raises InvalidInputError: the codec of the form cannot hold such pixels.
    """

    def __init__(
        self,
        series: Series,
        identity: str,
        form: ServedForm | None = None,
        associated: Mapping[str, Callable[[], Series]] | None = None,
    ) -> None:
        self._form = form = form or ServedForm()
        self._identity = f'{identity}:{form}'
        self._associated = {_name_of(name): find for name, find in (associated or {}).items()}
        self._opened: LRU[str, SeriesTree] = LRU(max_items=MAX_OPEN)
        multiscale = series.multiscale
        if self._associated:
            paths = {name: f'{ASSOCIATED}/{name}' for name in self._associated}
            multiscale = replace(multiscale, extra={**multiscale.extra, ASSOCIATED: paths})
        names = [axis.name for axis in multiscale.axes]
        self._arrays = {
            str(number): EncodedArray(level, form, f'{self._identity}:{number}', names)
            for number, level in enumerate(series.levels)
        }
        attributes = image_attributes(multiscale, form.version or '0.5')
        self._documents = group_documents(attributes, form.zarr_format)
        if self._associated:
            group = group_documents({}, form.zarr_format)
            self._documents |= {f'{ASSOCIATED}/{name}': content for name, content in group.items()}

    def entry(self, key: str) -> Entry | None:
        """Return a value; see `image.serve.tree.Tree`. A chunk is made when its bytes are asked for."""
        document = self._documents.get(key)
        if document is not None:
            return BytesEntry(document, f'{self._identity}:{key}')
        name, _, rest = key.partition('/')
        array = self._arrays.get(name)
        if array is not None:
            return array.entry(rest)
        below = self._below(key)
        return None if below is None else below[0].entry(below[1])

    def cached_entry(self, key: str) -> Entry | None:
        """Return metadata, or a chunk that was made lately; see `image.serve.tree.Tree`."""
        document = self._documents.get(key)
        if document is not None:
            return BytesEntry(document, f'{self._identity}:{key}')
        name, _, rest = key.partition('/')
        array = self._arrays.get(name)
        return None if array is None else array.cached_entry(rest)

    def listed(self, folder: str) -> list[Listed]:
        """Return the metadata in a folder; chunks are found by their numbers alone."""
        below = self._below(folder)
        if below is not None:
            return below[0].listed(below[1])
        if folder in self._arrays:
            return [Listed(name) for name in self._arrays[folder].documents]
        above = folder + '/' if folder else ''
        names = {key[len(above) :] for key in self._documents if key.startswith(above)}
        found = {re.sub('/.*', '/', name) for name in names}
        if not folder:
            found |= {f'{name}/' for name in self._arrays}
        if folder == ASSOCIATED:
            found |= {f'{name}/' for name in self._associated}
        return [Listed(name) for name in found]

    def _below(self, key: str) -> tuple[SeriesTree, str] | None:
        """Return the associated image that a key leads to, and the rest of the key."""
        group, _, rest = key.partition('/')
        name, _, rest = rest.partition('/')
        find = self._associated.get(name) if group == ASSOCIATED else None
        if find is None:
            return None
        form = replace(self._form, codec='zstd') if self._form.codec == 'jpeg' else self._form
        identity = f'{self._identity}:{name}'
        return self._opened.fetch(name, lambda: SeriesTree(find(), identity, form)), rest


def _name_of(name: str) -> str:
    """Return a name that can be a part of a key."""
    return re.sub(r'[^\w.\- ]|^\.+', '_', name) or '_'
