"""The index of Harmony (Operetta CLS, Opera Phenix): Index.idx.xml and Index.ref.xml.

Form: the exported index of Harmony 4.x and 5.x, root EvaluationInputData. Positions are meters from the
middle of the well, y upwards. From version 5 on what belongs to a channel stands in Maps, once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from girder_zarr.errors import InvalidInputError
from girder_zarr.stitch.spec.field_checks import PixelSize

from .entry import PatchEntry, PositionSet, finish
from .reading import FileLookup, child_text, in_micrometers, number, parse_xml, steady_step, unit_of, whole
from .tiff_pages import expand

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET

_AXES = {'c': 'ChannelID', 'z': 'PlaneID', 't': 'TimepointID'}


def is_harmony(text: str) -> bool:
    """Return whether a text is an index of Harmony."""
    head = text[:4096]
    return 'EvaluationInputData' in head or ('<Harmony' in head and '<FieldID>' in text)


def read_harmony(text: str, where: str, files: FileLookup) -> PositionSet:
    """Return the patches of an index, those of all its wells.

    :raises InvalidInputError: an image has no file, field or position.
    """
    root = parse_xml(text, where)
    channels = {child.get('ChannelID') or '': child for child in root.iter('Entry') if child.get('ChannelID')}
    entries: list[PatchEntry] = []
    names: dict[int, str] = {}
    sizes: set[tuple[float, float]] = set()
    heights: dict[int, float] = {}
    for image in root.iter('Image'):
        url = child_text(image, 'URL')
        if url is None:
            continue
        at = f'{where}: {url}'
        shared = channels.get(child_text(image, 'ChannelID') or '')
        index = {axis: whole(at, name, child_text(image, name) or '0') for axis, name in _AXES.items()}
        if child_text(image, 'State') not in {None, 'Ok'} and files.find(url) is None:
            continue  # the camera failed, and there is no file
        name = _either(image, shared, 'ChannelName')
        if name:
            names.setdefault(index['c'], name)
        size = [_length(image, shared, f'ImageResolution{axis}', at) for axis in 'XY']
        if size[0] and size[1]:
            sizes.add((size[0], size[1]))
        x, y, z = (_length(image, shared, f'Position{axis}', at) for axis in 'XYZ')
        if x is None or y is None:
            raise InvalidInputError(f'{at}: expected PositionX and PositionY, found {x} and {y}.')
        if z is not None:
            heights.setdefault(index['z'], z)
        entry = PatchEntry(
            files.require(where, url), x=x, y=0 - y, unit='micrometer', index=index,
            field=whole(at, 'FieldID', child_text(image, 'FieldID') or '1'), well=_well(image, at),
        )  # fmt: skip
        entries += expand(entry, files)
    lone = {axis for axis in _AXES if len({entry.index[axis] for entry in entries}) == 1}
    return finish(_set(entries, lone, names, sizes, heights, files), where, 'each file is expected once')


def _set(
    entries: list[PatchEntry],
    lone: set[str],
    names: dict[int, str],
    sizes: set[tuple[float, float]],
    heights: dict[int, float],
    files: FileLookup,
) -> PositionSet:
    indexed = [
        replace(entry, index={axis: at for axis, at in entry.index.items() if axis not in lone})
        for entry in entries
    ]
    step = steady_step(heights.values())
    return PositionSet(
        'Harmony',
        tuple(indexed),
        files.folder,
        pixel_size=PixelSize(*sizes.pop()) if len(sizes) == 1 else None,
        channel_names=names,
        steps={'z': step} if step and 'z' not in lone else {},
    )


def _either(image: ET.Element, shared: ET.Element | None, name: str) -> str | None:
    found = child_text(image, name)
    return found if found is not None or shared is None else child_text(shared, name)


def _length(image: ET.Element, shared: ET.Element | None, name: str, at: str) -> float | None:
    """Return a length in micrometers."""
    element = image.find(name)
    if element is None and shared is not None:
        element = shared.find(name)
    if element is None or not (element.text or '').strip():
        return None
    unit = unit_of(at, element.get('Unit') or 'm')
    return in_micrometers(float(number(at, name, element.text)), unit)


def _well(image: ET.Element, at: str) -> str:
    row = whole(at, 'Row', child_text(image, 'Row') or '1')
    column = whole(at, 'Col', child_text(image, 'Col') or '1')
    return well_name(row, column)


def well_name(row: int, column: int) -> str:
    """Return the name of a well: rows and columns count from 1, after Z come AA, AB, ..."""
    letters = ''
    while row > 0:
        row, rest = divmod(row - 1, 26)
        letters = chr(ord('A') + rest) + letters
    return f'{letters}{column:02d}'
