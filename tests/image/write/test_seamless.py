"""Levels by methods that look beyond a block: the pixels of the whole image halved at once, read by zarr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from large_image.tilesource.resample import ResampleMethod, downsampleTileHalfRes

import girder_zarr.image as gz
from girder_zarr.errors import CancelledError
from girder_zarr.image.store.stores import open_store
from girder_zarr.image.write.encode import Codec
from girder_zarr.image.write.output_spec import OutputSpec
from girder_zarr.image.write.pack import outlet_for
from girder_zarr.image.write.pyramid import write_image
from girder_zarr.image.write.resample import MARGINS

if TYPE_CHECKING:
    from pathlib import Path

METHODS = [*MARGINS, ResampleMethod.PIL_BOX]


def plane_halved(plane: np.ndarray, method: ResampleMethod) -> np.ndarray:
    """One plane; Pillow would do columns before lines where it is more than twice as high as wide."""
    height, width = plane.shape
    if height <= 2 * width:
        return np.asarray(downsampleTileHalfRes(plane, method))
    lines = PIL.Image.fromarray(plane).resize((width // 2, height), method.value)
    return np.asarray(lines.resize((width // 2, height // 2), method.value))


def halved(level: np.ndarray, method: ResampleMethod) -> np.ndarray:
    """(..., y, x) halved by large_image's function, each plane whole, odd sides doubled."""
    *outer, height, width = level.shape
    pad = [(0, 0)] * len(outer) + [(0, height % 2), (0, width % 2)]
    even = np.pad(level, pad, mode='edge')
    planes = [plane_halved(plane, method) for plane in even.reshape(-1, *even.shape[-2:])]
    return np.stack(planes).reshape(*outer, *planes[0].shape)


def check(group: Any, spec: OutputSpec, pixels: np.ndarray, method: ResampleMethod) -> None:
    expected = pixels
    for index, shape in enumerate(spec.level_shapes()):
        assert group[str(index)].shape == shape
        np.testing.assert_array_equal(group[str(index)][:], expected, err_msg=f'level {index}')
        expected = halved(expected, method)


@pytest.mark.parametrize('method', METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize('suffix', ['.zarr', '.zip', '.ozx', '.db'])
def test_there_are_no_seams(tmp_path: Path, method: ResampleMethod, suffix: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 301, 517), np.uint8)
    spec = OutputSpec.create(pixels.shape, 'uint8', axes='cyx', bands=3, chunk=64, resample=method)
    target = tmp_path / f'image{suffix}'
    with outlet_for(target) as outlet:
        write_image(outlet, spec, lambda region: pixels[region], threads=3)
    check(zarr.open_group(open_store(target), mode='r'), spec, pixels, method)


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_any_size_chunk_shard_and_number_of_threads(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp('image')
    method = data.draw(st.sampled_from(METHODS))
    frames = data.draw(st.sampled_from([1, 9]))
    sides = data.draw(st.tuples(st.integers(1, 90), st.integers(1, 90)))
    dtype = data.draw(st.sampled_from(['uint8', 'uint16', 'float32']))
    pixels = (np.random.default_rng(frames).random((frames, *sides)) * 250).astype(dtype)
    hole = data.draw(st.integers(0, 60))
    pixels[:, :hole, :hole] = 0
    chunk = data.draw(st.sampled_from([2, 8, 16, 30]))
    shard = data.draw(st.sampled_from([None, chunk * 3 if chunk != 2 else 8]))
    shard = shard if all(side > chunk for side in sides) else None
    spec = OutputSpec.create(pixels.shape, dtype, axes='zyx', chunk=chunk, shard=shard, resample=method)

    def read(region: tuple[slice, ...]) -> np.ndarray | None:
        return pixels[region] if pixels[region].any() else None

    occupied = data.draw(st.sampled_from([None, lambda region: bool(pixels[region].any())]))
    done: list[int] = []
    write_image(
        directory, spec, read, threads=data.draw(st.integers(1, 4)), occupied=occupied, progress=done.append
    )
    check(zarr.open_group(directory, mode='r'), spec, pixels, method)
    assert sum(done) == pixels.size


@pytest.mark.parametrize('codec', [Codec('zstd'), Codec('none'), Codec('blosc', 3, 'bitshuffle')], ids=str)
def test_what_was_compressed_in_any_way_is_read_again(tmp_path: Path, codec: Codec) -> None:
    pixels = np.random.default_rng(1).integers(0, 60_000, (150, 170), np.uint16)
    method = ResampleMethod.PIL_LANCZOS
    spec = OutputSpec.create(pixels.shape, 'uint16', chunk=32, codec=codec, version='0.4', resample=method)
    write_image(tmp_path, spec, lambda region: pixels[region])
    check(zarr.open_group(tmp_path, mode='r'), spec, pixels, method)


def test_of_a_sparse_image_little_is_written(tmp_path: Path) -> None:
    spec = OutputSpec.create((30_000, 30_000), 'uint8', resample=ResampleMethod.PIL_LANCZOS)
    here = (slice(5 * 512, 6 * 512), slice(7 * 512, 8 * 512))
    write_image(
        tmp_path,
        spec,
        lambda region: np.full((512, 512), 200, np.uint8) if region == here else None,
        occupied=lambda region: region[0].start < 6 * 512 and region[1].start < 8 * 512,
    )
    group: Any = zarr.open_group(tmp_path, mode='r')
    files = [path for path in tmp_path.rglob('*') if path.is_file() and path.name != 'zarr.json']
    assert len(files) < 4 * len(spec.level_shapes())
    near = group['1'][5 * 256 - 8 : 6 * 256 + 8, 7 * 256 - 8 : 8 * 256 + 8]
    expected = downsampleTileHalfRes(
        np.pad(np.full((512, 512), 200, np.uint8), 16), ResampleMethod.PIL_LANCZOS
    )
    assert (near == expected).all()


def test_a_check_that_raises_stops_it(tmp_path: Path) -> None:
    pixels = np.ones((512, 512), np.uint8)
    spec = OutputSpec.create(pixels.shape, 'uint8', chunk=16, resample=ResampleMethod.PIL_LANCZOS)
    calls = []

    def stop() -> None:
        calls.append(1)
        if len(calls) > 1100:  # there are 1024 blocks in the full resolution
            raise CancelledError('stop')

    with pytest.raises(CancelledError):
        write_image(tmp_path, spec, lambda region: pixels[region], threads=2, check=stop)
    assert len(calls) < 1110


def test_a_new_image_is_written_without_seams(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (1300, 1500, 3), np.uint8)
    source = gz.new()
    source.addTile(pixels, -100, -100)
    source.write(tmp_path / 'image.zarr', resample=ResampleMethod.PIL_LANCZOS)
    group: Any = zarr.open_group(tmp_path / 'image.zarr', mode='r')
    expected = downsampleTileHalfRes(pixels, ResampleMethod.PIL_LANCZOS)
    assert (np.moveaxis(group['1'][:], 0, -1) == expected).all()
