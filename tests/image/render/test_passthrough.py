"""Chunks that are stored as JPEG are served as they are, where they are exactly the tile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
from large_image.exceptions import TileSourceError

import girder_zarr.image as gz

if TYPE_CHECKING:
    from pathlib import Path


def stored(folder: Path, picture: np.ndarray, options: dict[str, Any] | None = None) -> list[bytes]:
    """Write the picture's upper left 400 x 600 pixels as chunks of 256 x 256."""
    folder.mkdir()
    document = {
        'zarr_format': 2, 'shape': [400, 600, 3], 'chunks': [256, 256, 3], 'dtype': '|u1', 'order': 'C',
        'compressor': {'id': 'imagecodecs_jpeg', **(options or {})}, 'filters': None, 'fill_value': 0,
    }  # fmt: skip
    (folder / '.zarray').write_text(json.dumps(document))
    chunks = []
    for y, x in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1)):
        pixels = np.zeros((256, 256, 3), np.uint8)
        part = picture[y * 256 : min(400, y * 256 + 256), x * 256 : min(600, x * 256 + 256)]
        pixels[: part.shape[0], : part.shape[1]] = part
        chunks.append(bytes(imagecodecs.jpeg8_encode(pixels, level=80)))
        (folder / f'{y}.{x}.0').write_bytes(chunks[-1])
    return chunks


def test_the_stored_bytes_are_the_tile(tmp_path: Path, picture: np.ndarray) -> None:
    chunks = stored(tmp_path / 'a.zarr', picture)
    source = gz.open(tmp_path / 'a.zarr', noCache=True)
    level = source.levels - 1
    assert source.getTile(0, 0, level) == chunks[0]
    assert source.getTile(1, 0, level) == chunks[1]
    tile = source.getTile(1, 0, level, numpyAllowed='always')
    np.testing.assert_array_equal(tile, imagecodecs.jpeg8_decode(chunks[1]))
    edge = source.getTile(2, 0, level)  # the chunk goes on where the image has ended
    assert edge != chunks[2]
    assert imagecodecs.jpeg8_decode(edge).shape == (256, 256, 3)
    assert imagecodecs.jpeg8_decode(source.getTile(2, 1, level)).max() == 0  # not stored


@pytest.mark.parametrize(
    'options',
    [{'encoding': 'PNG'}, {'edge': '#f00'}, {'style': {'bands': [{'band': 1, 'palette': ['#000', '#f00']}]}}],
)
def test_what_is_asked_otherwise(tmp_path: Path, picture: np.ndarray, options: dict[str, Any]) -> None:
    chunks = stored(tmp_path / 'a.zarr', picture)
    source = gz.open(tmp_path / 'a.zarr', **options)
    assert source.getTile(0, 0, source.levels - 1) != chunks[0]


def test_bytes_that_are_another_picture_are_not_handed_on(tmp_path: Path, picture: np.ndarray) -> None:
    chunks = stored(tmp_path / 'a.zarr', picture)
    for other in (
        imagecodecs.jpeg8_encode(np.zeros((8, 8, 3), np.uint8)),
        imagecodecs.jpeg8_encode(np.zeros((256, 256), np.uint8)),
        b'<html>' + chunks[0],
        chunks[0][:-100],
        b'\xff\xd8\xff',
        b'',
    ):
        (tmp_path / 'a.zarr' / '0.0.0').write_bytes(other)
        source = gz.open(tmp_path / 'a.zarr', noCache=True)
        try:
            assert source.getTile(0, 0, source.levels - 1) != other
        except TileSourceError:
            continue
