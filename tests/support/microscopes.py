"""Folders as microscopes and stitching programs write them, cut from one picture.

Each function writes a whole folder from the documented form of a program and returns what has to come out:
a `Folder`. Names of elements and fields are those of the programs; values are ours.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from .stitchers import (
    bigstitcher,
    bigstitcher_series,
    bigstitcher_times,
    fiji,
    fiji_3d,
    fiji_series,
    mist,
    terastitcher,
)
from .tile_folders import CORNER, PIXEL, TILE, Folder, cut, picture, save, tiles

if TYPE_CHECKING:
    from pathlib import Path


# Micro-Manager


def _stage(y: int, x: int) -> tuple[float, float]:
    """Micrometers on the stage, x and y."""
    return (x + CORNER[1]) * PIXEL, (y + CORNER[0]) * PIXEL


def micromanager_pos(folder: Path, *, new: bool) -> Folder:
    whole, positions = picture(), []
    for row, column, y, x in tiles():
        label = f'1-Pos_{column:03d}_{row:03d}'
        save(folder / label / 'img_000000000_Default_000.tif', cut(whole, y, x))
        positions.append((label, _stage(y, x), row, column))
    if new:
        document: Any = {
            'encoding': 'UTF-8', 'format': 'Micro-Manager Property Map',
            'major_version': 2, 'minor_version': 0,
            'map': {'StagePositions': {'type': 'PROPERTY_MAP', 'array': [
                {
                    'DefaultXYStage': {'type': 'STRING', 'scalar': 'XYStage'},
                    'DefaultZStage': {'type': 'STRING', 'scalar': 'ZStage'},
                    'DevicePositions': {'type': 'PROPERTY_MAP', 'array': [
                        {'Device': {'type': 'STRING', 'scalar': 'ZStage'},
                         'Position_um': {'type': 'DOUBLE', 'array': [12.5]}},
                        {'Device': {'type': 'STRING', 'scalar': 'XYStage'},
                         'Position_um': {'type': 'DOUBLE', 'array': list(place)}},
                    ]},
                    'GridCol': {'type': 'INTEGER', 'scalar': column},
                    'GridRow': {'type': 'INTEGER', 'scalar': row},
                    'Label': {'type': 'STRING', 'scalar': label},
                    'Properties': {'type': 'PROPERTY_MAP', 'scalar': {}},
                }
                for label, place, row, column in positions
            ]}},
        }  # fmt: skip
    else:
        document = {
            'VERSION': 3, 'ID': 'Micro-Manager XY-position list',
            'POSITIONS': [
                {
                    'GRID_COL': column,
                    'DEVICES': [
                        {'DEVICE': 'ZStage', 'AXES': 1, 'Y': 0, 'X': 12.5, 'Z': 0},
                        {'DEVICE': 'XYStage', 'AXES': 2, 'Y': place[1], 'X': place[0], 'Z': 0},
                    ],
                    'PROPERTIES': {}, 'DEFAULT_Z_STAGE': 'ZStage', 'LABEL': label, 'GRID_ROW': row,
                    'DEFAULT_XY_STAGE': 'XYStage',
                }
                for label, place, row, column in positions
            ],
        }  # fmt: skip
    (folder / 'list.pos').write_text(json.dumps(document, indent=3))
    return Folder(folder, whole, place=CORNER)


def micromanager_metadata(folder: Path, *, version: str) -> Folder:
    """Single images with a metadata.txt in the folder of each position."""
    names = ['DAPI', 'FITC']
    whole = picture(2)
    for at, (_row, _column, y, x) in enumerate(tiles()):
        place, label = _stage(y, x), f'Pos{at}'
        document: dict[str, Any] = {
            'Summary': {
                'MicroManagerVersion': version,
                'ChNames': names,
                'PixelSize_um': PIXEL,
                'Positions': 6,
            }
        }
        for c, name in enumerate(names):
            frame: dict[str, Any] = {
                'XPositionUm': place[0], 'YPositionUm': place[1], 'ZPositionUm': 3.5, 'PositionName': label,
                'PixelSizeUm': PIXEL, 'Width': TILE[1], 'Height': TILE[0], 'Channel': name,
            }  # fmt: skip
            if version.startswith('1'):
                file = f'img_000000000_{name}_000.tif'
                frame |= {'FileName': file, 'ChannelIndex': c, 'SliceIndex': 0, 'FrameIndex': 0}
                document[f'FrameKey-0-{c}-0'] = frame
            else:
                file = f'img_channel{c:03d}_position{at:03d}_time000000000_z000.tif'
                coords = {'PositionIndex': at, 'TimeIndex': 0, 'ChannelIndex': c, 'SliceIndex': 0}
                document[f'Coords-{label}/{file}'] = {**coords, 'FileName': f'{label}/{file}'}
                document[f'Metadata-{label}/{file}'] = frame
            save(folder / label / file, cut(whole[c], y, x))
        text = json.dumps(document, indent=2)
        # an acquisition that was stopped ends without its last brace
        (folder / label / 'metadata.txt').write_text(text if at else text.rstrip().removesuffix('}'))
    return Folder(folder, whole, 'cyx', CORNER, PIXEL, names)


def mmstack(folder: Path, *, together: bool) -> Folder:
    """TIFFs with Micro-Manager's tag in each page: one a position, or all positions in one."""
    whole = picture(2, 3)
    writers: dict[str, list[tuple[np.ndarray, dict[str, Any]]]] = {}
    for at, (_row, _column, y, x) in enumerate(tiles()):
        place = _stage(y, x)
        file = 'scan_MMStack.ome.tif' if together else f'scan_MMStack_Pos{at}.ome.tif'
        for z, c in np.ndindex(3, 2):
            frame = {
                'XPositionUm': place[0], 'YPositionUm': place[1], 'ZPositionUm': 10 + z * 0.75,
                'ChannelIndex': c, 'SliceIndex': z, 'FrameIndex': 0, 'PositionIndex': at,
                'PositionName': f'Pos{at}', 'PixelSizeUm': PIXEL, 'Channel': ['DAPI', 'FITC'][c],
            }  # fmt: skip
            writers.setdefault(file, []).append((cut(whole[c, z], y, x), frame))
    for file, pages in writers.items():
        with tifffile.TiffWriter(folder / file) as tiff:
            for pixels, frame in pages:
                tag = (51123, 's', 0, json.dumps(frame), True)
                tiff.write(pixels, photometric='minisblack', metadata=None, extratags=[tag], contiguous=False)
    return Folder(folder, whole, 'czyx', CORNER, PIXEL, ['DAPI', 'FITC'])


# OME


def _ome(planes: list[tuple[str, int, int, tuple[float, float]]], count: int, size_c: int, unit: str) -> str:
    """OME-XML of images of two channels; planes are (file, first page, image, place)."""
    factor = {'\u00b5m': 1.0, 'mm': 1e-3}[unit]
    images = []
    for file, ifd, image, place in planes:
        data = ''.join(
            f'<TiffData FirstC="{c}" FirstZ="0" FirstT="0" IFD="{ifd + c}" PlaneCount="1">'
            f'<UUID FileName="{file}">urn:uuid:0000-{image}</UUID></TiffData>'
            for c in range(size_c)
        )
        plane = ''.join(
            f'<Plane TheC="{c}" TheZ="0" TheT="0" PositionX="{place[0] * factor!r}" PositionXUnit="{unit}" '
            f'PositionY="{place[1] * factor!r}" PositionYUnit="{unit}"/>'
            for c in range(size_c)
        )
        channels = ''.join(f'<Channel ID="Channel:{image}:{c}" Name="ch {c}"/>' for c in range(size_c))
        images.append(
            f'<Image ID="Image:{image}" Name="tile {image}"><Pixels ID="Pixels:{image}" '
            f'DimensionOrder="XYCZT" Type="uint16" SizeX="{TILE[1]}" SizeY="{TILE[0]}" SizeZ="1" '
            f'SizeC="{size_c}" SizeT="1" PhysicalSizeX="{PIXEL}" PhysicalSizeXUnit="\u00b5m" '
            f'PhysicalSizeY="{PIXEL * 1000}" PhysicalSizeYUnit="nm">{channels}{data}{plane}</Pixels></Image>'
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{"".join(images)}</OME>'
    )


def ome_tiffs(folder: Path, *, companion: bool, master: int | None = None) -> Folder:
    """OME-TIFFs that describe themselves, or that a companion file or one of them, `master`, describes."""
    whole, planes = picture(2), []
    document_of = 'scan.companion.ome' if master is None else f'tile_{master}.ome.tif'
    for at, (_row, _column, y, x) in enumerate(tiles()):
        planes.append((f'tile_{at}.ome.tif', 0, at, _stage(y, x)))
    for at, (_row, _column, y, x) in enumerate(tiles()):
        own = _ome(planes if at == master else [planes[at]], 1, 2, '\u00b5m').encode()
        text = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1">'
            f'<BinaryOnly MetadataFile="{document_of}" UUID="urn:uuid:2"/></OME>'
        ).encode()
        is_described = companion or master not in (None, at)
        with tifffile.TiffWriter(folder / planes[at][0]) as tiff:
            for c in range(2):
                tiff.write(
                    cut(whole[c], y, x), photometric='minisblack', metadata=None, contiguous=False,
                    description=(text if is_described else own) if c == 0 else None,
                )  # fmt: skip
    if companion:
        document = _ome(planes, 6, 2, 'mm')
        (folder / 'scan.companion.ome').write_text(document, encoding='utf-8')
    return Folder(folder, whole, 'cyx', CORNER, PIXEL, ['ch 0', 'ch 1'])


# High content


def harmony(folder: Path, *, version: int = 1, ref: bool = False) -> Folder:
    """Images of one well; y points upwards from the middle of the well, in meters."""
    whole, images = picture(2), []
    size = ''.join(f'<ImageResolution{axis} Unit="m">5E-07</ImageResolution{axis}>' for axis in 'XY')
    shared = (
        f'<Maps><Map><Entry ChannelID="1"><ChannelName>HOECHST 33342</ChannelName>{size}</Entry>'
        f'<Entry ChannelID="2"><ChannelName>Alexa 488</ChannelName>{size}</Entry></Map></Maps>'
    )
    for at, (_row, _column, y, x) in enumerate(tiles()):
        for c, channel in enumerate(('HOECHST 33342', 'Alexa 488')):
            name = f'r02c03f{at + 1:02d}p01-ch{c + 1}sk1fk1fl1.tiff'
            save(folder / 'Images' / name, cut(whole[c], y, x))
            own = (
                f'<ChannelName>{channel}</ChannelName><ImageResolutionX Unit="m">5E-07</ImageResolutionX>'
                '<ImageResolutionY Unit="m">5E-07</ImageResolutionY>'
            )
            images.append(
                f'<Image Version="1"><id>0203K1F{at + 1}P1R{c + 1}</id><State>Ok</State><URL>{name}</URL>'
                f'<Row>2</Row><Col>3</Col><FieldID>{at + 1}</FieldID><PlaneID>1</PlaneID>'
                f'<TimepointID>1</TimepointID><ChannelID>{c + 1}</ChannelID>{own if version == 1 else ""}'
                f'<PositionX Unit="m">{(x - 70) * PIXEL * 1e-6:.10g}</PositionX>'
                f'<PositionY Unit="m">{-(y - 30) * PIXEL * 1e-6:.10g}</PositionY>'
                '<PositionZ Unit="m">-2E-06</PositionZ></Image>'
            )
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\r\n'
        '<EvaluationInputData xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5" Version="1">'
        f'{shared if version > 1 else ""}<Images>{"".join(images)}</Images></EvaluationInputData>'
    )
    name = 'Index.ref.xml' if ref else 'Index.idx.xml'
    (folder / 'Images' / name).write_text('\ufeff' + text, encoding='utf-8')
    return Folder(folder, whole, 'cyx', (-30, -70), PIXEL, ['HOECHST 33342', 'Alexa 488'])


def metaxpress(folder: Path) -> Folder:
    whole = picture(2)
    for at, (_row, _column, y, x) in enumerate(tiles()):
        for c, channel in enumerate(('DAPI', 'FITC')):
            place = _stage(y, x)
            text = (
                '<MetaData><prop id="Description" type="string" value="Exposure: 45 ms"/><PlaneInfo>'
                f'<prop id="stage-position-x" type="float" value="{place[0]}"/>'
                f'<prop id="stage-position-y" type="float" value="{place[1]}"/>'
                '<prop id="spatial-calibration-state" type="bool" value="on"/>'
                f'<prop id="spatial-calibration-x" type="float" value="{PIXEL}"/>'
                f'<prop id="spatial-calibration-y" type="float" value="{PIXEL}"/>'
                '<prop id="spatial-calibration-units" type="string" value="um"/>'
                f'<prop id="stage-label" type="string" value="B02 : Site {at + 1}"/>'
                f'<prop id="_IllumSetting_" type="string" value="{channel}"/>'
                '</PlaneInfo><SetInfo><prop id="number-of-planes" type="int" value="1"/></SetInfo></MetaData>'
            )
            save(folder / f'plate_B02_s{at + 1}_w{c + 1}.TIF', cut(whole[c], y, x), description=text,
                 metadata=None)  # fmt: skip
    return Folder(folder, whole, 'cyx', CORNER, PIXEL, ['DAPI', 'FITC'])


def incell(folder: Path) -> Folder:
    whole, images = picture(2), []
    for at, (_row, _column, y, x) in enumerate(tiles()):
        for c, channel in enumerate(('DAPI', 'Cy5')):
            name = f'B - 2(fld {at + 1} wv {channel} - {channel}).tif'
            save(folder / name, cut(whole[c], y, x))
            images.append(
                f'<Image filename="{name}"><Well label="B - 2"><Row number="2"/><Column number="2"/></Well>'
                f'<Identifier field_index="{at}" time_index="0" wave_index="{c}" z_index="0"/>'
                f'<EmissionFilter name="{channel}"/>'
                f'<OffsetFromWellCenter x="{(x - 70) * PIXEL}" y="{(y - 30) * PIXEL}"/></Image>'
            )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><ImageStack ID="1"><AutoLeadAcquisitionProtocol>'
        f'<ObjectiveCalibration pixel_height="{PIXEL}" pixel_width="{PIXEL}" units="microns"/>'
        f'</AutoLeadAcquisitionProtocol><Images>{"".join(images)}</Images></ImageStack>'
    )
    (folder / 'plate.xdce').write_text(text)
    return Folder(folder, whole, 'cyx', (-30, -70), PIXEL, ['DAPI', 'Cy5'])


PROGRAMS: dict[str, Any] = {
    'fiji': fiji,
    'fiji_3d': fiji_3d,
    'fiji_series': fiji_series,
    'mist': mist,
    'micromanager_pos_1': lambda folder: micromanager_pos(folder, new=False),
    'micromanager_pos_2': lambda folder: micromanager_pos(folder, new=True),
    'micromanager_metadata_1': lambda folder: micromanager_metadata(folder, version='1.4.22'),
    'micromanager_metadata_2': lambda folder: micromanager_metadata(folder, version='2.0.1'),
    'mmstack': lambda folder: mmstack(folder, together=False),
    'mmstack_together': lambda folder: mmstack(folder, together=True),
    'ome_tiffs': lambda folder: ome_tiffs(folder, companion=False),
    'ome_companion': lambda folder: ome_tiffs(folder, companion=True),
    'ome_in_one': lambda folder: ome_tiffs(folder, companion=False, master=2),
    'harmony': harmony,
    'harmony_5': lambda folder: harmony(folder, version=5),
    'harmony_ref': lambda folder: harmony(folder, ref=True),
    'metaxpress': metaxpress,
    'incell': incell,
    'terastitcher': terastitcher,
    'bigstitcher': bigstitcher,
    'bigstitcher_series': bigstitcher_series,
    'bigstitcher_times': bigstitcher_times,
}
