"""Images as large_image's users see them: the contract, tiles, regions, pictures, errors."""

from __future__ import annotations

import json
import pickle
import threading
from typing import TYPE_CHECKING, Any

import large_image
import numpy as np
import pytest
import zarr
from large_image.constants import SourcePriority
from large_image.exceptions import TileSourceFileNotFoundError

import girder_zarr.image as gz
from girder_zarr.errors import UnreadableChunkError
from girder_zarr.image.series.frames import native_dtype
from support.images import decoded, halves, level_tile, opened, region, write

if TYPE_CHECKING:
    from pathlib import Path

import PIL.Image

STORES = [
    '6001240_labels_v0.5.zarr',
    'blobs_image_v04.ome.zarr',
    'camera.ome.zarr',
    'data.zarr',
    'plate_ones_mip.zarr',
]


@pytest.mark.filterwarnings('ignore:Found an empty list of filters')  # in one of them
@pytest.mark.parametrize('name', STORES)
def test_real_images_equal_zarrs_own_reading(shared_data: Path, name: str) -> None:
    source = opened(shared_data / 'zarr' / name)
    series: Any = source._series[0]
    layout = source._layout
    root: Any = zarr.open_group(shared_data / 'zarr' / name, mode='r')
    for level in series.levels:
        expected = np.asarray(root[level.info.path][...])
        np.testing.assert_array_equal(level.read(tuple(slice(0, side) for side in level.shape)), expected)
    full = np.asarray(root[series.levels[0].info.path][...])
    for frame in sorted({0, 1 % layout.count, layout.count - 1}):
        parts = list(layout.fixed(frame))
        parts[layout.y] = parts[layout.x] = slice(None)
        np.testing.assert_array_equal(level_tile(source, 1, frame=frame), layout.picture(full[tuple(parts)]))


@pytest.mark.parametrize('name', STORES)
def test_real_images_can_be_seen(shared_data: Path, name: str) -> None:
    source = opened(shared_data / 'zarr' / name)
    image, mime = source.getThumbnail(width=200, height=200, frame=source.frames // 2)
    assert mime == 'image/jpeg'
    assert decoded(image).max() > 50
    for key in source.getAssociatedImagesList():
        assert decoded(source.getAssociatedImage(key)[0]).size
    json.dumps(source.getMetadata())
    json.dumps(source.getInternalMetadata())
    assert source._zarr.store


def test_what_real_images_say(shared_data: Path) -> None:
    metadata = opened(shared_data / 'zarr' / '6001240_labels_v0.5.zarr').getMetadata()
    assert metadata['channels'] == ['LaminB1', 'Dapi']
    assert metadata['IndexRange'] == {'IndexC': 2, 'IndexZ': 236}
    assert metadata['mm_x'] == pytest.approx(1.4415926138560835e-3)
    assert metadata['magnification'] == pytest.approx(10 / 1.4415926138560835)
    assert metadata['frames'][1]['Color'] == '#FFFF00'
    plate = opened(shared_data / 'zarr' / 'plate_ones_mip.zarr')
    assert plate.getInternalMetadata()['zarr']['kind'] == 'plate'
    assert plate.getAssociatedImagesList() == ['label_organoids']
    assert plate.getMetadata()['mm_y'] == pytest.approx(1.625e-4)
    camera = opened(shared_data / 'zarr' / 'camera.ome.zarr')
    assert (camera.sizeX, camera.sizeY, camera.levels) == (640, 480, 2)
    assert camera.getInternalMetadata()['zarr']['base'] == {'bioformats2raw.layout': 3}
    assert 'multiscales' in camera.getInternalMetadata()['zarr']['main']
    with PIL.Image.open(shared_data / 'zarr' / 'camera.jpg') as image:
        np.testing.assert_array_equal(region(camera)[..., 0], np.asarray(image.convert('L')))


def test_rgb_is_shown_in_color(tmp_path: Path, picture: np.ndarray) -> None:
    colors = {'Red': 'FF0000', 'Green': '00FF00', 'Blue': '0000FF'}
    channels = [{'label': label, 'color': color} for label, color in colors.items()]
    source = opened(
        write(tmp_path / 'a.zarr', [np.moveaxis(picture, -1, 0)], 'cyx', omero={'channels': channels})
    )
    assert (source.bandCount, source.frames) == (3, 1)
    image = decoded(source.getRegion(encoding='PNG')[0])
    np.testing.assert_array_equal(image, picture)
    tile = decoded(source.getTile(0, 0, source.levels - 1)).astype(int)
    assert np.abs(tile - picture).mean() < 2


@pytest.mark.parametrize('dtype', ['uint16', 'int16', 'uint32', 'float32', 'int8', '>u2', 'float64'])
def test_pictures_of_other_types_can_be_seen_and_arrays_are_untouched(
    tmp_path: Path, picture: np.ndarray, dtype: str
) -> None:
    gray = (picture[..., 0] // 2).astype(dtype)
    source = opened(write(tmp_path / 'a.zarr', [gray], 'yx', zarr_format=2, chunks=(128, 128)))
    assert source.dtype == native_dtype(np.dtype(dtype))
    np.testing.assert_array_equal(region(source)[..., 0], gray)
    for data in (
        source.getThumbnail()[0],
        source.getRegion(encoding='PNG')[0],
        source.getTile(0, 0, 0),
        source.getTile(1, 1, source.levels - 1),
    ):
        assert decoded(data).max() > 200
    np.testing.assert_array_equal(decoded(source.getRegion(encoding='PNG')[0]), np.rint(gray * (255 / 127.0)))
    np.testing.assert_array_equal(region(source)[..., 0], gray)


def test_the_omero_window_is_what_is_shown(tmp_path: Path) -> None:
    full = np.linspace(0, 4000, 128 * 128).reshape(1, 128, 128).astype('uint16')
    window = {'min': 0, 'max': 65535, 'start': 1000, 'end': 3000}
    source = opened(
        write(tmp_path / 'a.zarr', [full], 'cyx', omero={'channels': [{'label': 'a', 'window': window}]})
    )
    shown = decoded(source.getRegion(encoding='PNG')[0]).astype(int)
    expected = np.clip((full[0].astype(float) - 1000) / 2000 * 255, 0, 255)
    assert np.abs(shown - expected).max() <= 0.51


def test_a_style_is_left_to_large_image(tmp_path: Path) -> None:
    full = np.full((64, 64), 1000, 'uint16')
    folder = write(tmp_path / 'a.zarr', [full], 'yx')
    styled = opened(folder, style={'min': 0, 'max': 2000, 'palette': ['#000', '#f00']})
    pixel = decoded(styled.getRegion(encoding='PNG')[0])[0, 0]
    assert pixel[0] in (127, 128)
    assert pixel[1] == 0


def test_edges_and_encodings(tmp_path: Path, picture: np.ndarray) -> None:
    folder = write(tmp_path / 'a.zarr', [np.moveaxis(picture, -1, 0)], 'cyx', chunks=(3, 128, 128))
    cropped = opened(folder, edge='crop')
    assert decoded(cropped.getTile(4, 3, cropped.levels - 1)).shape == (96, 128, 3)
    colored = opened(folder, edge='#00ff00', encoding='PNG')
    assert decoded(colored.getTile(4, 3, colored.levels - 1))[120, 5].tolist() == [0, 255, 0]
    for encoding in ('JPEG', 'PNG', 'TIFF'):
        source = opened(folder, encoding=encoding)
        tile = decoded(source.getTile(1, 1, source.levels - 1)).astype(int)
        assert np.abs(tile - picture[128:256, 128:256]).mean() < 3


def test_the_contract() -> None:
    cls = gz.ZarrFileTileSource
    assert (cls.name, cls.cacheName, cls.newPriority) == ('zarr', 'tilesource', SourcePriority.HIGH)
    assert cls.extensions == {
        None: SourcePriority.LOW,
        'zarr': SourcePriority.PREFERRED,
        'zgroup': SourcePriority.PREFERRED,
        'zattrs': SourcePriority.PREFERRED,
        'zarray': SourcePriority.PREFERRED,
        'ozx': SourcePriority.PREFERRED,
        'db': SourcePriority.MEDIUM,
        'zip': SourcePriority.LOWER,
    }
    assert cls.mimeTypes[None] == SourcePriority.FALLBACK


def test_large_image_finds_it(tmp_path: Path, picture: np.ndarray) -> None:
    folder = write(tmp_path / 'a.zarr', [picture[..., 0]], 'yx')
    for location in (folder, folder / 'zarr.json'):
        source = large_image.open(location)
        assert source.name == 'zarr'
        assert large_image.canRead(location)
    (tmp_path / 'a.txt').write_text('words')
    assert not gz.canRead(tmp_path / 'a.txt')
    with pytest.raises(TileSourceFileNotFoundError):
        gz.open(tmp_path / 'absent')


def test_pickles(tmp_path: Path, picture: np.ndarray) -> None:
    source = gz.open(write(tmp_path / 'a.zarr', [picture[..., 0]], 'yx'), encoding='PNG')
    again = pickle.loads(pickle.dumps(source))
    assert again.encoding == 'PNG'
    np.testing.assert_array_equal(region(again), region(source))


def test_cached_tiles_of_two_images_differ(tmp_path: Path, picture: np.ndarray) -> None:
    sources = [gz.open(write(tmp_path / f'{band}.zarr', [picture[..., band]], 'yx')) for band in range(3)]
    for _ in range(2):
        for band, source in enumerate(sources):
            np.testing.assert_array_equal(region(source)[..., 0], picture[..., band])
            image = decoded(source.getTile(0, 0, source.levels - 1)).astype(int)
            assert np.abs(image[:480, :512] - picture[:, :512, band]).mean() < 4


def test_a_damaged_chunk_is_an_error_and_a_missing_one_is_not(tmp_path: Path, picture: np.ndarray) -> None:
    folder = write(tmp_path / 'a.zarr', [picture[..., 0]], 'yx', chunks=(128, 128))
    (folder / 's0' / 'c' / '1' / '1').write_bytes(b'not compressed')
    (folder / 's0' / 'c' / '0' / '0').unlink()
    source = opened(folder)
    with pytest.raises(UnreadableChunkError, match='s0/c/1/1'):
        source.getTile(1, 1, source.levels - 1)
    assert not source.getTile(0, 0, source.levels - 1, numpyAllowed='always').any()
    np.testing.assert_array_equal(
        source.getTile(2, 2, source.levels - 1, numpyAllowed='always')[..., 0], picture[256:384, 256:384, 0]
    )


def test_many_threads_on_one_source(tmp_path: Path, picture: np.ndarray) -> None:
    pixels = np.moveaxis(picture, -1, 0)
    source = opened(write(tmp_path / 'a.zarr', [pixels], 'cyx', chunks=(3, 128, 128)))
    z = source.levels - 1
    wrong: list[object] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        try:
            for _ in range(60):
                x, y = (int(value) for value in random.integers(0, 3, 2))
                tile = type(source).getTile.__wrapped__(source, x, y, z, numpyAllowed='always')
                part = picture[y * 128 : y * 128 + 128, x * 128 : x * 128 + 128]
                np.testing.assert_array_equal(tile, part)
        except Exception as error:  # noqa: BLE001 - reported by the main thread
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_histogram_pixel_and_iterator(tmp_path: Path, picture: np.ndarray) -> None:
    gray = picture[..., 0].astype('uint16') * 16
    source = opened(write(tmp_path / 'a.zarr', halves(gray, 2, 0, 1), 'yx', chunks=(128, 128)))
    assert source.getPixel(region={'left': 100, 'top': 50})['value'] == [int(gray[50, 100])]
    histogram = source.histogram(bins=16, dtype=np.uint16, resample=False)['histogram'][0]
    assert histogram['max'] <= gray.max()
    out = np.zeros_like(gray)
    for tile in source.tileIterator(format='numpy', tile_size={'width': 100, 'height': 90}):
        pixels = tile['tile'][..., 0]
        out[tile['y'] : tile['y'] + pixels.shape[0], tile['x'] : tile['x'] + pixels.shape[1]] = pixels
    np.testing.assert_array_equal(out, gray)
