"""Folders as stitching programs write them, from their documented forms; values are ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tifffile

from .tile_folders import GRID, PIXEL, TILE, Folder, cut, picture, save, tiles

if TYPE_CHECKING:
    from pathlib import Path


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


def bigstitcher(folder: Path) -> Folder:
    whole, files, setups, registrations = picture(2), [], [], []
    for at, (_row, _column, y, x) in enumerate(tiles()):
        for c in range(2):
            setup, name = at * 2 + c, f'tile{at}_ch{c}.tif'
            save(folder / 'raw' / name, cut(whole[c], y, x))
            files.append(
                f'<FileMapping view_setup="{setup}" timepoint="0" series="0" channel="0">'
                f'<file type="relative">raw/{name}</file></FileMapping>'
            )
            setups.append(
                f'<ViewSetup><id>{setup}</id><name>{setup}</name><size>{TILE[1]} {TILE[0]} 1</size>'
                '<voxelSize>'
                f'<unit>um</unit><size>{PIXEL} {PIXEL} 2.0</size></voxelSize><attributes>'
                f'<illumination>0</illumination><channel>{c}</channel><tile>{at}</tile><angle>0</angle>'
                '</attributes></ViewSetup>'
            )
            registrations.append(
                f'<ViewRegistration timepoint="0" setup="{setup}"><ViewTransform type="affine">'
                '<Name>Stitching Transform</Name>'
                '<affine>1.0 0.0 0.0 2.0 0.0 1.0 0.0 -1.0 0.0 0.0 1.0 0.0</affine>'
                '</ViewTransform><ViewTransform type="affine"><Name>Translation to Regular Grid</Name>'
                f'<affine>1.0 0.0 0.0 {x}.0 0.0 1.0 0.0 {y}.0 0.0 0.0 1.0 0.0</affine></ViewTransform>'
                '<ViewTransform type="affine"><Name>calibration</Name>'
                '<affine>1.0 0.0 0.0 0.0 0.0 1.0 0.0 0.0 0.0 0.0 4.0 0.0</affine></ViewTransform>'
                '</ViewRegistration>'
            )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><SpimData version="0.2"><BasePath type="relative">.</BasePath>'
        '<SequenceDescription><ImageLoader format="spimreconstruction.filemap2">'
        f'<files>{"".join(files)}</files><ZGrouped>false</ZGrouped></ImageLoader>'
        f'<ViewSetups>{"".join(setups)}<Attributes name="channel">'
        '<Channel><id>0</id><name>488</name></Channel><Channel><id>1</id><name>561</name></Channel>'
        '</Attributes></ViewSetups><Timepoints type="pattern"><integerpattern>0</integerpattern></Timepoints>'
        f'</SequenceDescription><ViewRegistrations>{"".join(registrations)}</ViewRegistrations></SpimData>'
    )
    (folder / 'dataset.xml').write_text(text)
    return Folder(folder, whole, 'cyx', (-1, 2), PIXEL, ['488', '561'])
