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


def same_as_zarr(folder: Path, **options: Any) -> None:
    """Hold each level of what is opened against zarr's own reading."""
    source = opened(folder, **options)
    for series in source._series:
        for described, level in zip(series.multiscale.levels, series.levels, strict=True):
            array: Any = zarr.open_array(folder / (series.path or '') / described.path, mode='r')
            found = level.read(tuple(slice(0, side) for side in level.shape))
            np.testing.assert_array_equal(found, array[...])


# itkwasm, which ngff-zarr makes its levels with, does what NumPy 2.5 deprecates.
@pytest.mark.filterwarnings('ignore:Setting the shape on a NumPy array:DeprecationWarning')
@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
@pytest.mark.parametrize('placed', [False, True])
def test_plates_of_ngff_zarr(tmp_path: Path, picture: np.ndarray, version: str, placed: bool) -> None:
    nz = pytest.importorskip('ngff_zarr')
    plate = nz.Plate(
        columns=[nz.PlateColumn(name='1'), nz.PlateColumn(name='2')],
        rows=[nz.PlateRow(name='A'), nz.PlateRow(name='B')],
        wells=[
            nz.PlateWell(path=f'{row}/{column}', rowIndex='AB'.index(row), columnIndex='12'.index(column))
            for row in 'AB'
            for column in '12'
        ],
        field_count=2,
        version=version,
    )
    folder = tmp_path / 'plate.ome.zarr'
    fields = {}
    try:
        nz.to_hcs_zarr(nz.HCSPlate(store=str(folder), plate_metadata=plate), str(folder))
        for row, column, field in [(r, c, f) for r in 'AB' for c in '12' for f in (0, 1)]:
            left = 100 * '12'.index(column) + 150 * field
            pixels = picture[:160, left : left + 200, 'AB'.index(row)]
            corner = {'translation': {'y': 0.0, 'x': 75.0 * field}} if placed else {}
            image = nz.to_ngff_image(pixels, dims=['y', 'x'], scale={'y': 0.5, 'x': 0.5}, **corner)
            multiscales = nz.to_multiscales(image, scale_factors=[2], chunks=64)
            nz.write_hcs_well_image(
                str(folder), multiscales, plate, row, column, field_index=field, version=version
            )
            fields[row, column, field] = pixels
    except ValueError as error:
        pytest.skip(f'this ngff-zarr does not write plates of {version}: {error}')
    source = opened(folder)
    frames = source.getMetadata()['frames']
    assert [(one['Row'], one['Column'], one['Field']) for one in frames[:-1]] == list(fields)
    for number, (place, pixels) in enumerate(fields.items()):
        np.testing.assert_array_equal(region(source, frame=number)[..., 0], pixels)
        same_as_zarr(folder, series='/'.join(map(str, place)))
    plate_source = opened(folder, series='overview')
    whole = region(plate_source)[..., 0]
    step = 150 if placed else 200
    for field in (0, 1):
        cell = whole[:160, step * field : step * field + 200]
        seen = 150 if placed and not field else 200  # the second one lies on the first
        np.testing.assert_array_equal(cell[:, :seen], fields['A', '1', field][:, :seen])
    np.testing.assert_array_equal(whole[-160:, -200:], fields['B', '2', 1])


@pytest.mark.parametrize(('zarr_format', 'sharded'), [(2, False), (3, False), (3, True)])
@pytest.mark.filterwarnings('ignore:The input Dask array will be rechunked')
def test_images_of_bioio(tmp_path: Path, zarr_format: Any, sharded: bool) -> None:
    writers = pytest.importorskip(
        'bioio_ome_zarr.writers', reason='needs bioio-ome-zarr, which brings an s3fs and botocore of its own'
    )
    pixels = np.random.default_rng(0).integers(0, 4000, (2, 3, 2, 200, 260)).astype('uint16')
    folder = tmp_path / 'a.ome.zarr'
    options: dict[str, Any] = {'shard_shape': (1, 1, 2, 256, 256)} if sharded else {}
    writer = writers.OMEZarrWriter(
        str(folder), [pixels.shape, (2, 3, 2, 100, 130)], pixels.dtype, chunk_shape=(1, 1, 1, 64, 64),
        zarr_format=zarr_format, axes_units=[None, None, *['micrometer'] * 3],
        physical_pixel_size=[1, 1, 2, 0.5, 0.25],
        channels=[writers.Channel(label=name, color='00FF00') for name in ('one', 'two', 'three')], **options,
    )  # fmt: skip
    writer.write_full_volume(pixels)
    metadata = opened(folder).getMetadata()
    assert metadata['channels'] == ['one', 'two', 'three']
    assert (metadata['mm_x'], metadata['mm_y']) == (0.00025, 0.0005)
    source = opened(folder)
    for number, frame in enumerate(metadata['frames']):
        expected = pixels[frame['IndexT'], frame['IndexC'], frame['IndexZ']]
        np.testing.assert_array_equal(region(source, frame=number)[..., 0], expected)
    same_as_zarr(folder)


@pytest.mark.parametrize('sharded', [False, True])
@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
def test_plates_of_tensorstore(tmp_path: Path, version: str, sharded: bool) -> None:
    if sharded and version == '0.4':
        pytest.skip('zarr v2 has no shards')
    zarr_format: Any = 2 if version == '0.4' else 3
    wells: Any = [{'path': f'A/{column}', 'rowIndex': 0, 'columnIndex': column} for column in range(3)]
    plate: Any = {'rows': [{'name': 'A'}], 'columns': [{'name': str(at)} for at in range(3)], 'wells': wells}

    def group(path: Path, content: Any) -> None:
        content = (
            content if version == '0.4' or 'ome' in content else {'ome': {'version': version, **content}}
        )
        zarr.open_group(path, mode='w', zarr_format=zarr_format, attributes=content)

    folder = tmp_path / 'p.zarr'
    group(folder, {'plate': plate})
    fields: list[np.ndarray] = []
    for well in wells:
        group(folder / well['path'], {'well': {'images': [{'path': '0'}, {'path': '1'}]}})
        for field in '01':
            pixels = np.random.default_rng(len(fields)).integers(1, 60_000, (2, 300, 280)).astype('uint16')
            group(folder / well['path'] / field, attributes(version, 'cyx'))
            for number, level in enumerate(halves(pixels, 2, 1, 2)):
                where = folder / well['path'] / field / str(number)
                described = spec(where, version, level.shape, 'uint16', sharded=sharded)
                ts.open(described, create=True).result().write(level).result()
            fields.append(pixels)
    source = opened(folder)
    for frame, record in enumerate(source.getMetadata()['frames'][:-2]):
        expected = fields[record['IndexXY']][record['IndexC']]
        np.testing.assert_array_equal(region(source, frame=frame)[..., 0], expected)
    same_as_zarr(folder, series=4)
    whole = opened(folder, series='overview')
    for channel in range(2):
        pixels = region(whole, frame=channel)[..., 0]
        np.testing.assert_array_equal(pixels[:300, :280], fields[0][channel])
        np.testing.assert_array_equal(pixels[:300, -280:], fields[5][channel])
