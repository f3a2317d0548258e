"""MetaXpress (ImageXpress) and IN Cell: places of fields in the tags of TIFFs, and in the xdce file.

Forms: MetaMorph's PlaneInfo XML in ImageDescription (stage-position-x and -y in micrometers,
spatial-calibration-x and -y) and the xdce of IN Cell Analyzer (OffsetFromWellCenter in micrometers).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tifffile

from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.stitch.spec.field_checks import PixelSize

from .entry import OwnPlaces, OwnPlane, PatchEntry, PositionSet, finish
from .harmony import well_name
from .name_pattern import match_names
from .reading import FileLookup, in_micrometers, number, parse_xml, steady_step, unit_of, whole
from .tiff_pages import expand

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import Mapping, Sequence

_UNIT = 'micrometer'
#: A01_s1_w1.tif, with or without a time or plane, thumbnails left out; letters between may be anything.
METAXPRESS_NAMES = (
    '*{well}_s{field}_w{c}*',
    '*{well}_w{c}*',
    '*{well}_s{field}*',
)
_AXES = {'c': 'wave_index', 'z': 'z_index', 't': 'time_index'}


def has_stage_position(path: Path) -> bool:
    """Return whether a TIFF has MetaMorph's PlaneInfo with a stage position."""
    try:
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            return _properties(tiff, str(path)) is not None
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it has no PlaneInfo
        return False


def own_places(tiff: Any, name: str, most: int = 1) -> OwnPlaces | None:
    """Return where MetaMorph's PlaneInfo of an open TIFF says that it lies, or None where it does not.

    :param most: planes that are accepted; there is one.
    :raises InvalidInputError: a number or unit is none. :raises LimitExceededError: nothing is accepted.
    """
    info = _properties(tiff, name)
    if info is None:
        return None
    if most < 1:
        raise LimitExceededError(f'{name}: expected no plane more, found one.')
    sizes: tuple[tuple[float, float], ...] = ()
    size = [info.get(f'spatial-calibration-{axis}') for axis in 'xy']
    if info.get('spatial-calibration-state', 'on').lower() in {'on', 'true', '1'} and all(size):
        unit = unit_of(name, info.get('spatial-calibration-units') or 'um')
        if unit != 'pixel':
            x, y = (float(number(name, 'spatial-calibration', one)) for one in size)
            sizes = ((in_micrometers(x, unit), in_micrometers(y, unit)),)
    channel = info.get('_IllumSetting_') or info.get('image-name')
    height = info.get('z-position')
    x, y = (number(name, 'stage-position', info.get(f'stage-position-{axis}')) for axis in 'xy')
    return OwnPlaces(
        'MetaXpress',
        (OwnPlane(x=x, y=y),),
        sizes,
        heights={0: float(number(name, 'z-position', height))} if height else {},
        channels={0: channel} if channel else {},
    )


def _properties(tiff: Any, where: str) -> Mapping[str, str] | None:
    """Return MetaMorph's PlaneInfo of a TIFF, or None where it has none with a stage position."""
    text = tiff.pages.first.description.strip()
    if not text.startswith('<MetaData>'):
        return None
    found = parse_xml(text, where).findall('PlaneInfo/prop')
    properties = {one.get('id', '').strip(): one.get('value', '') for one in found}
    return properties if 'stage-position-x' in properties else None


def _own_places(name: str, files: FileLookup) -> OwnPlaces | None:
    if name in files.own:
        return files.own[name]
    path = Path(files.folder or '.', name)
    if not has_stage_position(path):
        return None
    with tifffile.TiffFile(path, _multifile=False) as tiff:
        return own_places(tiff, name)


def read_metaxpress(names: Sequence[str], files: FileLookup) -> PositionSet:
    """Return the patches of MetaXpress's TIFFs: places from their tags, the rest from their names.

    :raises InvalidInputError: a file has no stage position, or no name of the program's form.
    """
    pattern, found = _names(names)
    entries, sizes, wanted = [], set[tuple[float, float]](), dict[int, str]()
    heights: dict[str, float] = {}
    for entry in found:
        own = _own_places(entry.file, files)
        if own is None or not own.planes:
            raise InvalidInputError(f'{entry.file}: expected a stage position in its tags, found none.')
        sizes.update(own.pixel_sizes)
        if 0 in own.channels and 'c' in entry.index:
            wanted.setdefault(entry.index['c'], own.channels[0])
        if 0 in own.heights:
            heights[entry.file] = own.heights[0]
        entries.append(replace(entry, x=own.planes[0].x, y=own.planes[0].y, unit=_UNIT))
    planes = {
        entry.index['z']: heights[entry.file]
        for entry in entries
        if 'z' in entry.index and entry.file in heights
    }
    step = steady_step(planes.values()) if len(planes) > 1 else None
    positions = PositionSet(
        'MetaXpress',
        tuple(entries),
        files.folder,
        pixel_size=PixelSize(*sizes.pop()) if len(sizes) == 1 else None,
        channel_names=wanted,
        steps={'z': step} if step else {},
        notes=(f'Names were read as {pattern}.',),
    )
    return finish(positions, str(files.folder or 'The folder'))


def _names(names: Sequence[str]) -> tuple[str, list[PatchEntry]]:
    """Return the pattern that fits the names, and their entries; thumbnails are left out."""
    images = [name for name in names if not re.search(r'thumb', name, re.IGNORECASE)]
    deep = [f'*ZStep_{{z}}*/{pattern}' for pattern in METAXPRESS_NAMES]
    timed = [f'*TimePoint_{{t}}*/{pattern}' for pattern in METAXPRESS_NAMES]
    both = [f'*TimePoint_{{t}}*/*ZStep_{{z}}*/{pattern}' for pattern in METAXPRESS_NAMES]
    for pattern in (*both, *deep, *timed, *METAXPRESS_NAMES):
        found = match_names(images, pattern)
        if len(found) == len(images) and images:
            return pattern, found
    expected = 'names such as A01_s1_w1.TIF'
    raise InvalidInputError(f'The images of MetaXpress: expected {expected}, found {", ".join(images[:3])}.')


def is_xdce(text: str) -> bool:
    """Return whether a text is an xdce file of IN Cell Analyzer."""
    head = text[:65536]
    return '<ImageStack' in head and ('<AutoLeadAcquisitionProtocol' in text or '<Identifier' in text)


def read_xdce(text: str, where: str, files: FileLookup) -> PositionSet:
    """Return the patches of an xdce, those of all its wells; y as the file has it.

    :raises InvalidInputError: an image has no place or its file is missing.
    """
    root = parse_xml(text, where)
    offsets = {
        whole(where, 'offset_point', one.get('index')): one
        for one in root.iter('offset_point')
        if one.get('index')
    }
    entries: list[PatchEntry] = []
    names: dict[int, str] = {}
    for image in root.iter('Image'):
        name = image.get('filename')
        if not name:
            continue
        at = f'{where}: {name}'
        identifier = image.find('Identifier')
        if identifier is None:
            raise InvalidInputError(f'{at}: expected an Identifier, found none.')
        index = {axis: whole(at, key, identifier.get(key) or '0') for axis, key in _AXES.items()}
        field = whole(at, 'field_index', identifier.get('field_index') or '0')
        place = image.find('OffsetFromWellCenter')
        if place is None:
            place = offsets.get(field)
        if place is None:
            raise InvalidInputError(f'{at}: expected OffsetFromWellCenter or an offset_point, found neither.')
        channel = image.find('.//EmissionFilter')
        if channel is not None and channel.get('name'):
            names.setdefault(index['c'], str(channel.get('name')))
        x, y = (number(at, axis, place.get(axis)) for axis in 'xy')
        entry = PatchEntry(
            files.require(at, name), x=x, y=y, unit=_UNIT, index=index, field=field, well=_well(image, at)
        )
        entries += expand(entry, files)
    lone = {axis for axis in _AXES if len({entry.index[axis] for entry in entries}) == 1}
    indexed = [
        replace(entry, index={axis: at for axis, at in entry.index.items() if axis not in lone})
        for entry in entries
    ]
    positions = PositionSet(
        'IN Cell', tuple(indexed), files.folder, pixel_size=_objective(root, where), channel_names=names
    )
    return finish(positions, where)


def _well(image: ET.Element, at: str) -> str | None:
    well = image.find('Well')
    row, column = image.find('.//Row'), image.find('.//Column')
    if row is not None and column is not None and row.get('number') and column.get('number'):
        return well_name(whole(at, 'Row', row.get('number')), whole(at, 'Column', column.get('number')))
    match = (
        re.fullmatch(r'\s*([A-Za-z]{1,2})\s*-\s*([0-9]+)\s*', well.get('label') or '')
        if well is not None
        else None
    )
    return f'{match[1].upper()}{int(match[2]):02d}' if match else None


def _objective(root: ET.Element, where: str) -> PixelSize | None:
    found = root.find('.//ObjectiveCalibration')
    if found is None or not found.get('pixel_width') or not found.get('pixel_height'):
        return None
    sides = [float(number(where, name, found.get(name))) for name in ('pixel_width', 'pixel_height')]
    return PixelSize(sides[0], sides[1]) if min(sides) > 0 else None
