"""The projects of TeraStitcher and BigStitcher.

TeraStitcher: https://github.com/abria/TeraStitcher/wiki/Supported-volume-formats (xml_import and later steps;
ABS_V, ABS_H and ABS_D are pixels). BigStitcher: the SpimData XML of BigDataViewer,
https://imagej.net/plugins/bdv/ (affine transforms, the first of the list is applied last).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from girder_zarr.errors import InvalidInputError
from girder_zarr.stitch.spec.field_checks import PixelSize

from .entry import PatchEntry, PositionSet, finish
from .reading import PIXEL, FileLookup, child_text, natural, number, parse_xml, unit_of, whole
from .tiff_pages import expand

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET

#: Rotation and shear below this leave a tile of 10,000 pixels where it is, to half a pixel.
_STRAIGHT = 5e-5
_SETUP_AXES = {'channel': 'c', 'angle': 'angle', 'illumination': 'illumination'}


def is_terastitcher(text: str) -> bool:
    """Return whether a text is a project of TeraStitcher."""
    return '<TeraStitcher' in text[:4096]


def read_terastitcher(text: str, where: str, files: FileLookup) -> PositionSet:
    """Return the patches of all stacks; the files of a stack are its planes, or the pages of its one file.

    :raises InvalidInputError: a stack has no position or no image.
    """
    root = parse_xml(text, where)
    voxel = root.find('voxel_dims')
    size = (
        [float(number(where, f'voxel_dims {axis}', voxel.get(axis))) for axis in 'HVD']
        if voxel is not None
        else []
    )
    stacks_dir = root.find('stacks_dir')
    base = (stacks_dir.get('value') or '').replace('\\', '/').rstrip('/') if stacks_dir is not None else ''
    entries: list[PatchEntry] = []
    for stack in root.iter('STACK'):
        name = (stack.get('DIR_NAME') or '').replace('\\', '/').strip('/')
        at = f'{where}: stack {name or len(entries)}'
        x, y, z = (number(at, f'ABS_{axis}', stack.get(f'ABS_{axis}')) for axis in 'HVD')
        entries += _stack(stack, name, base, at, files, (x, y, round(z)))
    positions = PositionSet(
        'TeraStitcher',
        tuple(entries),
        files.folder,
        pixel_size=PixelSize(size[0], size[1]) if size and min(size[:2]) > 0 else None,
        steps={'z': size[2]} if size and size[2] > 0 and any('z' in one.index for one in entries) else {},
    )
    return finish(positions, where)


def _stack(
    stack: ET.Element, name: str, base: str, at: str, files: FileLookup, place: tuple[float, float, int]
) -> list[PatchEntry]:
    wanted = stack.get('IMG_REGEX') or '.*'
    try:
        fits = re.compile(wanted)
    except re.error as error:
        raise InvalidInputError(
            f'{at}: IMG_REGEX: expected a regular expression, found {wanted!r}.'
        ) from error
    inside = [
        file
        for file in files.images
        if _lies_in(file, name, base) and fits.search(PurePosixPath(file).name) is not None
    ]
    if not inside and stack.get('STITCHABLE') != 'no' and not stack.get('Z_RANGES') == '':
        raise InvalidInputError(f'{at}: expected images in the folder {name!r}, found none.')
    inside.sort(key=natural)
    x, y, z = place
    many = len(inside) > 1
    found = []
    for plane, file in enumerate(inside):
        index = {'z': z + plane} if many else {}
        entry = PatchEntry(file, x=x, y=y, unit=PIXEL, index=index)
        found += [entry] if many else expand(entry, files, offset={'z': z})
    return found


def _lies_in(file: str, folder: str, base: str) -> bool:
    """Return whether a file lies in a stack's folder, also where everything was moved elsewhere."""
    parent = PurePosixPath(file).parent.as_posix()
    return parent in {folder, f'{PurePosixPath(base).name}/{folder}'} or parent.endswith(f'/{folder}')


def is_bigstitcher(text: str) -> bool:
    """Return whether a text is a dataset of BigStitcher."""
    return '<SpimData' in text[:4096]


def read_bigstitcher(text: str, where: str, files: FileLookup) -> PositionSet:
    """Return the patches of a dataset whose tiles are files, where its registrations put them.

    :raises InvalidInputError: its images are not files (HDF5, N5, Zarr), or a registration turns or shears.
    """
    root = parse_xml(text, where)
    mappings = list(root.iter('FileMapping'))
    if not mappings:
        loader = root.find('.//ImageLoader')
        form = loader.get('format') if loader is not None else 'none'
        raise InvalidInputError(
            f'{where}: expected tiles that are image files (spimreconstruction.filemap2), found {form}.'
        )
    setups = {child_text(one, 'id'): one for one in root.iter('ViewSetup')}
    models = {
        (one.get('timepoint'), one.get('setup')): _model(one, where) for one in root.iter('ViewRegistration')
    }
    entries: list[PatchEntry] = []
    for mapping in mappings:
        entries += _view(mapping, setups, models, where, files)
    several = {axis for one in entries for axis in one.index if len({x.index.get(axis) for x in entries}) > 1}
    entries = [
        replace(one, index={axis: at for axis, at in one.index.items() if axis in several}) for one in entries
    ]
    size, step = _voxel(next(iter(setups.values()), None), where)
    positions = PositionSet(
        'BigStitcher',
        tuple(entries),
        files.folder,
        pixel_size=size,
        channel_names=_channel_names(root) if 'c' in several else {},
        steps={'z': step} if step and 'z' in several else {},
    )
    return finish(positions, where)


def _view(
    mapping: ET.Element,
    setups: dict[str | None, ET.Element],
    models: dict[tuple[str | None, str | None], np.ndarray],
    where: str,
    files: FileLookup,
) -> list[PatchEntry]:
    setup, time = mapping.get('view_setup'), mapping.get('timepoint')
    at = f'{where}: view setup {setup} at timepoint {time}'
    if setup not in setups or (time, setup) not in models:
        raise InvalidInputError(
            f'{at}: expected a ViewSetup and a ViewRegistration for it, found one missing.'
        )
    matrix = models[time, setup]
    scale = np.diag(matrix)[:3]
    if (scale <= 0).any() or np.abs(matrix[:, :3] - np.diag(scale)).max() > _STRAIGHT * scale.max():
        raise InvalidInputError(
            f'{at}: expected a shift, found a registration that turns, mirrors or shears.'
        )
    # back into pixels of the tile, which is what the image will have
    x, y, z = (float(f'{shift:.9g}') for shift in matrix[:, 3] / scale)
    series = whole(at, 'series', mapping.get('series') or '0')
    channel = whole(at, 'channel', mapping.get('channel') or '0')
    attributes = setups[setup].find('attributes')
    index = {
        axis: whole(at, name, child_text(attributes, name) or '0')
        for name, axis in _SETUP_AXES.items()
        if attributes is not None and attributes.find(name) is not None
    }
    if time is not None:
        index['t'] = whole(at, 'timepoint', time)
    file = files.require(at, child_text(mapping, 'file') or '')
    entry = PatchEntry(file, x=x, y=y, unit=PIXEL)
    found = []
    for one in expand(entry, files, series=series, offset={'z': round(z)}):
        if one.index.get('c', channel) != channel:
            continue
        inside = {axis: number_ for axis, number_ in one.index.items() if axis not in {'c', 't'}}
        found.append(replace(one, index={**inside, **index}))
    return found


def _model(registration: ET.Element, where: str) -> np.ndarray:
    """Return the product of the transforms of a view, as a matrix of shape (3, 4)."""
    model = np.eye(4)
    for transform in registration.iter('ViewTransform'):
        numbers = (child_text(transform, 'affine') or '').split()
        if transform.get('type') not in {None, 'affine'} or len(numbers) != 12:
            found = f'{transform.get("type")} of {len(numbers)}'
            raise InvalidInputError(f'{where}: ViewTransform: expected affine of 12 numbers, found {found}.')
        step = np.eye(4)
        step[:3] = np.reshape([float(number(where, 'affine', one)) for one in numbers], (3, 4))
        model = model @ step
    return model[:3]


def _voxel(setup: ET.Element | None, where: str) -> tuple[PixelSize | None, float | None]:
    voxel = setup.find('voxelSize') if setup is not None else None
    if voxel is None:
        return None, None
    sides = (child_text(voxel, 'size') or '').split()
    unit = unit_of(where, child_text(voxel, 'unit') or PIXEL)
    if unit == PIXEL or len(sides) != 3:
        return None, None
    x, y, z = (float(number(where, 'voxelSize', side)) for side in sides)
    return PixelSize(x, y, unit), z if unit == 'micrometer' else None


def _channel_names(root: ET.Element) -> dict[int, str]:
    names = {}
    for channel in root.iter('Channel'):
        at, name = child_text(channel, 'id'), child_text(channel, 'name')
        if at is not None and name is not None:
            names[int(at)] = name
    return names
