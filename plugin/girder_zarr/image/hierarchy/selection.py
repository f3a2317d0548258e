"""The options ``series`` and ``labels`` of opening: one image of several by itself, and labels as frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.limits import check_relative_path

from .groups import find_image
from .opening import Opened, add_labels, open_hierarchy

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.image.series.series import Series
    from girder_zarr.image.store.keystore import KeyStore

#: How many names a message lists, so that it stays a sentence.
MAX_NAMED = 20
YES, NO = frozenset({'1', 'true', 'yes', 'on', 'frames'}), frozenset({'', '0', 'false', 'no', 'off', 'none'})


@dataclass(frozen=True)
class Wanted:
    """Which images of a file are opened.

    :param series: the number of an image or its name; None: all that fit, as they are shown by default.
    :param labels: whether labels follow as frames.
    """

    series: int | str | None = None
    labels: bool = False


def choice_key(options: dict[str, Any]) -> str:
    """Return the part of the cache key that the options ``series`` and ``labels`` add."""
    found = [f',{name}={options[name]!r}' for name in ('series', 'labels') if options.get(name) is not None]
    return ''.join(found)


def wanted(options: dict[str, Any]) -> Wanted:
    """Parse the options ``series`` and ``labels`` of a tile source; over REST they are texts.

    :raises UnreadableImageError: they are not a number, a name, or yes or no.
    """
    series, labels = options.get('series'), options.get('labels')
    if isinstance(series, str) and series.strip().isdecimal() and len(series) < 10:
        series = int(series)
    if series is not None and (isinstance(series, bool) or not isinstance(series, (int, str))):
        msg = f'series should be a number or a name; found {str(series)[:100]!r}.'
        raise UnreadableImageError(msg)
    text = 'true' if labels is True else str(labels or '').strip().lower()
    if text not in YES | NO:
        msg = f'labels should be true or false; found {str(labels)[:100]!r}.'
        raise UnreadableImageError(msg)
    return Wanted(None if series == '' else series, text in YES)


def open_wanted(store: KeyStore, choice: Wanted) -> Opened:
    """Return the images in a store that are asked for.

    :raises UnreadableImageError: there are none that we read, or not the one that is asked for.
    """
    opened = open_hierarchy(store)
    return opened if choice.series is None else select(store, opened, choice.series)


def select(store: KeyStore, opened: Opened, series: int | str) -> Opened:
    """Return one image of several as if it were alone.

    :param series: its number in the file, or its name or path; see ``choices``.
    :raises UnreadableImageError: there is none such, or it cannot be read.
    """
    number = series if isinstance(series, int) else _number(opened, series)
    if number is None:
        return _named(store, opened, str(series))
    if not 0 <= number < len(opened.every):
        msg = f'There is no series {number}; {store.name} has {len(opened.every)}, counted from 0.'
        raise UnreadableImageError(msg)
    found = opened.every[number] if opened.reopen is None else opened.reopen(number)
    return _alone(store, opened, found, opened.every[number].name)


def _number(opened: Opened, name: str) -> int | None:
    clean = name.strip('/')
    for number, one in enumerate(opened.every):
        if clean in (one.path, one.name):
            return number
    return None


def _named(store: KeyStore, opened: Opened, name: str) -> Opened:
    further: dict[str, Callable[[], Series]] = {**opened.associated, **opened.named}
    find = further.get(name)
    if find is None:
        by_path = find_image(store, check_relative_path(name, 'The name or path of a series'))
        if by_path is not None:
            return _alone(store, opened, by_path, name)
        names = [one.path or one.name or '' for one in opened.every[:MAX_NAMED]]
        listed = ', '.join([*filter(None, names), *list(further)[:MAX_NAMED]])
        msg = f'There is no series {name[:100]!r} in {store.name}; there are the numbers below '
        msg += f'{len(opened.every)}' + (f' and {listed}.' if listed else '.')
        raise UnreadableImageError(msg)
    return _alone(store, opened, find(), name)


def _alone(store: KeyStore, opened: Opened, series: Series, name: str | None) -> Opened:
    kind = (
        opened.kind if opened.kind != 'image' else 'label' if 'image-label' in series.attributes else 'series'
    )
    alone = replace(
        opened,
        kind=kind,
        series=(series,),
        chosen=series.name or name,
        others={},
        associated={},
        labels={},
    )
    if series.path is not None and 'image-label' not in series.attributes:
        add_labels(store, series.path, alone)
    for other, find in opened.associated.items():
        if other != name and other not in alone.associated and not other.startswith('label_'):
            alone.associated[other] = find
    return alone


def choices(opened: Opened, max_listed: int) -> list[dict[str, Any]]:
    """Return the images of a file as the option ``series`` knows them: number, name, path, size and type.

    :param max_listed: how many are listed at most.
    """
    found = []
    for number, one in enumerate(opened.every[:max_listed]):
        base = one.levels[0]
        axes = [axis.name for axis in one.multiscale.axes]
        entry: dict[str, Any] = {'series': number, 'name': one.name, **one.place}
        if one.path is not None:
            entry['path'] = one.path
        if opened.reopen is None or not number:
            entry |= {
                'axes': axes,
                'shape': list(base.shape),
                'dtype': str(base.dtype),
                'levels': len(one.levels),
            }
        found.append(entry)
    further = dict.fromkeys((*opened.named, *opened.associated))
    return [*found, *({'series': name, 'name': name} for name in list(further)[:max_listed])]


def labels(opened: Opened, max_listed: int) -> list[dict[str, Any]]:
    """Return the metadata of the labels of an image.

    :param max_listed: how many labels, and how many values of each, are listed at most.
    """
    found = []
    for name, find in list(opened.labels.items())[:max_listed]:
        entry: dict[str, Any] = {'name': name}
        try:
            series = find()
        except UnreadableImageError as error:
            found.append({**entry, 'problem': str(error)})
            continue
        entry |= {
            'path': series.path,
            'shape': list(series.levels[0].shape),
            'dtype': str(series.levels[0].dtype),
        }
        said = series.attributes.get('image-label')
        for key in ('colors', 'properties'):
            values = said.get(key) if isinstance(said, dict) else None
            entry[key] = values[:max_listed] if isinstance(values, list) else []
        found.append(entry)
    return found
