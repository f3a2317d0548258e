"""Labels: their colors, labels as frames that follow those of the image, and labels of another resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from large_image.exceptions import TileSourceError

from girder_zarr.image.hierarchy.labels import Palette
from support.images import decoded, halves, level_tile, opened, region, write

if TYPE_CHECKING:
    from pathlib import Path

RED, HALF_GREEN = [255, 0, 0, 255], [0, 255, 0, 128]


def labelled(
    folder: Path, image: np.ndarray, axes: str, labels: dict[str, tuple[np.ndarray, str, Any]], **kwargs: Any
) -> Path:
    """Write an image with labels; for each its pixels, axes and ``image-label``."""
    write(folder, [image], axes, zarr_format=2, **kwargs)
    zarr.open_group(folder / 'labels', mode='w', zarr_format=2, attributes={'labels': list(labels)})
    for name, (pixels, names, said) in labels.items():
        y, x = names.index('y'), names.index('x')
        levels = halves(pixels, 1, y, x)
        attributes = {} if said is None else {'image-label': said}
        write(folder / 'labels' / name, levels, names, zarr_format=2, **{**kwargs, **attributes})
    return folder


def cells(shape: tuple[int, int], dtype: str, largest: int) -> np.ndarray:
    values = np.zeros(shape, dtype)
    values[10:40, 20:60], values[40:64, 64:128], values[100:120, 100:140] = 1, 2, largest
    return values


@pytest.mark.parametrize(
    ('dtype', 'largest'), [('uint8', 255), ('int32', 70_000), ('uint32', 2**32 - 1), ('uint64', 2**64 - 1)]
)
def test_labels_follow_the_frames_of_the_image(tmp_path: Path, dtype: str, largest: int) -> None:
    image = np.random.default_rng(0).integers(0, 4000, (2, 3, 128, 160)).astype('uint16')
    stack = np.stack([np.roll(cells((128, 160), dtype, largest), z, axis=1) for z in range(3)])
    flat = cells((128, 160), dtype, largest)
    said = {'colors': [{'label-value': 1, 'rgba': RED}, {'label-value': largest, 'rgba': HALF_GREEN}]}
    folder = labelled(
        tmp_path / 'a.zarr', image, 'czyx', {'deep': (stack, 'zyx', said), 'flat': (flat, 'yx', None)}
    )
    plain, source = opened(folder), opened(folder, labels=True)
    before, after = plain.getMetadata(), source.getMetadata()
    assert (plain.frames, source.frames) == (6, 18)
    assert after['IndexRange'] == {**before['IndexRange'], 'IndexLABEL': 3}
    assert after['IndexStride'] == {**before['IndexStride'], 'IndexLABEL': 6}
    for frame in range(6):
        kept = {key: value for key, value in after['frames'][frame].items() if key != 'IndexLABEL'}
        assert kept == before['frames'][frame]
        np.testing.assert_array_equal(region(source, frame=frame), region(plain, frame=frame))
    for number, record in enumerate(after['frames'][6:], 6):
        expected = stack[record['IndexZ']] if record['Label'] == 'deep' else flat
        found = region(source, frame=number)[..., 0]
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(level_tile(source, 1, frame=number)[..., 0], expected)
    shown = decoded(source.getRegion(frame=6, encoding='PNG')[0])
    assert shown[20, 30].tolist() == RED
    assert shown[110, 120].tolist() == HALF_GREEN
    assert shown[0, 0].tolist() == [0, 0, 0, 0]
    assert shown[50, 100, 3] == 255
    tile = decoded(opened(folder, labels=True, encoding='PNG').getTile(0, 0, 0, frame=6))
    np.testing.assert_array_equal(tile[50, 100], shown[50, 100])
    assert decoded(source.getTile(0, 0, 0, frame=6)).shape[2] == 3  # JPEG knows no transparency
    # The image looks as it does without labels.
    np.testing.assert_array_equal(
        decoded(source.getRegion(frame=3, encoding='PNG')[0]),
        decoded(plain.getRegion(frame=3, encoding='PNG')[0]),
    )


@pytest.mark.parametrize('factor', [2, 4])
def test_labels_of_a_lower_resolution_cover_the_image(tmp_path: Path, factor: int) -> None:
    image = np.zeros((256, 320), 'uint8')
    small = np.arange((256 // factor) * (320 // factor), dtype='uint32').reshape(256 // factor, -1)
    folder = labelled(tmp_path / 'a.zarr', image, 'yx', {'a': (small, 'yx', {})})
    # As ``write`` describes it, both have the same pixel size; that cannot be, and a label covers its image.
    source = opened(folder, labels='true')
    expected = np.repeat(np.repeat(small, factor, 0), factor, 1)
    covers = region(source, frame=1)[..., 0]
    assert covers.shape == expected.shape
    group = zarr.open_group(folder / 'labels' / 'a', mode='r+')
    described: Any = dict(group.attrs)
    for dataset in described['multiscales'][0]['datasets']:
        dataset['coordinateTransformations'][0]['scale'] = [
            value * factor for value in dataset['coordinateTransformations'][0]['scale']
        ]
    group.attrs.update(described)
    np.testing.assert_array_equal(region(opened(folder, labels=True), frame=1)[..., 0], expected)


def test_a_label_of_a_part_of_the_image_lies_where_it_says(tmp_path: Path) -> None:
    image = np.zeros((200, 300), 'uint8')
    part = np.arange(1, 50 * 60 + 1, dtype='uint16').reshape(50, 60)
    folder = labelled(tmp_path / 'a.zarr', image, 'yx', {'a': (part, 'yx', {})})
    group = zarr.open_group(folder / 'labels' / 'a', mode='r+')
    described: Any = dict(group.attrs)
    for dataset in described['multiscales'][0]['datasets']:
        dataset['coordinateTransformations'].append({'type': 'translation', 'translation': [20.0, 45.0]})
    group.attrs.update(described)
    expected = np.zeros((200, 300), 'uint16')
    expected[40:90, 90:150] = part
    source = opened(folder, labels=True)
    np.testing.assert_array_equal(region(source, frame=1)[..., 0], expected)
    corner = {'left': 100, 'top': 30, 'width': 60, 'height': 70}
    np.testing.assert_array_equal(region(source, frame=1, region=corner)[..., 0], expected[30:100, 100:160])
    np.testing.assert_array_equal(region(source, frame=0), np.zeros((200, 300, 1), 'uint8'))


def test_lower_levels_of_labels_are_never_mixed(tmp_path: Path) -> None:
    image = np.zeros((1024, 1024), 'uint8')
    values = np.random.default_rng(1).choice(np.array([0, 5, 1_000_000], 'uint32'), (1024, 1024))
    folder = labelled(tmp_path / 'a.zarr', image, 'yx', {'a': (values, 'yx', {})}, chunks=(256, 256))
    source = opened(folder, labels=True)
    for step in (1, 2, 4):
        tile = level_tile(source, step, frame=1)[..., 0]
        np.testing.assert_array_equal(tile, values[::step, ::step])


def test_a_label_by_itself_and_its_style(tmp_path: Path) -> None:
    values = cells((128, 160), 'uint16', 9)
    said = {'colors': [{'label-value': 9, 'rgba': RED}], 'properties': [{'label-value': 9, 'class': 'odd'}]}
    folder = labelled(tmp_path / 'a.zarr', np.zeros((128, 160), 'uint8'), 'yx', {'a': (values, 'yx', said)})
    inside = opened(folder).getInternalMetadata()['zarr']
    assert inside['labels'] == [
        {'name': 'a', 'path': 'labels/a', 'shape': [128, 160], 'dtype': 'uint16', **said},
    ]
    for source in (opened(folder, series='label_a'), opened(folder, series='labels/a'),
                   opened(folder / 'labels' / 'a'), opened(folder / 'labels')):  # fmt: skip
        assert (source.dtype, source.frames, len(source._series[0].levels)) == (np.uint16, 1, 2)
        np.testing.assert_array_equal(region(source)[..., 0], values)
        picture = decoded(source.getThumbnail(width=160, height=128, encoding='PNG')[0])
        assert picture[110, 120].tolist() == RED
        assert picture[0, 0].tolist() == [0, 0, 0, 0]
    style = {'bands': [{'frame': 1, 'palette': ['#000000', '#0000ff'], 'min': 0, 'max': 9}]}
    styled = opened(folder, labels=True, style=style, encoding='PNG')
    assert decoded(styled.getTile(0, 0, 0))[110, 120, :3].tolist() == [0, 0, 255]


def test_labels_without_room_or_sense(tmp_path: Path, picture: np.ndarray) -> None:
    folder = write(tmp_path / 'none.zarr', [picture[..., 0]], 'yx', zarr_format=2)
    assert opened(folder, labels=True).frames == 1
    with pytest.raises(TileSourceError, match='true or false'):
        opened(folder, labels='perhaps')
    labelled(tmp_path / 'a.zarr', picture[..., 0], 'yx', {'gone': (cells((480, 640), 'uint8', 3), 'yx', {})})
    (tmp_path / 'a.zarr' / 'labels' / 'gone' / '.zattrs').unlink()
    source = opened(tmp_path / 'a.zarr', labels=True)
    np.testing.assert_array_equal(region(source, frame=0)[..., 0], picture[..., 0])
    with pytest.raises(TileSourceError, match='labels/gone'):
        region(source, frame=1)


def test_a_label_without_rows_is_named(tmp_path: Path, picture: np.ndarray) -> None:
    values = cells((480, 640), 'uint8', 3)
    labels: dict[str, tuple[np.ndarray, str, Any]] = {'gone': (values, 'yx', {}), 'there': (values, 'yx', {})}
    labelled(tmp_path / 'a.zarr', picture[..., 0], 'yx', labels)
    attributes = tmp_path / 'a.zarr' / 'labels' / 'gone' / '.zattrs'
    attributes.write_text(attributes.read_text().replace('"name": "y"', '"name": "z"'))
    assert '"name": "z"' in attributes.read_text()
    source = opened(tmp_path / 'a.zarr', labels=True)
    np.testing.assert_array_equal(region(source, frame=0)[..., 0], picture[..., 0])
    with pytest.raises(TileSourceError, match='labels/gone: Expected an image with an x and a y axis; found'):
        region(source, frame=1)
    np.testing.assert_array_equal(region(source, frame=2)[..., 0], values)


@settings(deadline=None)
@given(
    values=st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=20),
    said=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                'label-value': st.integers(-(2**70), 2**70) | st.floats() | st.none() | st.text(max_size=3),
                'rgba': st.lists(st.integers(-5, 300) | st.none(), min_size=3, max_size=5) | st.none(),
            },
        ),
        max_size=8,
    ),
)
def test_colors_are_stable_whatever_the_metadata_says(values: list[int], said: list[Any]) -> None:
    for dtype in ('uint64', 'int64'):
        info = np.iinfo(dtype)
        array = np.array([[value for value in values if info.min <= value <= info.max] or [0]], dtype)
        colors = Palette({'colors': said}).color(array)
        assert colors.shape == (*array.shape, 4)
        alone = [Palette({'colors': said}).color(array[:, at : at + 1])[0, 0] for at in range(array.shape[1])]
        np.testing.assert_array_equal(colors[0], alone)
        plain = Palette(None).color(array)
        assert ((plain[..., 3] == 0) == (array == 0)).all()
