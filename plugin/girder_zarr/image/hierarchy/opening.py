"""A zarr hierarchy to the images in it: single images, collections, plates, wells, labels, plain arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.chunk.arrays import ArrayInfo, read_array
from girder_zarr.image.limits import DEFAULT, check_relative_path
from girder_zarr.image.ngff.parse import Parsed, ome_attributes, parse_attributes

from .groups import find_image, open_image, open_label, read_group, read_image
from .guess import guess
from .overview import NAME as OVERVIEW
from .overview import field_series, make_mosaic, mosaic_series, overview_series
from .plates import plate_fields, well_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from girder_zarr.image.series.series import Series
    from girder_zarr.image.store.keystore import KeyStore

    from .plates import Field

#: How deep, and how many groups and arrays, a hierarchy without OME metadata at its root is searched: deeper
#: than any layout that is known, and a few seconds where each look is a request.
SEARCH_DEPTH = 5
SEARCH_NODES = 2000
#: How many fields of a plate are tried until one can be read; see ``plates.WELLS_TRIED``.
FIELDS_TRIED = 20
#: Where large-image-source-zarr 1.35.6 puts the pixels of an associated image, and how many names are tried.
PLAIN_IMAGE = 'image'
PLAIN_NAMES = 100


@dataclass
class Opened:
    """The images of a hierarchy.

    :param kind: image, collection, plate, well, labels, group or arrays.
    :param series: what is shown, all with the same axes and type.
    :param others: further images, which do not fit those; by name.
    :param associated: small images and labels, opened when asked for.
    :param attributes: of the root group, as stored.
    :param parsed: of the group of the first image.
    :param labels: those of the image, if it is one, by name.
    :param problems: sentences on what is wrong or missing.
    :param every: all images, in the order of the file; what the option ``series`` numbers.
    :param reopen: takes such a number and returns the image as it is by itself; None: as it is in ``every``.
    :param named: further images that the option ``series`` knows by a name.
    :param chosen: the name of the image that this option asked for, if it did.
    """

    kind: str
    series: tuple[Series, ...]
    attributes: dict[str, Any]
    parsed: Parsed = field(default_factory=Parsed)
    others: dict[str, Series] = field(default_factory=dict)
    associated: dict[str, Callable[[], Series]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    every: tuple[Series, ...] = ()
    reopen: Callable[[int], Series] | None = None
    labels: dict[str, Callable[[], Series]] = field(default_factory=dict)
    named: dict[str, Callable[[], Series]] = field(default_factory=dict)
    chosen: str | None = None


def open_hierarchy(store: KeyStore) -> Opened:
    """Return the images in a store.

    :raises UnreadableImageError: there are none that we read.
    """
    attributes = read_group(store, '')
    if attributes is None:
        info = read_array(store, '')
        if info is None:
            msg = f'{store.name} holds no zarr metadata (zarr.json, .zgroup, .zattrs or .zarray).'
            raise UnreadableImageError(msg)
        return _plain(store, [info], info.attributes, 'arrays')
    content = ome_attributes(attributes)
    if isinstance(content.get('plate'), dict):
        return _positions(store, attributes, 'plate')
    if isinstance(content.get('well'), dict):
        return _positions(store, attributes, 'well')
    if content.get('multiscales'):
        parsed, series = read_image(store, '', attributes)
        opened = Opened('image', (), attributes, parsed, problems=list(parsed.problems))
        _choose(opened, series)
        add_labels(store, '', opened)
        _add_associated(store, parsed, opened)
        if 'bioformats2raw.layout' in attributes:
            _add_plain_associated(store, opened)
        return opened
    paths = list(_collection(store, attributes))
    if paths:
        return _images(store, attributes, paths, 'collection')
    paths = [name for name in parse_attributes(attributes).labels if read_group(store, name) is not None]
    if paths:
        return _images(store, attributes, paths, 'labels')
    return _search(store, attributes)


def _collection(store: KeyStore, attributes: dict[str, Any]) -> Iterator[str]:
    """Return the groups of a bioformats2raw collection: ``OME/series`` in its order, else 0, 1, ..."""
    parsed = parse_attributes(attributes)
    ome = read_group(store, 'OME') or {}
    series = parse_attributes(ome).series or parsed.series
    if series:
        yield from series
    elif parsed.layout is not None:
        for number in range(DEFAULT.series):
            if read_group(store, str(number)) is None:
                return
            yield str(number)


def _images(store: KeyStore, attributes: dict[str, Any], paths: Sequence[str], kind: str) -> Opened:
    opened = Opened(kind, (), attributes)
    found: list[Series] = []
    for path in paths:
        try:
            group = read_group(store, path)
            if group is None or not ome_attributes(group).get('multiscales'):
                opened.problems.append(f'There is no image at {path!r}.')
                continue
            parsed, series = read_image(store, path, group)
        except UnreadableImageError as error:
            if len(paths) == 1:
                raise
            opened.problems.append(f'The image at {path!r} cannot be read: {error}')
            continue
        if not found:
            opened.parsed = parsed
        opened.problems.extend(text for text in parsed.problems if text not in opened.problems)
        found.extend(series)
    if not found:
        why = ' '.join(opened.problems[:1])
        msg = f'{store.name} names {len(paths)} images, but none of them can be read. {why}'
        raise UnreadableImageError(msg)
    _choose(opened, found)
    if kind != 'labels' and len(found) == 1:
        add_labels(store, paths[0], opened)
    return opened


def _signature(series: Series) -> tuple[object, ...]:
    """Return what series have to share to be frames of one image: axes, type, all lengths but y and x."""
    base = series.levels[0]
    names = tuple(axis.name for axis in series.multiscale.axes)
    lengths = tuple(side for name, side in zip(names, base.shape, strict=True) if name not in ('x', 'y'))
    return names, base.dtype, lengths


def _sides(series: Series) -> tuple[int, int]:
    y, x = series.multiscale.picture_axes()
    shape = series.levels[0].shape
    return shape[y], shape[x]


def _choose(opened: Opened, found: Sequence[Series]) -> None:
    """Show the largest image and all that fit beside it; the others become associated images.

    Much smaller ones are no frames: beside a slide of 100,000 pixels lie its label and overview.
    """
    best = max(found, key=lambda series: math.prod(series.levels[0].shape))
    height, width = _sides(best)
    shown = []
    for series in found:
        sides = _sides(series)
        fits = _signature(series) == _signature(best) and sides[0] * 4 >= height and sides[1] * 4 >= width
        if fits:
            shown.append(series)
            continue
        name = free_name(series.name or 'image', opened.others)
        opened.others[name] = series
        opened.associated[name] = partial(_same, series)
    opened.series = tuple(shown)
    opened.every = tuple(found)


def _same(series: Series) -> Series:
    return series


def free_name(name: str, taken: dict[str, Any]) -> str:
    """Return a name for an associated image that none has yet."""
    name = name.strip('/').replace('/', '_')
    free, number = name, 1
    while free in taken:
        number += 1
        free = f'{name}_{number}'
    return free


def add_labels(store: KeyStore, path: str, opened: Opened) -> None:
    """Add the labels of the image at a path; each is opened when it is asked for."""
    prefix = (path + '/' if path else '') + 'labels'
    try:
        group = read_group(store, prefix)
        names = () if group is None else parse_attributes(group).labels
    except UnreadableImageError as error:
        opened.problems.append(f'The labels cannot be read: {error}')
        return
    if group is not None and not names:
        names = tuple(name.rstrip('/') for name in store.names(prefix) if name.endswith('/'))
    for name in names[:1000]:
        opened.labels[name] = partial(open_label, store, f'{prefix}/{name}')
        opened.associated[free_name(f'label_{name}', opened.associated)] = opened.labels[name]


def _add_associated(store: KeyStore, parsed: Parsed, opened: Opened) -> None:
    """Add the associated images that girder_zarr itself wrote; see docs/format.md."""
    stored = parsed.multiscales[0].extra.get('associated')
    for name, path in stored.items() if isinstance(stored, dict) else ():
        where = check_relative_path(path, 'The path of an associated image')
        opened.associated[free_name(name, opened.associated)] = partial(open_image, store, where)


def _add_plain_associated(store: KeyStore, opened: Opened) -> None:
    """Add the associated images that large-image-source-zarr 1.35.6 wrote: arrays called ``<name>/image``.

    It puts the layout of a collection beside the image itself, which nobody else does.
    """
    if store.is_remote:
        return
    for name in (one.rstrip('/') for one in store.names('')[:PLAIN_NAMES] if one.endswith('/')):
        path = f'{name}/{PLAIN_IMAGE}'
        if store.has(f'{path}/.zarray'):
            opened.associated[free_name(name, opened.associated)] = partial(_plain_image, store, path)


def _plain_image(store: KeyStore, path: str) -> Series:
    info = read_array(store, path)
    found = None if info is None else guess(store, [info])
    if found is None:
        msg = f'There is no image at {path!r} in {store.name}.'
        raise UnreadableImageError(msg)
    return found.series[0]


def _positions(store: KeyStore, attributes: dict[str, Any], kind: str) -> Opened:
    """Open a plate or a well: the fields are frames. The arrays of three fields at most are looked at now."""
    parsed = parse_attributes(attributes)
    opened = Opened(kind, (), attributes, problems=list(parsed.problems))
    if kind == 'plate':
        fields = plate_fields(store, parsed, read_group, opened.problems)
    else:
        fields = well_fields(store, attributes, read_group)
    for number, path in enumerate(one.path for one in fields[:FIELDS_TRIED]):
        try:
            group = read_group(store, path) or {}
            opened.parsed, series = read_image(store, path, group)
        except UnreadableImageError as error:
            opened.problems.append(f'The field {path!r} cannot be read: {error}')
            continue
        if series:
            opened.problems.extend(opened.parsed.problems)
            _show_fields(store, opened, series[0], fields, number)
            return opened
    why = ' '.join(opened.problems[:1])
    msg = f'{store.name} is a {kind} with {len(fields)} fields, but none that was tried can be read. {why}'
    raise UnreadableImageError(msg)


def _show_fields(
    store: KeyStore, opened: Opened, first: Series, fields: Sequence[Field], number: int
) -> None:
    """Show the fields as frames, and after them their overview.

    :param first: the field that has been read, and ``number`` which one it is.
    """
    mosaic = make_mosaic(store, first, fields, number, opened.problems)
    opened.series = opened.every = tuple(field_series(first, mosaic, fields, number))

    def reopen(index: int) -> Series:
        path = fields[index].find()
        found = None if path is None else find_image(store, path)
        if found is None:
            msg = f'There is no image at {fields[index].path!r} in {store.name}.'
            raise UnreadableImageError(msg)
        return replace(found, place=fields[index].place)

    opened.reopen = reopen
    opened.named[OVERVIEW] = partial(mosaic_series, first, mosaic, opened.kind)
    if len(fields) == 1:
        add_labels(store, fields[0].path, opened)
        return
    overview = overview_series(first, mosaic, opened.kind)
    opened.series += (overview,)
    opened.associated[OVERVIEW] = partial(_same, overview)


def _plain(store: KeyStore, infos: Sequence[ArrayInfo], attributes: dict[str, Any], kind: str) -> Opened:
    guessed = guess(store, infos)
    if guessed is None:
        msg = f'{store.name} holds no array with at least two axes.'
        raise UnreadableImageError(msg)
    opened = Opened(kind, guessed.series, attributes, every=(*guessed.series, *guessed.others))
    opened.problems.append('There is no OME-Zarr metadata; the axes are guessed from the lengths.')
    for series in guessed.others:
        name = free_name(series.multiscale.levels[0].path or 'array', opened.others)
        opened.others[name] = series
        opened.associated[name] = partial(_same, series)
    return opened


def _search(store: KeyStore, attributes: dict[str, Any]) -> Opened:
    """Look for images, or else arrays, below a group without OME metadata."""
    images: list[str] = []
    arrays: list[ArrayInfo] = []
    pending = [('', 0)]
    seen = 0
    while pending and seen < SEARCH_NODES:
        path, depth = pending.pop(0)
        for name in store.names(path):
            if not name.endswith('/') or name.startswith('.'):
                continue
            seen += 1
            child = (path + '/' if path else '') + name.rstrip('/')
            try:
                group = read_group(store, child)
                info = read_array(store, child) if group is None else None
            except UnreadableImageError:
                continue
            if info is not None:
                arrays.append(info)
            elif group is not None and ome_attributes(group).get('multiscales'):
                images.append(child)
            elif depth < SEARCH_DEPTH:
                pending.append((child, depth + 1))
    if images:
        return _images(store, attributes, images, 'group')
    if not arrays:
        msg = f'{store.name} is a zarr group without images or arrays.'
        raise UnreadableImageError(msg)
    return _plain(store, arrays, attributes, 'arrays')
