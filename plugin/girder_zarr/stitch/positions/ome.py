"""OME-XML in OME-TIFFs and companion files: positions of planes, and which page is which plane.

Form: the OME data model of 2016-06 (https://docs.openmicroscopy.org/ome-model/), Pixels, TiffData and Plane.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tifffile

from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.stitch.spec.field_checks import PixelSize

from .entry import OwnPlaces, OwnPlane, PatchEntry, PositionSet, finish
from .reading import FileLookup, in_micrometers, number, parse_xml, steady_step, unit_of, whole

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import Iterable, Iterator, Sequence

_UNIT = 'micrometer'
_ORDERS = {'C': 'c', 'Z': 'z', 'T': 't'}
#: Planes of one image: more is a mistake in its sizes.
_MAX_PLANES = 10_000_000
#: Letters of the name of a file that describes others.
_MAX_NAME = 255
#: Planes of all images of a document whose files are not here: a few bytes may name any number of them.
_MAX_FAR_PLANES = 100_000
#: Files that a document names and that are not here: so many of them are named.
_MAX_SHOWN = 5
_FILE_NAME = re.compile(r'\bFileName\s*=\s*"([^"]{1,1024})"')


@dataclass
class _Found:
    """The metadata collected so far from the images of one or several documents."""

    entries: list[PatchEntry] = field(default_factory=list)
    sizes: set[tuple[float, float]] = field(default_factory=set)
    steps: set[float] = field(default_factory=set)
    channels: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: dict[str, None] = field(default_factory=dict)
    most: int = _MAX_FAR_PLANES

    def add(self, own: OwnPlaces, name: str) -> None:
        """Add what a file says of itself that is not here."""
        for plane in own.planes:
            index = {**dict.fromkeys(_ORDERS.values(), 0), **plane.index}
            unit = None if plane.x is None else _UNIT
            self.entries.append(
                PatchEntry(name, page=plane.page or 0, x=plane.x, y=plane.y, unit=unit, index=index)
            )
        self.sizes.update(own.pixel_sizes)
        self.steps.update(own.steps)
        self.channels = {**own.channels, **self.channels}
        self.notes += own.notes


def is_ome(text: str) -> bool:
    """Return whether a text is OME-XML that describes pixels, and not only names the file that does."""
    return '<OME' in text[:4096] and 'Pixels' in text and 'BinaryOnly' not in text[:8192]


def ome_text(path: Path) -> str | None:
    """Return the OME-XML of a TIFF, or None where it has none."""
    try:
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            text = tiff.ome_metadata
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it has no OME-XML
        return None
    return text if text and is_ome(text) else None


def described_by(tiff: Any) -> str | None:
    """Return the name of the file that describes an open OME-TIFF which only names it, or None.

    :raises InvalidInputError: its document is malformed.
    """
    text = tiff.ome_metadata
    if not text or 'BinaryOnly' not in text[:8192]:
        return None
    element = next(parse_xml(text, 'OME-XML').iter('BinaryOnly'), None)
    name = '' if element is None else element.get('MetadataFile') or ''
    return name if 0 < len(name) <= _MAX_NAME and name.isprintable() else None


def others_described(tiff: Any, name: str) -> int:
    """Return how many other files the document of an open OME-TIFF names, with positions of planes.

    :param name: its own.
    """
    text = tiff.ome_metadata
    if not text or not is_ome(text) or 'PositionX' not in text:
        return 0
    lookup = FileLookup(None, [name])
    return sum(lookup.find(other) is None for other in set(_FILE_NAME.findall(text)))


def describing_first(names: Sequence[str], files: FileLookup) -> Sequence[str]:
    """Return names of OME-TIFFs, the one first that the first of them names as what describes it."""
    if not names:
        return names
    try:
        with tifffile.TiffFile(Path(files.folder or '.', names[0]), _multifile=False) as tiff:
            named = described_by(tiff)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it names no other
        return names
    found = files.find(named) if named else None
    if found is None or found not in names:
        return names
    return [found, *(one for one in names if one != found)]


def read_companion(text: str, where: str, files: FileLookup) -> PositionSet:
    """Return the patches of a companion file, or of the document of one of the files that are not here.

    :param where: the name of what the document is of. Where it is one of the files, it may describe others
        that are not among them; the notes name these.
    :raises InvalidInputError: a plane has no file or no position.
    """
    found = _Found()
    own = where if files.folder is None and where in files.names else None
    _read(text, where, files, own, found)
    return _set(found, where, files)


def read_ome_tiffs(names: Sequence[str], files: FileLookup) -> PositionSet:
    """Return the patches of OME-TIFFs, whether each describes itself only or all of them.

    :raises InvalidInputError: a plane has no position, or its file is missing.
    """
    found, seen, where = _Found(), set[str](), str(files.folder or 'The folder')
    for name in names:
        if name in seen:
            continue
        if name in files.own:
            found.add(files.own[name], name)
            continue
        text = ome_text(Path(files.folder or '.', name))
        if text is None:
            raise InvalidInputError(f'{name}: expected an OME-TIFF as the others are, found no OME-XML.')
        before = len(found.entries)
        _read(text, name, files, name, found)
        seen |= {entry.file for entry in found.entries[before:]}
    return _set(found, where, files)


def own_places(tiff: Any, name: str, most: int) -> OwnPlaces | None:
    """Return where an open OME-TIFF says that its pages lie, or None where it does not.

    :param name: its own, by which a document of several files knows it.
    :param most: planes that are accepted.
    :raises InvalidInputError: its document is malformed. :raises LimitExceededError: it names more planes.
    """
    text = tiff.ome_metadata
    if not text or not is_ome(text) or 'PositionX' not in text:
        return None
    found = _Found(most=most)
    _read(text, name, FileLookup(None, [name]), name, found)
    planes = tuple(
        OwnPlane(entry.page, entry.x, entry.y, {axis: at for axis, at in entry.index.items() if at})
        for entry in found.entries
    )
    if all(plane.x is None for plane in planes):
        return None
    sizes, steps = tuple(sorted(found.sizes)), tuple(sorted(found.steps))
    return OwnPlaces(
        'OME', planes, sizes, steps, channels=found.channels, notes=tuple(dict.fromkeys(found.notes))
    )


def _read(text: str, where: str, files: FileLookup, own: str | None, found: _Found) -> None:
    root = parse_xml(text, where)
    for image in root.iter('Image'):
        pixels = image.find('Pixels')
        if pixels is None:
            continue
        name = f'{where}: image {image.get("Name") or image.get("ID") or len(found.entries)}'
        _read_image(pixels, name, files, own, found)


def _read_image(pixels: ET.Element, where: str, files: FileLookup, own: str | None, found: _Found) -> None:
    channels = pixels.findall('Channel')
    # the bands of a color are one channel, and one page
    bands = sum(int(one.get('SamplesPerPixel') or 1) for one in channels) if channels else 1
    sizes = {axis: whole(where, f'Size{name}', pixels.get(f'Size{name}')) for name, axis in _ORDERS.items()}
    if channels and bands == sizes['c']:
        sizes['c'] = len(channels)
    if sizes['c'] * sizes['z'] * sizes['t'] > _MAX_PLANES:
        raise InvalidInputError(f'{where}: expected at most {_MAX_PLANES} planes, found {sizes}.')
    for at, channel in enumerate(channels):
        if channel.get('Name'):
            found.channels.setdefault(at, str(channel.get('Name')))
    sides = [_length(pixels, f'PhysicalSize{axis}', where) for axis in 'XYZ']
    if sides[0] and sides[1]:
        found.sizes.add((sides[0], sides[1]))
    if sides[2]:
        found.steps.add(sides[2])
    places = _places(pixels, where, found)
    general = places.get((0, 0, 0)) or next(iter(places.values()), None)
    for file, page, index in _planes(pixels, sizes, where, files, own, found.missing):
        if files.folder is None and len(found.entries) >= found.most:
            raise LimitExceededError(f'{where}: expected at most {found.most} planes, found more.')
        place = places.get((index['c'], index['z'], index['t']), general)
        found.entries.append(
            PatchEntry(
                file,
                page=page,
                x=place[0] if place else None,
                y=place[1] if place else None,
                unit=_UNIT if place else None,
                index=index,
            )
        )


def _length(element: ET.Element, name: str, where: str) -> float | None:
    """Return a length in micrometers, which is also what files without a unit mean."""
    text = element.get(name)
    if text is None:
        return None
    unit = unit_of(where, element.get(f'{name}Unit') or _UNIT)
    value = float(number(where, name, text))
    return in_micrometers(value, unit) if unit != 'pixel' else None


def _places(pixels: ET.Element, where: str, found: _Found) -> dict[tuple[int, int, int], tuple[float, float]]:
    places = {}
    for plane in pixels.findall('Plane'):
        index = tuple(whole(where, f'The{axis}', plane.get(f'The{axis}') or '0') for axis in 'CZT')
        given = []
        for axis in 'XY':
            text = plane.get(f'Position{axis}')
            if text is None:
                break
            unit = plane.get(f'Position{axis}Unit') or _UNIT
            if unit == 'reference frame':
                # what a program writes that has only numbers; they are micrometers where it is a stage
                unit = _UNIT
                found.notes.append("Positions in 'reference frame' were taken for micrometers.")
            value = float(number(where, f'Position{axis}', text))
            known = unit_of(where, unit)
            if known == 'pixel':
                raise InvalidInputError(f'{where}: Position{axis}: expected a length, found pixels.')
            given.append(in_micrometers(value, known))
        if len(given) == 2:
            places[index[0], index[1], index[2]] = (given[0], given[1])
    return places


def _planes(
    pixels: ET.Element,
    sizes: dict[str, int],
    where: str,
    files: FileLookup,
    own: str | None,
    missing: dict[str, None],
) -> Iterator[tuple[str, int, dict[str, int]]]:
    """Yield file, page and place of each plane; files that are not there are added to ``missing``."""
    order = [_ORDERS[name] for name in (pixels.get('DimensionOrder') or 'XYCZT')[2:] if name in _ORDERS]
    if sorted(order) != ['c', 't', 'z']:
        raise InvalidInputError(f'{where}: DimensionOrder: expected such as XYCZT, found {order}.')
    # the first of the order varies fastest
    strides = {axis: math.prod(sizes[other] for other in order[:at]) for at, axis in enumerate(order)}
    total = math.prod(sizes.values())
    blocks = pixels.findall('TiffData')
    if not blocks:
        raise InvalidInputError(f'{where}: expected TiffData that names the pages of its planes, found none.')
    for block in blocks:
        uuid = block.find('UUID')
        named = uuid.get('FileName') if uuid is not None else None
        if named and own is not None and files.find(named) is None:
            missing[named] = None  # a file of the acquisition that is not in this folder
            continue
        file = files.require(where, named) if named else own
        if file is None:
            raise InvalidInputError(f'{where}: TiffData: expected a UUID with FileName, found none.')
        first = {
            axis: whole(where, f'First{name}', block.get(f'First{name}') or '0')
            for name, axis in _ORDERS.items()
        }
        count = block.get('PlaneCount') or ('1' if block.get('IFD') is not None else str(total))
        if not all(0 <= at < sizes[axis] for axis, at in first.items()):
            raise InvalidInputError(f'{where}: TiffData: expected a plane within {sizes}, found {first}.')
        page = whole(where, 'IFD', block.get('IFD') or '0')
        begin = sum(at * strides[axis] for axis, at in first.items())
        for at in range(begin, min(begin + whole(where, 'PlaneCount', count), total)):
            yield file, page + at - begin, {axis: at // strides[axis] % sizes[axis] for axis in order}


def _missing_note(found: _Found) -> list[str]:
    if not found.missing:
        return []
    shown, count = list(found.missing)[:_MAX_SHOWN], len(found.missing)
    more = f' and {count - len(shown)} more' if count > len(shown) else ''
    what = '1 file is described and is' if count == 1 else f'{count} files are described and are'
    return [f'{what} not here: {", ".join(name[:_MAX_NAME] for name in shown)}{more}.']


def _set(found: _Found, where: str, files: FileLookup) -> PositionSet:
    pages = Counter(entry.file for entry in found.entries)
    lone = {axis for axis in 'czt' if len({entry.index[axis] for entry in found.entries}) == 1}
    entries = tuple(
        replace(
            entry,
            page=None if pages[entry.file] == 1 and entry.page == 0 else entry.page,
            index={axis: at for axis, at in entry.index.items() if axis not in lone},
        )
        for entry in found.entries
    )
    without = [entry for entry in entries if not entry.is_placed]
    if without and len(without) < len(entries):
        raise InvalidInputError(
            f'{where}: expected PositionX and PositionY, found none for {without[0].name}.'
        )
    size = found.sizes.pop() if len(found.sizes) == 1 else None
    heights = found.steps if len(found.steps) == 1 else set()
    step = steady_step([0.0, *heights])
    positions = PositionSet(
        'OME',
        entries,
        files.folder,
        pixel_size=None if size is None else PixelSize(*size),
        channel_names={at: name for at, name in found.channels.items() if 'c' not in lone or at == 0},
        steps={'z': step} if step and 'z' not in lone else {},
        notes=tuple(dict.fromkeys([*found.notes, *_missing_note(found)])),
    )
    return finish(positions, where)


def has_positions(names: Iterable[str], files: FileLookup) -> bool:
    """Return whether the first of some TIFFs has OME-XML with positions of planes."""
    first = next(iter(names), None)
    text = None if first is None else ome_text(Path(files.folder or '.', first))
    return text is not None and 'PositionX' in text
