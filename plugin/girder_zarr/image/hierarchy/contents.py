"""Which images a file holds, for those who choose among them: a plate as a grid, other images by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.ngff.ome_names import KEY, MAX_BYTES, image_names
from girder_zarr.image.ngff.parse import parse_attributes

from .groups import read_group
from .plate_grid import plate_grid
from .selection import choices

if TYPE_CHECKING:
    from girder_zarr.image.store.keystore import KeyStore

    from .opening import Opened

#: How many images are listed.
MAX_LISTED = 1000


def contents(opened: Opened, store: KeyStore | None) -> dict[str, Any]:
    """Return what a file holds.

    :param opened: without the option ``series``.
    :param store: that it was opened from.
    :returns: ``kind``; ``plate`` as `plate_grid` returns it, or None; ``series``: for each image beside
        plates what `choices` says, ``title`` to call it by (the name in OME-XML, in ``multiscales``, or the
        path), and ``isShown``, whether it is among those that are shown together without the option;
        ``seriesCount``: how many there are.
    """
    plate = plate_grid(opened)
    found: dict[str, Any] = {
        'kind': opened.kind,
        'plate': plate,
        'series': [],
        'seriesCount': len(opened.every),
    }
    if plate is not None:
        return found
    titles = _titles(store) if opened.kind == 'collection' and store is not None else {}
    shown = {id(one) for one in opened.series}
    listed = choices(opened, MAX_LISTED)[: min(MAX_LISTED, len(opened.every))]
    for entry, one in zip(listed, opened.every, strict=False):
        title = titles.get(one.path or '') or one.multiscale.name or one.name
        title = title or f'Image {entry["series"] + 1}'
        found['series'].append({**entry, 'title': title, 'isShown': id(one) in shown})
    return found


def _titles(store: KeyStore) -> dict[str, str]:
    """Return the names of a collection's images by their paths; none where there is no OME-XML."""
    try:
        data = store.read(KEY, MAX_BYTES)
        ome = read_group(store, 'OME') or {}
    except UnreadableImageError:
        return {}  # too large, or not there in a readable form: paths do as well
    if data is None:
        return {}
    names = image_names(data, MAX_LISTED)
    paths = parse_attributes(ome).series or [str(number) for number in range(len(names))]
    return {path: name for path, name in zip(paths, names, strict=False) if name}
