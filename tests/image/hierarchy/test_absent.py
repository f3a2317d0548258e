"""Hierarchies whose metadata promises arrays or chunks that are not there."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import girder_zarr.image as gz
from girder_zarr.errors import UnreadableImageError

if TYPE_CHECKING:
    from pathlib import Path

#: Its types say that an array may be a group, and JSON anything.
ZARR: Any = zarr

PIXELS = np.random.default_rng(0).integers(1, 255, (3, 600, 700), np.uint8)


def stored(path: Path, declared: list[str], names: list[str], version: int, axes: str = 'zyx') -> Path:
    group = ZARR.open_group(path, mode='w', zarr_format=version)
    for step, name in enumerate(names):
        pixels = PIXELS[:, :: 2**step, :: 2**step]
        group.create_array(name, data=pixels, chunks=(1, 256, 256))
    item: dict[str, Any] = {
        'axes': [{'name': name, 'type': 'space', 'unit': 'micrometer'} for name in axes],
        'datasets': [
            {'path': name, 'coordinateTransformations': [{'type': 'scale', 'scale': [1] * len(axes)}]}
            for name in declared
        ],
    }
    if version == 2:
        group.attrs['multiscales'] = [{**item, 'version': '0.4'}]
    else:
        group.attrs['ome'] = {'version': '0.5', 'multiscales': [item]}
    return path


def problems(source: gz.ZarrFileTileSource) -> list[str]:
    found: list[str] = source.getInternalMetadata()['zarr']['problems']
    return found


@pytest.mark.parametrize('version', [2, 3])
@pytest.mark.parametrize('suffix', ['', '.zip'])
def test_arrays_that_exist_are_shown_for_levels_that_do_not(
    tmp_path: Path, version: int, suffix: str
) -> None:
    path = stored(tmp_path / 'image.zarr', ['0', '1'], ['s0', 's1', 's2'], version)
    if suffix:
        path = shutil.make_archive(str(tmp_path / 'image'), 'zip', path)  # type: ignore[assignment]
    source = gz.open(str(path))
    assert (source.sizeX, source.sizeY) == (700, 600)
    assert (source.getRegion(format='numpy', frame=1)[0][..., 0] == PIXELS[1]).all()
    assert [level['path'] for level in source.getInternalMetadata()['zarr']['levels']] == ['s0', 's1', 's2']
    assert any("'0', '1') exists; shown is 's0', 's1', 's2'" in one for one in problems(source))
    assert source.getMetadata()['mm_x'] is None, 'the size belongs to the array that is missing'


def test_arrays_of_other_dimensions_are_guessed(tmp_path: Path) -> None:
    source = gz.open(str(stored(tmp_path / 'image.zarr', ['0'], ['data'], 3, axes='tzyx')))
    assert (source.sizeX, source.sizeY) == (700, 600)
    assert any('None of the levels' in one for one in problems(source))


def test_no_array_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match='found no array'):
        gz.open(str(stored(tmp_path / 'image.zarr', ['0'], [], 3)))


@pytest.mark.parametrize('version', [2, 3])
def test_an_image_without_any_chunk_says_so(tmp_path: Path, version: int) -> None:
    path = stored(tmp_path / 'image.zarr', ['0', '1'], ['0', '1'], version)
    assert not any('No chunk' in one for one in problems(gz.open(str(path))))
    for name in ('0', '1'):
        for entry in list((path / name).iterdir()):
            if entry.name == 'c':
                shutil.rmtree(entry)
            elif not entry.name.startswith('.z') and entry.name != 'zarr.json':
                entry.unlink()
    source = gz.open(str(path), noCache=True)
    expected = 'c/0/0/0' if version == 3 else '0.0.0'
    assert any('No chunk was found' in one and expected in one for one in problems(source))
    (path / '0' / 'elsewhere').mkdir()
    (path / '0' / 'elsewhere' / '0').write_bytes(b'')
    assert any('No chunk was found' in one for one in problems(gz.open(str(path), noCache=True)))


@pytest.mark.parametrize('version', [2, 3])
@pytest.mark.parametrize('datasets', [[], None])
def test_a_multiscale_that_names_no_levels_shows_the_arrays(
    tmp_path: Path, version: int, datasets: Any
) -> None:
    path = stored(tmp_path / 'image.zarr', [], ['0', '1'], version)
    group = ZARR.open_group(path, mode='r+')
    attributes = dict(group.attrs)
    item = (attributes['ome'] if version == 3 else attributes)['multiscales'][0]
    item['datasets'] = datasets
    group.attrs.update(attributes)
    source = gz.open(str(path))
    assert (source.getRegion(format='numpy', frame=1)[0][..., 0] == PIXELS[1]).all()
    assert source.getMetadata()['mm_x'] is None
    assert "The metadata names no levels; shown is '0', '1'." in problems(source)


def test_nothing_to_show_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match='1 to 64 datasets; found none'):
        gz.open(str(stored(tmp_path / 'image.zarr', [], [], 3)))


@pytest.mark.parametrize('declared', [['0', '1', 'x'], ['x', '0']])
def test_levels_that_do_not_exist_are_named(tmp_path: Path, declared: list[str]) -> None:
    source = gz.open(str(stored(tmp_path / 'image.zarr', declared, ['0', '1'], 3)))
    assert source.sizeX == 700
    assert "Levels that the metadata names do not exist: 'x'." in problems(source)


def test_a_path_that_begins_with_a_slash_counts_from_the_image(tmp_path: Path) -> None:
    path = stored(tmp_path / 'image.zarr', ['0'], ['0'], 2)
    group = ZARR.open_group(path, mode='r+')
    item = group.attrs['multiscales'][0]
    item['datasets'][0]['path'] = '/0/'
    group.attrs['multiscales'] = [item]
    assert gz.open(str(path)).sizeX == 700


@pytest.mark.parametrize('axes', [[], ['depth', 'row', 'col']])
def test_axes_without_a_word_or_in_capitals(tmp_path: Path, axes: list[str]) -> None:
    path = stored(tmp_path / 'image.zarr', ['0'], ['0'], 2)
    group = ZARR.open_group(path, mode='r+')
    item = group.attrs['multiscales'][0]
    item['axes'] = [{'name': name.upper(), 'type': 'Space', 'unit': 'micrometer'} for name in axes]
    group.attrs['multiscales'] = [item]
    source = gz.open(str(path))
    assert source.getMetadata()['IndexRange'] == {'IndexZ': 3}
    assert source.getMetadata()['mm_x'] == (0.001 if axes else None)
