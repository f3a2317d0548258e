"""What large-image-source-zarr 1.35.6 gets wrong when it reads, each as a test; others lie beside them.

Stores of every kind are in test_stores.py and test_remote.py; levels by three and along z, collections of
different sizes, labels and small gray associated images in test_layouts.py.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.images import decoded, opened, region, write
from support.plates import value, write_plate

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(5)


def edit(folder: Path, change: Any) -> Path:
    """Change the attributes of a v2 image."""
    document = json.loads((folder / '.zattrs').read_text())
    change(document)
    (folder / '.zattrs').write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize('zarr_format', [2, 3])
def test_without_omero_axes_are_still_those_of_the_metadata(tmp_path: Path, zarr_format: Any) -> None:
    pixels = RANDOM.integers(0, 255, (1, 2, 3, 40, 50)).astype('uint8')
    source = opened(write(tmp_path / 'a.zarr', [pixels], 'tczyx', zarr_format=zarr_format))
    metadata = source.getMetadata()
    assert (metadata['bandCount'], source.frames) == (1, 6)
    assert metadata['IndexRange'] == {'IndexC': 2, 'IndexZ': 3}
    for number, frame in enumerate(metadata['frames']):
        expected = pixels[0, frame['IndexC'], frame['IndexZ']]
        np.testing.assert_array_equal(region(source, frame=number)[..., 0], expected)


def test_a_stack_with_more_planes_than_rows(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 255, (500, 100, 120)).astype('uint8')
    source = opened(write(tmp_path / 'a.zarr', [pixels], 'zyx', chunks=(50, 100, 120)))
    assert (source.sizeX, source.sizeY, source.frames) == (120, 100, 500)
    np.testing.assert_array_equal(region(source, frame=321)[..., 0], pixels[321])


@pytest.mark.parametrize('channels', [[{}, {'label': 'DAPI'}], [{'color': '00FF00'}, {}], [None, 3]])
def test_channels_without_labels(tmp_path: Path, channels: list[Any]) -> None:
    pixels = RANDOM.integers(0, 255, (2, 40, 50)).astype('uint8')
    source = opened(write(tmp_path / 'a.zarr', [pixels], 'cyx', zarr_format=2, omero={'channels': channels}))
    assert source.frames == 2
    np.testing.assert_array_equal(region(source, frame=1)[..., 0], pixels[1])


def test_names_that_begin_with_channel_are_kept(tmp_path: Path) -> None:
    pixels = np.zeros((2, 40, 50), 'uint8')
    omero = {'channels': [{'label': 'Channel Red', 'color': 'FF0000'}, {'label': 'Channel 7'}]}
    source = opened(write(tmp_path / 'a.zarr', [pixels], 'cyx', omero=omero))
    assert source.getMetadata()['channels'] == ['Channel Red', 'Channel 7']


@pytest.mark.parametrize('version', ['latest', '0.4.1', '0.6.dev3', 0.4, None, ['0.4']])
def test_any_version(tmp_path: Path, version: Any) -> None:
    pixels = RANDOM.integers(0, 255, (40, 50)).astype('uint8')
    folder = write(tmp_path / 'a.zarr', [pixels], 'yx', zarr_format=2)
    edit(folder, lambda document: document['multiscales'][0].update(version=version))
    np.testing.assert_array_equal(region(opened(folder))[..., 0], pixels)


@pytest.mark.parametrize(
    ('unit', 'millimeters'),
    [('nanometer', 5e-7), ('micrometer', 5e-4), ('millimeter', 0.5), ('centimeter', 5.0), ('inch', 12.7),
     ('angstrom', 5e-8), ('picometer', 5e-10)],
)  # fmt: skip
def test_units(tmp_path: Path, unit: str, millimeters: float) -> None:
    source = opened(write(tmp_path / 'a.zarr', [np.zeros((40, 50), 'uint8')], 'yx', unit=unit))
    metadata = source.getMetadata()
    assert (metadata['mm_x'], metadata['mm_y']) == pytest.approx((millimeters, millimeters))


def test_transforms_of_the_multiscale_count(tmp_path: Path) -> None:
    folder = write(tmp_path / 'a.zarr', [np.zeros((40, 50), 'uint8')], 'yx', zarr_format=2)
    scale = [{'type': 'scale', 'scale': [3.0, 4.0]}]
    edit(folder, lambda document: document['multiscales'][0].update(coordinateTransformations=scale))
    metadata = opened(folder).getMetadata()
    assert (metadata['mm_y'], metadata['mm_x']) == pytest.approx((1.5e-3, 2e-3))


def test_one_field_of_another_size_does_not_become_the_plate(tmp_path: Path) -> None:
    folder = write_plate(tmp_path / 'p', 2, 2, 1, count=1)
    array = folder / 'B' / '1' / '0' / '0'
    document = json.loads((array / '.zarray').read_text())
    document.update(shape=[100, 30], chunks=[100, 30])
    (array / '.zarray').write_text(json.dumps(document))
    (array / '0.0').write_bytes(np.full((100, 30), 7, '<u2').tobytes())
    source = opened(folder)
    frames = source.getMetadata()['frames']
    assert [(frame['Row'], frame['Column']) for frame in frames[:4]] == [
        ('A', '1'), ('A', '2'), ('B', '1'), ('B', '2')
    ]  # fmt: skip
    assert [int(region(source, frame=n)[5, 5, 0]) for n in (0, 1, 2, 3)] == [
        value(0, 0, 0), value(0, 1, 0), 7, value(1, 1, 0)
    ]  # fmt: skip
    assert not region(source, frame=2)[:, 30:].any()


@pytest.mark.parametrize('side', [10, 63])
def test_small_gray_labels_are_shown(tmp_path: Path, side: int) -> None:
    import zarr

    folder = write(tmp_path / 'a.zarr', [np.zeros((80, 80), 'uint8')], 'yx', zarr_format=2)
    zarr.open_group(folder / 'labels', mode='w', zarr_format=2, attributes={'labels': ['cells']})
    write(folder / 'labels' / 'cells', [np.ones((side, side), 'uint8')], 'yx', zarr_format=2)
    source = opened(folder)
    assert source.frames == 1
    image = decoded(source.getAssociatedImage('label_cells', encoding='PNG')[0])
    assert image.shape[:2] == (side, side)
