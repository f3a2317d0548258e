"""Folders as stitching programs write them, from their documented forms; values are ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tifffile

from .tile_folders import GRID, PIXEL, TILE, Folder, cut, picture, save, tiles

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


# Fiji and MIST


def fiji(folder: Path) -> Folder:
    whole = picture()
    lines = [
        '# Define the number of dimensions we are working on',
        'dim = 2',
        '',
        '# Define the image coordinates',
    ]
    for row, column, y, x in tiles():
        name = f'tile_{row * GRID[1] + column + 1:02d}.tif'
        save(folder / name, cut(whole, y, x))
        lines.append(f'{name}; ; ({x - 3}.0, {y + 5}.0)')
    (folder / 'TileConfiguration.txt').write_text('\n'.join(line.replace(', ', ', 9') for line in lines))
    # what registration found is what counts
    (folder / 'TileConfiguration.registered.txt').write_text('\n'.join(lines) + '\n')
    return Folder(folder, whole, place=(5, -3))


def fiji_3d(folder: Path) -> Folder:
    whole = picture(3)
    lines = ['dim = 3']
    for row, column, y, x in tiles():
        name = f'stack {row}{column}.tif'
        tifffile.imwrite(folder / name, cut(whole, y, x), imagej=True, metadata={'axes': 'ZYX'})
        lines.append(f'{name}; ; ({x}.0, {y}.0, 0.0)')
    (folder / 'TileConfiguration.txt').write_text('\r\n'.join(lines))
    return Folder(folder, whole, 'zyx', place=(0, 0))


def _series(path: Path, whole: np.ndarray, axes: str) -> None:
    """One OME-TIFF in which each tile is an image of its own."""
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for _row, _column, y, x in tiles():
            tiff.write(cut(whole, y, x), photometric='minisblack', metadata={'axes': axes})


def fiji_series(folder: Path) -> Folder:
    whole = picture(2)
    _series(folder / 'scan.ome.tif', whole, 'CYX')
    lines = ['# Define the number of dimensions we are working on', 'dim = 2', 'multiseries = true', '']
    lines += [f'scan.ome.tif; {at}; ({x}.0, {y}.0)' for at, (_row, _column, y, x) in enumerate(tiles())]
    (folder / 'TileConfiguration.txt').write_text('\n'.join(lines) + '\n')
    return Folder(folder, whole, 'cyx', place=(0, 0))


def mist(folder: Path) -> Folder:
    whole = picture()
    lines = []
    for row, column, y, x in tiles():
        name = f'img_r{row + 1:03d}_c{column + 1:03d}.tif'
        save(folder / name, cut(whole, y, x))
        lines.append(f'file: {name}; corr: 0.9876543210; position: ({x}, {y}); grid: ({column}, {row});')
    (folder / 'img-global-positions-0.txt').write_text('\n'.join(lines) + '\n')
    return Folder(folder, whole, place=(0, 0))


# Stitchers


def terastitcher(folder: Path) -> Folder:
    whole, stacks = picture(3), []
    for row, column, y, x in tiles():
        name = f'{y:06d}/{y:06d}_{x:06d}'
        for z in range(3):
            save(folder / name / f'{z * 10:06d}.tif', cut(whole[z], y, x))
        stacks.append(
            f'<STACK N_CHANS="1" N_BYTESxCHAN="2" ROW="{row}" COL="{column}" '
            f'ABS_V="{y}" ABS_H="{x}" ABS_D="0" '
            f'STITCHABLE="yes" DIR_NAME="{name}" Z_RANGES="[0,3)" IMG_REGEX=".*\\.tif"><NORTH_displacements/>'
            '</STACK>'
        )
    text = (
        '<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE TeraStitcher SYSTEM "TeraStitcher.DTD">\n'
        '<TeraStitcher volume_format="TiledXY|2Dseries"><stacks_dir value="D:\\scans\\brain" />'
        f'<ref_sys ref1="1" ref2="2" ref3="3" /><voxel_dims V="{PIXEL}" H="{PIXEL}" D="2" />'
        '<origin V="0" H="0" D="0" /><mechanical_displacements V="16" H="20" />'
        f'<dimensions stack_rows="2" stack_columns="3" stack_slices="3" /><STACKS>{"".join(stacks)}</STACKS>'
        '</TeraStitcher>'
    )
    (folder / 'xml_merging.xml').write_text(text)
    return Folder(folder, whole, 'zyx', (0, 0), PIXEL)


def _spim_setup(setup: int, channel: int, tile: int) -> str:
    return (
        f'<ViewSetup><id>{setup}</id><name>{setup}</name><size>{TILE[1]} {TILE[0]} 1</size><voxelSize>'
        f'<unit>um</unit><size>{PIXEL} {PIXEL} 2.0</size></voxelSize><attributes>'
        f'<illumination>0</illumination><channel>{channel}</channel><tile>{tile}</tile><angle>0</angle>'
        '</attributes></ViewSetup>'
    )


def spim_registration(setup: int, x: int, y: int, time: int = 0) -> str:
    """Where stitching put a tile: a small shift, after the place in the grid, after the calibration."""
    return (
        f'<ViewRegistration timepoint="{time}" setup="{setup}"><ViewTransform type="affine">'
        '<Name>Stitching Transform</Name>'
        '<affine>1.0 0.0 0.0 2.0 0.0 1.0 0.0 -1.0 0.0 0.0 1.0 0.0</affine>'
        '</ViewTransform><ViewTransform type="affine"><Name>Translation to Regular Grid</Name>'
        f'<affine>1.0 0.0 0.0 {x}.0 0.0 1.0 0.0 {y}.0 0.0 0.0 1.0 0.0</affine></ViewTransform>'
        '<ViewTransform type="affine"><Name>calibration</Name>'
        '<affine>1.0 0.0 0.0 0.0 0.0 1.0 0.0 0.0 0.0 0.0 4.0 0.0</affine></ViewTransform>'
        '</ViewRegistration>'
    )


def spim_dataset(files: str, setups: str, registrations: str, last_time: int = 0) -> str:
    """A dataset of BigStitcher whose tiles are image files."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><SpimData version="0.2"><BasePath type="relative">.</BasePath>'
        '<SequenceDescription><ImageLoader format="spimreconstruction.filemap2">'
        f'<files>{files}</files><ZGrouped>false</ZGrouped></ImageLoader>'
        f'<ViewSetups>{setups}<Attributes name="channel">'
        '<Channel><id>0</id><name>488</name></Channel><Channel><id>1</id><name>561</name></Channel>'
        '</Attributes></ViewSetups><Timepoints type="pattern">'
        f'<integerpattern>{"0-" if last_time else ""}{last_time}</integerpattern></Timepoints>'
        f'</SequenceDescription><ViewRegistrations>{registrations}</ViewRegistrations></SpimData>'
    )


def _mapping(file: str, setup: int, *, series: int = 0, channel: int = 0, time: int = 0) -> str:
    return (
        f'<FileMapping view_setup="{setup}" timepoint="{time}" series="{series}" channel="{channel}">'
        f'<file type="relative">{file}</file></FileMapping>'
    )


def bigstitcher(folder: Path) -> Folder:
    whole, files, setups, registrations = picture(2), '', '', ''
    for at, (_row, _column, y, x) in enumerate(tiles()):
        for c in range(2):
            setup, name = at * 2 + c, f'tile{at}_ch{c}.tif'
            save(folder / 'raw' / name, cut(whole[c], y, x))
            files += _mapping(f'raw/{name}', setup)
            setups += _spim_setup(setup, c, at)
            registrations += spim_registration(setup, x, y)
    (folder / 'dataset.xml').write_text(spim_dataset(files, setups, registrations))
    return Folder(folder, whole, 'cyx', (-1, 2), PIXEL, ['488', '561'])


def bigstitcher_series(folder: Path) -> Folder:
    """One file holds all tiles as series, with their channels in it."""
    whole, files, setups, registrations = picture(2), '', '', ''
    _series(folder / 'all.ome.tif', whole, 'CYX')
    for at, (_row, _column, y, x) in enumerate(tiles()):
        for c in range(2):
            files += _mapping('all.ome.tif', at * 2 + c, series=at, channel=c)
            setups += _spim_setup(at * 2 + c, c, at)
            registrations += spim_registration(at * 2 + c, x, y)
    (folder / 'dataset.xml').write_text(spim_dataset(files, setups, registrations))
    return Folder(folder, whole, 'cyx', (-1, 2), PIXEL, ['488', '561'])


def bigstitcher_times(folder: Path) -> Folder:
    """A file for each tile and time, of one channel."""
    whole, files, setups, registrations = picture(3), '', '', ''
    for at, (_row, _column, y, x) in enumerate(tiles()):
        setups += _spim_setup(at, 0, at)
        for t in range(3):
            save(folder / f'tile{at}_t{t}.tif', cut(whole[t], y, x))
            files += _mapping(f'tile{at}_t{t}.tif', at, time=t)
            registrations += spim_registration(at, x, y, t)
    (folder / 'dataset.xml').write_text(spim_dataset(files, setups, registrations, last_time=2))
    return Folder(folder, whole, 'tyx', (-1, 2), PIXEL)
