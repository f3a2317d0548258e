"""A new image, added to by several threads and read meanwhile, against plain numpy arrays."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import girder_zarr.image as gz

#: Tiles lie in cells of this side, one in each, so that their order does not matter.
CELL = 40

places = st.tuples(st.integers(-2, 3), st.integers(-2, 3), st.integers(0, 2))
contents = st.fixed_dictionaries(
    {
        'height': st.integers(1, CELL),
        'width': st.integers(1, CELL),
        'frames': st.integers(1, 3),
        'colors': st.booleans(),
        'dtype': st.sampled_from(['uint8', 'uint8', 'uint16', 'uint32']),
        'mask': st.sampled_from([None, 'plane', 'whole']),
        'named': st.booleans(),
    }
)


def tile_of(place: tuple[int, int, int], content: dict[str, Any]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return pixels ``(t, y, x, band)`` and a mask ``(t, y, x)`` or ``(y, x)``."""
    rng = np.random.default_rng([value + 2 for value in place])
    bands = 3 if content['colors'] else 1
    shape = (content['frames'], content['height'], content['width'], bands)
    pixels = rng.integers(0, np.iinfo(content['dtype']).max, shape, content['dtype'])
    if content['mask'] is None:
        return pixels, None
    mask = rng.random(shape[:3]) > 0.3
    return pixels, mask[0] if content['mask'] == 'plane' else mask


def add(source: Any, place: tuple[int, int, int], content: dict[str, Any]) -> None:
    pixels, mask = tile_of(place, content)
    row, column, z = place
    axes = 'tyxs'
    if content['named']:
        # the same tile with its axes in another order
        axes, pixels = 'xsty', pixels.transpose(2, 3, 0, 1)
        if mask is not None and mask.ndim == 3:
            mask = mask.transpose(2, 0, 1)
        elif mask is not None:
            mask = mask.T
    source.addTile(pixels, column * CELL, row * CELL, mask=mask, axes=axes, z=z, z_value=z * 0.5)


def expected_of(tiles: dict[tuple[int, int, int], dict[str, Any]]) -> tuple[np.ndarray, int, int]:
    """Return ``(z, t, y, x, band)``, and the row and column of its first pixel."""
    made = {place: tile_of(place, content) for place, content in tiles.items()}
    top = min(0, *(row * CELL for row, _, _ in made), 0)
    left = min(0, *(column * CELL for _, column, _ in made), 0)
    bottom = max(place[0] * CELL + pixels.shape[1] for place, (pixels, _) in made.items())
    right = max(place[1] * CELL + pixels.shape[2] for place, (pixels, _) in made.items())
    frames = max(pixels.shape[0] for pixels, _ in made.values())
    bands = max(pixels.shape[3] for pixels, _ in made.values())
    dtype = np.result_type(*(pixels.dtype for pixels, _ in made.values()))
    depth = 1 + max(z for _, _, z in made)
    result = np.zeros((depth, frames, max(bottom, 0) - top, max(right, 0) - left, bands), dtype)
    for (row, column, z), (pixels, mask) in made.items():
        count, height, width, _ = pixels.shape
        y, x = row * CELL - top, column * CELL - left
        part = result[z, :count, y : y + height, x : x + width]
        chosen = np.ones(pixels.shape[:3], bool) if mask is None else np.broadcast_to(mask, pixels.shape[:3])
        part[chosen] = np.broadcast_to(pixels, part.shape)[chosen]
    return result, top, left


@given(
    st.dictionaries(places, contents, min_size=1, max_size=8),
    st.integers(1, 4),
    st.sampled_from([0, 10**8]),
    st.sampled_from(['', 'between']),
)
@settings(max_examples=60, deadline=None)
def test_threads_in_any_order_give_the_pixels_of_the_model(
    tiles: dict[tuple[int, int, int], dict[str, Any]], threads: int, memory: int, reading: str
) -> None:
    source = gz.new(memory=memory)
    errors: list[BaseException] = []

    def work(share: list[tuple[int, int, int]]) -> None:
        try:
            for place in share:
                add(source, place, tiles[place])
                if reading:
                    source.getRegion(format='numpy')
                    source.getMetadata()
        except BaseException as exc:  # noqa: BLE001 - it is shown below
            errors.append(exc)

    order = list(tiles)
    workers = [threading.Thread(target=work, args=(order[number::threads],)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []
    expected, top, left = expected_of(tiles)
    depth, frames, height, width, bands = expected.shape
    metadata = source.getMetadata()
    assert (metadata['sizeY'], metadata['sizeX'], metadata['bandCount']) == (height, width, bands)
    assert np.dtype(source.dtype) == expected.dtype
    listed = metadata.get('frames') or [{}]
    assert len(listed) == depth * frames
    for number, frame in enumerate(listed):
        found, _ = source.getRegion(frame=number, format='numpy')
        one = expected[frame.get('IndexZ', 0), frame.get('IndexT', 0)]
        np.testing.assert_array_equal(found.reshape(one.shape), one, err_msg=f'from {top}, {left} on')
    source.close()
