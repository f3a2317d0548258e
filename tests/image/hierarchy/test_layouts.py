"""What there is besides a plain pyramid: any axes and levels, collections, plates, labels, plain arrays."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from large_image.exceptions import TileSourceError

from support.images import decoded, halves, level_tile, opened, region, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize('zarr_format', [2, 3])
@pytest.mark.parametrize('axes', ['cyx', 'yxc', 'tczyx', 'zcyx', 'yx', 'xyc'])
def test_levels_in_any_order_of_axes(
    tmp_path: Path, picture: np.ndarray, axes: str, zarr_format: Any
) -> None:
    pixels = picture if 'c' in axes else picture[..., 0]
    present = [name for name in axes if name in 'yxc']
    pixels = np.transpose(pixels, ['yxc'.index(name) for name in present])
    pixels = pixels.reshape([pixels.shape[present.index(name)] if name in present else 1 for name in axes])
    y, x = axes.index('y'), axes.index('x')
    levels = halves(pixels, 2, y, x)
    chunks = tuple(128 if name in 'yx' else side for name, side in zip(axes, pixels.shape, strict=True))
    source = opened(write(tmp_path / 'a.zarr', levels, axes, zarr_format=zarr_format, chunks=chunks))
    assert (source.sizeX, source.sizeY, source.tileWidth, source.tileHeight) == (640, 480, 128, 128)
    assert source.levels == 4
    assert source._nonemptyLevelsList() == [None, True, True, True]
    expected = picture if 'c' in axes else picture[..., :1]
    for step in (1, 2, 4):
        np.testing.assert_array_equal(level_tile(source, step), expected[::step, ::step])
    np.testing.assert_array_equal(
        region(source, region={'left': 33, 'top': 57, 'width': 300, 'height': 201}), expected[57:258, 33:333]
    )
    assert source.getMetadata()['mm_x'] == pytest.approx(5e-4)


def test_a_single_level_is_averaged_and_tiles_fit(tmp_path: Path, picture: np.ndarray) -> None:
    pixels = np.moveaxis(picture, -1, 0)
    source = opened(write(tmp_path / 'a.zarr', [pixels], 'cyx', chunks=(3, 128, 128)))
    expected = picture.reshape(120, 4, 160, 4, 3).mean(axis=(1, 3))
    assert np.abs(level_tile(source, 4) - expected).max() <= 1
    tops = level_tile(source, 8)
    assert tops.shape == (60, 80, 3)


@pytest.mark.parametrize('dtype', ['uint8', 'int32', 'float32', 'bool'])
def test_a_level_factor_of_three(tmp_path: Path, dtype: str) -> None:
    y, x = np.mgrid[0:900, 0:1200]
    full = ((y + x) // 20 % 120).astype('float64')
    if dtype == 'bool':
        full = full > 60
    levels = [full.astype(dtype), full[1::3, 1::3].astype(dtype), full[4::9, 4::9].astype(dtype)]
    source = opened(write(tmp_path / 'a.zarr', levels, 'yx', chunks=(150, 150)))
    assert source._nonemptyLevelsList()[-2:] == [None, True]
    found = level_tile(source, 4)[..., 0].astype('float64')
    assert found.shape == (225, 300)
    # The band pattern's edges apart, the values agree with those in the middle of each 4 x 4 block.
    middle = full[2::4, 2::4].astype('float64')
    assert np.median(np.abs(found - middle)) <= 1
    assert np.abs(found - middle).mean() < 6


def test_a_missing_level_is_left_out(tmp_path: Path, picture: np.ndarray) -> None:
    folder = write(tmp_path / 'a.zarr', halves(picture[..., 0], 2, 0, 1), 'yx', chunks=(128, 128))
    shutil.rmtree(folder / 's1')
    source = opened(folder)
    assert source._nonemptyLevelsList() == [None, True, None, True]
    np.testing.assert_array_equal(level_tile(source, 4)[..., 0], picture[::4, ::4, 0])
    assert level_tile(source, 2).shape == (240, 320, 1)


def test_levels_that_also_halve_z(tmp_path: Path) -> None:
    full = np.arange(4 * 256 * 256, dtype='uint32').reshape(4, 256, 256)
    source = opened(write(tmp_path / 'a.zarr', [full, full[::2, ::2, ::2]], 'zyx', chunks=(1, 128, 128)))
    assert source.getMetadata()['IndexRange'] == {'IndexZ': 4}
    for frame in range(4):
        tile = level_tile(source, 2, frame=frame)[..., 0]
        np.testing.assert_array_equal(tile, full[frame // 2 * 2, ::2, ::2])


def test_frames(tmp_path: Path) -> None:
    full = np.random.default_rng(3).integers(0, 4000, (2, 5, 3, 64, 80)).astype('uint16')
    channels = [{'label': name, 'color': '00FF00'} for name in ('DAPI', 'GFP', 'Cy3', 'Cy5', 'TL')]
    source = opened(write(tmp_path / 'a.zarr', [full], 'tczyx', omero={'channels': channels}))
    metadata = source.getMetadata()
    assert metadata['channels'] == ['DAPI', 'GFP', 'Cy3', 'Cy5', 'TL']
    assert metadata['IndexRange'] == {'IndexC': 5, 'IndexZ': 3, 'IndexT': 2}
    assert metadata['IndexStride'] == {'IndexC': 1, 'IndexZ': 5, 'IndexT': 15}
    assert (metadata['bandCount'], metadata['dtype'], source.frames) == (1, 'uint16', 30)
    for number, frame in enumerate(metadata['frames']):
        expected = full[frame['IndexT'], frame['IndexC'], frame['IndexZ']]
        np.testing.assert_array_equal(region(source, frame=number)[..., 0], expected)
        assert frame['Channel'] == metadata['channels'][frame['IndexC']]
    with pytest.raises(TileSourceError):
        source.getTile(0, 0, 0, frame=30)


@pytest.mark.parametrize(
    ('shape', 'bands', 'frames', 'size'),
    [
        ((300, 400), 1, 1, (400, 300)),
        ((300, 400, 3), 3, 1, (400, 300)),
        ((3, 300, 400), 3, 1, (400, 300)),
        ((7, 300, 400), 1, 7, (400, 300)),
        ((4, 1, 400, 300), 4, 1, (300, 400)),
        ((200, 200), 1, 1, (200, 200)),
    ],
)
def test_plain_arrays(
    tmp_path: Path, shape: tuple[int, ...], bands: int, frames: int, size: tuple[int, int]
) -> None:
    values = np.random.default_rng(0).integers(0, 255, shape).astype('uint8')
    for folder, name in ((tmp_path / 'array.zarr', None), (tmp_path / 'group.zarr', 'data')):
        if name is None:
            zarr.create_array(folder, shape=shape, chunks=shape, dtype='uint8')[...] = values
        else:
            zarr.open_group(folder, mode='w').create_array(name, shape=shape, chunks=shape, dtype='uint8')[
                ...
            ] = values
        source = opened(folder)
        assert (source.bandCount, source.frames, (source.sizeX, source.sizeY)) == (bands, frames, size)
        assert any('guessed' in problem for problem in source.getInternalMetadata()['zarr']['problems'])
        np.testing.assert_array_equal(
            region(source, frame=frames - 1).ravel(),
            source._layout.picture(values if frames == 1 else values[-1:]).ravel(),
        )


def test_plain_pyramid_and_series(tmp_path: Path, picture: np.ndarray) -> None:
    gray = picture[..., 0]
    group = zarr.open_group(tmp_path / 'a.zarr', mode='w', zarr_format=2)
    for name, pixels in (('full', gray), ('half', gray[::2, ::2]), ('mask', gray[:50, :70])):
        group.create_array(name, shape=pixels.shape, chunks=(100, 100), dtype='uint8')[...] = pixels
    source = opened(tmp_path / 'a.zarr')
    assert [level.shape for level in source._series[0].levels] == [(480, 640), (240, 320)]
    assert source.getAssociatedImagesList() == ['mask']
    assert decoded(source.getAssociatedImage('mask', encoding='PNG')[0]).shape == (50, 70)


def collection(folder: Path, images: dict[str, np.ndarray], order: list[str] | None) -> Path:
    zarr.open_group(folder, mode='w', zarr_format=2, attributes={'bioformats2raw.layout': 3})
    if order is not None:
        zarr.open_group(folder / 'OME', mode='w', zarr_format=2, attributes={'series': order})
    for name, pixels in images.items():
        write(folder / name, [pixels], 'yx', zarr_format=2, chunks=(128, 128))
    return folder


def test_collections_are_frames_in_their_order(tmp_path: Path, picture: np.ndarray) -> None:
    images = {'0': picture[..., 0], '1': picture[:400, :500, 1], '2': picture[..., 2]}
    for order in (None, ['2', '0', '1']):
        source = opened(collection(tmp_path / f'{order}.zarr', images, order))
        metadata = source.getMetadata()
        assert (source.sizeX, source.sizeY) == (640, 480)
        assert metadata['IndexRange'] == {'IndexXY': 3}
        assert [frame['Series'] for frame in metadata['frames']] == (order or ['0', '1', '2'])
        for number, name in enumerate(order or ['0', '1', '2']):
            expected = np.zeros((480, 640), 'uint8')
            expected[: images[name].shape[0], : images[name].shape[1]] = images[name]
            np.testing.assert_array_equal(level_tile(source, 1, frame=number)[..., 0], expected)


def test_the_label_of_a_slide_is_an_associated_image(tmp_path: Path, picture: np.ndarray) -> None:
    images = {'0': picture[..., 0], '1': picture[:90, :100, 1], '2': picture[:480, :640, 2].astype('uint16')}
    source = opened(collection(tmp_path / 'a.zarr', images, None))
    assert source.frames == 1
    assert source.getAssociatedImagesList() == ['1', '2']
    np.testing.assert_array_equal(decoded(source.getAssociatedImage('1', encoding='PNG')[0]), images['1'])
    assert source.getAssociatedImage('nothing') is None
    assert [other['name'] for other in source.getInternalMetadata()['zarr']['others']] == ['1', '2']


@pytest.mark.parametrize('zarr_format', [2, 3])
def test_a_plate_shows_every_field(tmp_path: Path, picture: np.ndarray, zarr_format: Any) -> None:
    wells = [{'path': f'{row}/{column}', 'rowIndex': r, 'columnIndex': c}
             for r, row in enumerate('AB') for c, column in enumerate(['1', '2'])]  # fmt: skip
    plate = {
        'rows': [{'name': 'A'}, {'name': 'B'}],
        'columns': [{'name': '1'}, {'name': '2'}],
        'wells': wells,
    }

    def attributes(content: dict[str, Any]) -> dict[str, Any]:
        return {'ome': {'version': '0.5', **content}} if zarr_format == 3 else content

    folder = tmp_path / 'plate.zarr'
    zarr.open_group(folder, mode='w', zarr_format=zarr_format, attributes=attributes({'plate': plate}))
    fields: dict[int, np.ndarray] = {}
    for number, well in enumerate(wells):
        images = [{'path': str(field), 'acquisition': 7} for field in range(2)]
        zarr.open_group(
            folder / str(well['path']), mode='w', zarr_format=zarr_format,
            attributes=attributes({'well': {'images': images}}),
        )  # fmt: skip
        for field in range(2):
            pixels = np.roll(picture[:200, :300, 0], 10 * number + field, axis=0)
            fields[len(fields)] = pixels
            write(folder / str(well['path']) / str(field), [pixels], 'yx', zarr_format=zarr_format)
    shutil.rmtree(folder / 'B' / '2' / '1')
    fields[7] = np.zeros_like(fields[7])
    source = opened(folder)
    frames = source.getMetadata()['frames']
    assert frames.pop()['Overview'] == 'plate'
    assert [(frame['Row'], frame['Column'], frame['Field']) for frame in frames] == [
        (row, column, field) for row in 'AB' for column in '12' for field in (0, 1)
    ]
    assert frames[0]['Acquisition'] == 7
    for number, pixels in fields.items():
        np.testing.assert_array_equal(region(source, frame=number)[..., 0], pixels)
    well_source = opened(folder / 'A' / '2')
    assert well_source.frames == 3  # with the overview
    np.testing.assert_array_equal(region(well_source, frame=1)[..., 0], fields[3])


def test_labels(tmp_path: Path, picture: np.ndarray) -> None:
    folder = write(tmp_path / 'a.zarr', [picture[..., 0]], 'yx', zarr_format=2)
    zarr.open_group(folder / 'labels', mode='w', zarr_format=2, attributes={'labels': ['cells']})
    labels = np.zeros((480, 640), 'uint32')
    labels[10:50, 20:60], labels[100:200, 100:200] = 1, 70000
    colors: Any = [{'label-value': 1, 'rgba': [255, 0, 0, 128]}]
    attributes: dict[str, Any] = {'image-label': {'colors': colors}}
    write(folder / 'labels' / 'cells', [labels], 'yx', zarr_format=2, **attributes)
    source = opened(folder)
    assert source.getAssociatedImagesList() == ['label_cells']
    image = decoded(source.getAssociatedImage('label_cells', encoding='PNG')[0])
    assert image[0, 0].tolist() == [0, 0, 0, 0]
    assert image[20, 30].tolist() == [255, 0, 0, 128]
    assert image[150, 150, 3] == 255
    assert image[150, 150, :3].any()


# itkwasm, which ngff-zarr makes its levels with, does what NumPy 2.5 deprecates.
@pytest.mark.filterwarnings('ignore:Setting the shape on a NumPy array:DeprecationWarning')
def test_images_of_ngff_zarr(tmp_path: Path, picture: np.ndarray) -> None:
    nz = pytest.importorskip('ngff_zarr')
    image = nz.to_ngff_image(picture[..., 0], dims=['y', 'x'], scale={'y': 0.25, 'x': 0.5},
                             axes_units={'y': 'micrometer', 'x': 'micrometer'})  # fmt: skip
    for version in ('0.4', '0.5'):
        multiscales = nz.to_multiscales(image, scale_factors=[2, 4], chunks=64)
        folder = tmp_path / f'{version}.ome.zarr'
        nz.to_ngff_zarr(str(folder), multiscales, version=version)
        source = opened(folder)
        np.testing.assert_array_equal(region(source)[..., 0], picture[..., 0])
        metadata = source.getMetadata()
        assert (metadata['mm_x'], metadata['mm_y']) == (pytest.approx(5e-4), pytest.approx(2.5e-4))
        assert len(source._series[0].levels) == 3


def test_images_of_ome_zarr(tmp_path: Path, picture: np.ndarray) -> None:
    writer = pytest.importorskip('ome_zarr.writer')
    planes = np.moveaxis(picture, -1, 0)
    for name in ('FormatV04', 'FormatV05'):
        version = getattr(pytest.importorskip('ome_zarr.format'), name)()
        folder = tmp_path / f'{name}.zarr'
        group = zarr.open_group(folder, mode='w', zarr_format=version.zarr_format)
        writer.write_image(planes, group, axes='cyx', fmt=version)
        source = opened(folder)
        assert source.bandCount == 3
        np.testing.assert_array_equal(region(source), picture)
