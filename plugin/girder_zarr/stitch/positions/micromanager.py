"""Files of Micro-Manager: position lists, metadata.txt, and the tags of the TIFFs of an MMStack.

Forms: https://micro-manager.org/Micro-Manager_File_Formats and the files on disk of versions 1.4 and 2.0
(position lists of 1.4 have capital names, those of 2.0 are property maps).
"""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import tifffile

from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.stitch.spec.field_checks import PixelSize

from .entry import OwnPlaces, OwnPlane, PatchEntry, PositionSet, finish
from .reading import MAX_CELL_BYTES, FileLookup, parse_json, parse_small_json, steady_step
from .tiff_pages import expand

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_UNIT = 'micrometer'
#: The tag of a page with Micro-Manager's metadata of it, as JSON.
PAGE_TAG = 51123
#: The number before the summary in the first bytes of an MMStack, and bytes of one that are read.
_SUMMARY_HEADER = 2355492
_MAX_SUMMARY = 2**24
#: Micrometers: what is more, or not a number, is a mistake.
_MAX_LENGTH = 1e12
_AXES = {'c': 'ChannelIndex', 'z': 'SliceIndex', 't': 'FrameIndex'}
_OLD_AXES = {'c': 'Channel', 'z': 'Slice', 't': 'Frame'}
_NUMBERED = re.compile(r'(?:position|pos|xy)[_-]?([0-9]+)', re.IGNORECASE)


def is_position_list(text: str) -> bool:
    """Return whether a text is a position list (.pos) of any version."""
    head = text[:4096]
    return head.lstrip('\ufeff \r\n').startswith('{') and (
        '"POSITIONS"' in text or ('Property Map' in head and '"StagePositions"' in text)
    )


def read_position_list(text: str, where: str, files: FileLookup) -> PositionSet:
    """Return the patches of a position list: its labels are looked for in the names of the images.

    :raises InvalidInputError: a position has no x and y, or an image fits none or several of the labels.
    """
    places = dict(_places(parse_json(text, where), where))
    if not places:
        raise InvalidInputError(f'{where}: expected positions of an XY stage, found none.')
    labels = sorted(places, key=len, reverse=True)
    ordered, entries = list(places), []
    for file in files.images:
        label = next((one for one in labels if _has_label(file, one)), None)
        if label is None:
            match = _NUMBERED.search(PurePosixPath(file).name)
            label = ordered[int(match[1])] if match and int(match[1]) < len(ordered) else None
        if label is None:
            shown = ', '.join(ordered[:4])
            raise InvalidInputError(
                f'{where}: expected files with the labels {shown} in their names, found {file}.'
            )
        x, y = places[label]
        entries += expand(PatchEntry(file, x=x, y=y, unit=_UNIT), files)
    return finish(PositionSet('Micro-Manager', tuple(entries), files.folder), where)


def _has_label(file: str, label: str) -> bool:
    return re.search(rf'(?<![A-Za-z0-9]){re.escape(label)}(?![A-Za-z0-9])', file) is not None


def _places(document: Any, where: str) -> Iterable[tuple[str, tuple[float, float]]]:
    if not isinstance(document, dict):
        raise InvalidInputError(f'{where}: expected a JSON object, found {type(document).__name__}.')
    if 'POSITIONS' in document:
        for at, one in enumerate(_list(document['POSITIONS'])):
            stage = one.get('DEFAULT_XY_STAGE')
            devices = [device for device in _list(one.get('DEVICES')) if device.get('AXES') == 2]
            chosen = next((device for device in devices if device.get('DEVICE') == stage), None)
            yield _place(where, one.get('LABEL'), at, chosen or next(iter(devices), None), ('X', 'Y'))
        return
    maps = _array(document.get('map', {}).get('StagePositions'))
    for at, one in enumerate(maps):
        stage = _scalar(one.get('DefaultXYStage'))
        named = [
            (_scalar(device.get('Device')), _array(device.get('Position_um')))
            for device in _array(one.get('DevicePositions'))
        ]
        pairs = [(name, place) for name, place in named if len(place) == 2]
        found = next((place for name, place in pairs if name == stage), pairs[0][1] if pairs else None)
        place = None if found is None else {'X': found[0], 'Y': found[1]}
        yield _place(where, _scalar(one.get('Label')), at, place, ('X', 'Y'))


def _place(
    where: str, label: Any, at: int, place: Mapping[str, Any] | None, names: tuple[str, str]
) -> tuple[str, tuple[float, float]]:
    values = [place.get(name) if place else None for name in names]
    numbers = [float(one) for one in values if isinstance(one, int | float)]
    if len(numbers) != 2:
        raise InvalidInputError(f'{where}: position {label or at}: expected x and y of a stage, found none.')
    return str(label or f'Pos{at}'), (numbers[0], numbers[1])


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _array(value: Any) -> list[Any]:
    found = value.get('array') if isinstance(value, dict) else value
    return found if isinstance(found, list) else []


def _scalar(value: Any) -> Any:
    return value.get('scalar') if isinstance(value, dict) else value


# metadata.txt


def is_metadata(text: str) -> bool:
    """Return whether a text is a metadata.txt."""
    head = text[:200_000]
    return '"Summary"' in head and ('"FrameKey-' in head or '"Metadata-' in head)


def read_metadata(text: str, where: str, files: FileLookup) -> PositionSet:
    """Return the patches that a metadata.txt of version 1.4 or 2.0 describes.

    Where several planes lie in one file, the tags of that file give the plane of each page.

    :raises InvalidInputError: it is not such a file, or an image or its position is missing.
    """
    document = parse_json(text, where)
    if not isinstance(document, dict):
        raise InvalidInputError(f'{where}: expected a JSON object, found {type(document).__name__}.')
    frames = list(_frames(document))
    named = [str(frame.get('FileName') or name) for name, frame in frames]
    if len(set(named)) < len(named):
        inside = [files.require(where, name) for name in dict.fromkeys(named)]
        return read_stacks([Path(files.folder or '.', name) for name in inside], inside, files)
    summary = _summary(document)
    said = []
    for name, frame in frames:
        file = files.find(str(frame.get('FileName') or name)) or files.find(name)
        if file is None:
            continue  # an acquisition that was stopped describes frames that were never written
        said.append((file, _said([frame], f'{where}: {file}', summary)))
    return _set(said, where, files)


def _frames(document: Mapping[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    for key, frame in document.items():
        if not isinstance(frame, dict):
            continue
        if key.startswith('FrameKey-'):
            yield str(frame.get('FileName', '')), frame
        elif key.startswith('Metadata-'):
            name = key.removeprefix('Metadata-')
            coords = document.get(f'Coords-{name}')
            numbers = _coords(coords) if isinstance(coords, dict) else {}
            # the folder is named after the position; files lie beside the document or in that folder
            yield name, {**frame, **numbers, 'FileName': frame.get('FileName') or name}


def _coords(coords: Mapping[str, Any]) -> dict[str, Any]:
    names = {'TimeIndex': 'FrameIndex', 'Frame': 'FrameIndex', 'Slice': 'SliceIndex'}
    return {names.get(name, name): value for name, value in coords.items() if name != 'FileName'}


def _summary(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found = document.get('Summary')
    return found if isinstance(found, dict) else {}


# MMStack


def has_page_tags(path: Path) -> bool:
    """Return whether the first page of a TIFF has Micro-Manager's tag with a position."""
    try:
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            value = _page_value(tiff.pages.first)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not one of Micro-Manager's
        return False
    return value is not None and 'XPositionUm' in value


def read_stacks(paths: Iterable[Path], names: Iterable[str], files: FileLookup) -> PositionSet:
    """Return the patches of TIFFs of an MMStack, one a page; a file may hold one position or all of them.

    :raises InvalidInputError: a page has no position, or a file cannot be read.
    """
    where = str(files.folder or 'The stack')
    said = []
    for path, name in zip(paths, names, strict=True):
        own = files.own.get(name)
        if own is None:
            try:
                with tifffile.TiffFile(path, _multifile=False) as tiff:
                    frames, summary = _frames_of(tiff)
            except Exception as error:
                raise InvalidInputError(f'{path} cannot be read as a TIFF: {error}.') from error
            own = _said(frames, f'{where}: {name}', summary)
        said.append((name, own))
    return _set(said, where, files)


def own_places(tiff: Any, name: str, most: int) -> OwnPlaces | None:
    """Return where the pages of an open TIFF of an MMStack lie, or None where they have no positions.

    :param most: pages that are accepted.
    :raises InvalidInputError: a page has no position. :raises LimitExceededError: there are more pages.
    """
    first = _page_value(tiff.pages.first)
    if first is None or 'XPositionUm' not in first:
        return None
    if len(tiff.pages) > most:
        raise LimitExceededError(f'{name}: expected at most {most} pages, found {len(tiff.pages)}.')
    frames, summary = _frames_of(tiff)
    return _said(frames, name, summary)


def _frames_of(tiff: Any) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    """Return what the tags of each page say, and the summary."""
    return [_page_value(page) or {} for page in tiff.pages], _summary_of(tiff)


def _summary_of(tiff: Any) -> Mapping[str, Any]:
    """Return the summary with which the file of an MMStack begins; nothing where there is none.

    tifffile would read the index of all frames and the settings of the display with it.
    """
    tiff.filehandle.seek(0)
    head = tiff.filehandle.read(40)
    if len(head) < 40:
        return {}
    mark, length = struct.unpack_from(f'{"<" if head[:2] == b"II" else ">"}II', head, 32)
    if mark != _SUMMARY_HEADER or length > _MAX_SUMMARY:
        return {}
    try:
        found = parse_json(tiff.filehandle.read(length).decode().rstrip('\0'), tiff.filename)
    except (InvalidInputError, LimitExceededError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _page_value(page: Any) -> dict[str, Any] | None:
    # only whole pages have all their tags
    tag = page.aspage().tags.get(PAGE_TAG) if hasattr(page, 'aspage') else page.tags.get(PAGE_TAG)
    value = tag.value if tag is not None and tag.count <= MAX_CELL_BYTES else None
    if isinstance(value, bytes | str):
        value = parse_small_json(value)
    return value if isinstance(value, dict) else None


def _said(frames: Sequence[Mapping[str, Any]], where: str, summary: Mapping[str, Any]) -> OwnPlaces:
    """Return what the frames of one file say.

    :raises InvalidInputError: one has no position.
    """
    planes: list[OwnPlane] = []
    sizes: set[float] = set()
    heights: dict[int, float] = {}
    channels = {at: str(name) for at, name in enumerate(_names(summary))}
    numbers = {name: at for at, name in channels.items()}
    for page, frame in enumerate(frames):
        places = [frame.get(name) for name in ('XPositionUm', 'YPositionUm')]
        x, y = (_length(one) for one in places)
        if x is None or y is None:
            at = where if len(frames) == 1 else f'{where}, page {page}'
            raise InvalidInputError(f'{at}: expected XPositionUm and YPositionUm, found {places}.')
        index = _index_of(frame, numbers)
        if isinstance(frame.get('Channel'), str) and 'c' in index:
            channels.setdefault(index['c'], frame['Channel'])
        height = _length(frame.get('ZPositionUm'))
        if height is not None and 'z' in index:
            heights.setdefault(index['z'], height)
        size = _length(frame.get('PixelSizeUm') or summary.get('PixelSize_um'))
        if size is not None and size > 0:
            sizes.add(size)
        planes.append(OwnPlane(page if len(frames) > 1 else None, x, y, index))
    pairs = tuple((side, side) for side in sorted(sizes))
    return OwnPlaces('Micro-Manager', tuple(planes), pairs, heights=heights, channels=channels)


def _length(value: Any) -> float | None:
    """Return a number of micrometers, or None where it is none that a stage can have."""
    return float(value) if isinstance(value, int | float) and abs(value) <= _MAX_LENGTH else None


def _set(said: Iterable[tuple[str, OwnPlaces]], where: str, files: FileLookup) -> PositionSet:
    """Return the patches of files, by what each says."""
    entries: list[PatchEntry] = []
    sizes: set[tuple[float, float]] = set()
    heights: dict[int, float] = {}
    channels: dict[int, str] = {}
    for file, own in said:
        entries += [
            PatchEntry(file, page=one.page, x=one.x, y=one.y, unit=_UNIT, index=one.index)
            for one in own.planes
        ]
        sizes.update(own.pixel_sizes)
        heights = {**own.heights, **heights}
        channels = {**own.channels, **channels}
    entries = _without_lone_axes(entries)
    step = steady_step(heights.values()) if len(set(heights.values())) == len(heights) else None
    varying = {axis for entry in entries for axis in entry.index}
    positions = PositionSet(
        'Micro-Manager',
        tuple(entries),
        files.folder,
        pixel_size=PixelSize(*sizes.pop()) if len(sizes) == 1 else None,
        channel_names=channels if 'c' in varying or len(channels) == 1 else {},
        steps={'z': step} if step and 'z' in varying else {},
    )
    return finish(positions, where)


def _names(summary: Mapping[str, Any]) -> list[Any]:
    found = summary.get('ChNames')
    if isinstance(found, str):
        found = parse_small_json(found)
    return found if isinstance(found, list) else []


def _index_of(frame: Mapping[str, Any], channels: Mapping[str, int]) -> dict[str, int]:
    index = {}
    for axis, name in _AXES.items():
        value = frame.get(name, frame.get(_OLD_AXES[axis]))
        if axis == 'c' and isinstance(value, str):
            value = channels.get(value)
        if isinstance(value, int) and not isinstance(value, bool):
            index[axis] = value
    return index


def _without_lone_axes(entries: list[PatchEntry]) -> list[PatchEntry]:
    """Drop the axes along which all entries have one number, and those that not all of them name."""
    numbers: dict[str, set[int | None]] = {axis: set() for axis in _AXES}
    for entry in entries:
        for axis, found in numbers.items():
            found.add(entry.index.get(axis))
    varying = {axis for axis, found in numbers.items() if len(found) > 1 and None not in found}
    return [
        replace(entry, index={axis: at for axis, at in entry.index.items() if axis in varying})
        for entry in entries
    ]
