"""Images that other programs write: tensorstore, ngff-zarr and ome-zarr, sharded and not; plates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from support.images import halves, level_tile, opened, region

if TYPE_CHECKING:
    from pathlib import Path

ts = pytest.importorskip('tensorstore')


def attributes(version: str, names: str) -> dict[str, Any]:
    axes = [{'name': name, 'type': 'channel' if name == 'c' else 'space'} for name in names]
    datasets = []
    for level in range(3):
        scale: dict[str, Any] = {
            'type': 'scale', 'scale': [1.0 if name == 'c' else 0.5 * 2**level for name in names],
        }  # fmt: skip
        if version == '0.6':
            scale |= {'input': str(level), 'output': 'physical'}
        datasets.append({'path': str(level), 'coordinateTransformations': [scale]})
    multiscale: dict[str, Any] = {'name': 'image', 'datasets': datasets}
    if version == '0.6':
        multiscale['coordinateSystems'] = [{'name': 'physical', 'axes': axes}]
    else:
        multiscale['axes'] = axes
    if version == '0.4':
        return {'multiscales': [{**multiscale, 'version': '0.4'}]}
    return {'ome': {'version': version, 'multiscales': [multiscale]}}


def spec(path: Path, version: str, shape: tuple[int, ...], dtype: str, *, sharded: bool) -> dict[str, Any]:
    kvstore = {'driver': 'file', 'path': str(path)}
    chunks = [1] * (len(shape) - 2) + [128, 128]
    if version == '0.4':
        compressor = {'id': 'blosc', 'cname': 'zstd', 'clevel': 1, 'shuffle': 1}
        metadata: dict[str, Any] = {
            'shape': shape, 'chunks': chunks, 'dtype': np.dtype(dtype).str, 'compressor': compressor,
            'dimension_separator': '/',
        }  # fmt: skip
        return {'driver': 'zarr', 'kvstore': kvstore, 'metadata': metadata}
    codecs: list[dict[str, Any]] = [{'name': 'bytes', 'configuration': {'endian': 'little'}}]
    codecs.append({'name': 'zstd', 'configuration': {'level': 1}})
    grid = chunks
    if sharded:
        grid = [*chunks[:-2], 256, 256]
        inner = {'chunk_shape': chunks, 'codecs': codecs}
        codecs = [{'name': 'sharding_indexed', 'configuration': inner}]
    chunk_grid = {'name': 'regular', 'configuration': {'chunk_shape': grid}}
    metadata = {'shape': shape, 'data_type': dtype, 'codecs': codecs, 'chunk_grid': chunk_grid}
    return {'driver': 'zarr3', 'kvstore': kvstore, 'metadata': metadata}


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
@pytest.mark.parametrize(
    ('version', 'sharded'), [('0.4', False), ('0.5', False), ('0.5', True), ('0.6', False), ('0.6', True)]
)
def test_images_of_tensorstore(tmp_path: Path, version: str, dtype: str, sharded: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2, 600, 700)).astype(dtype)
    folder = tmp_path / 'a.zarr'
    zarr_format: Any = 2 if version == '0.4' else 3
    zarr.open_group(folder, mode='w', zarr_format=zarr_format, attributes=attributes(version, 'cyx'))
    levels = halves(pixels, 2, 1, 2)
    for number, level in enumerate(levels):
        there = ts.open(
            spec(folder / str(number), version, level.shape, dtype, sharded=sharded), create=True
        ).result()
        there.write(level).result()
    source = opened(folder)
    assert source.getMetadata()['IndexRange'] == {'IndexC': 2}
    for frame in range(2):
        for number, step in enumerate((1, 2, 4)):
            found = level_tile(source, step, frame=frame)[..., 0]
            np.testing.assert_array_equal(found, levels[number][frame])


# itkwasm, which ngff-zarr makes its levels with, does what NumPy 2.5 deprecates.
@pytest.mark.filterwarnings('ignore:Setting the shape on a NumPy array:DeprecationWarning')
@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
@pytest.mark.parametrize('sharded', [False, True])
def test_images_of_ngff_zarr(tmp_path: Path, picture: np.ndarray, version: str, sharded: bool) -> None:
    nz = pytest.importorskip('ngff_zarr')
    image = nz.to_ngff_image(picture[..., 0], dims=['y', 'x'], scale={'y': 0.25, 'x': 0.5})
    multiscales = nz.to_multiscales(image, scale_factors=[2], chunks=64)
    options: dict[str, Any] = {'chunks_per_shard': 2} if sharded and version != '0.4' else {}
    try:
        nz.to_ngff_zarr(str(tmp_path / 'a.ome.zarr'), multiscales, version=version, **options)
    except ValueError as error:
        pytest.skip(f'this ngff-zarr does not write {version}: {error}')
    np.testing.assert_array_equal(region(opened(tmp_path / 'a.ome.zarr'))[..., 0], picture[..., 0])


def test_plates_of_ome_zarr(tmp_path: Path, picture: np.ndarray) -> None:
    writer = pytest.importorskip('ome_zarr.writer')
    formats = pytest.importorskip('ome_zarr.format')
    for version in (formats.FormatV04(), formats.FormatV05()):
        folder = tmp_path / f'{version.version}.zarr'
        root = zarr.open_group(folder, mode='w', zarr_format=version.zarr_format)
        wells = ['A/1', 'A/2', 'B/1']
        writer.write_plate_metadata(root, ['A', 'B'], ['1', '2'], wells, fmt=version)
        expected = []
        for number, path in enumerate(wells):
            well = root.require_group(path)
            writer.write_well_metadata(well, ['0', '1'], fmt=version)
            for field in range(2):
                expected.append(np.roll(picture[:200, :300, 0], 7 * number + field, axis=1))
                writer.write_image(expected[-1], well.require_group(str(field)), axes='yx', fmt=version)
        source = opened(folder)
        frames = source.getMetadata()['frames']
        assert [(frame['Row'], frame['Column'], frame['Field']) for frame in frames[:-1]] == [
            (*path.split('/'), field) for path in wells for field in (0, 1)
        ]
        for number, pixels in enumerate(expected):
            np.testing.assert_array_equal(region(source, frame=number)[..., 0], pixels)
