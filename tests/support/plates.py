"""Plates whose pixels tell the well and field."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.image.store.keystore import KeyStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIDE = 64


class Counted(KeyStore):
    """A store of which every read is counted, and what costs less by itself."""

    def __init__(self, inner: KeyStore) -> None:
        super().__init__(inner.name, inner.identity)
        self.inner, self.reads, self.looks, self.listings = inner, 0, 0, 0
        self.is_remote, self.has_fast_lookup = inner.is_remote, inner.has_fast_lookup

    def read(self, key: str, limit: int | None = None) -> bytes | None:
        self.reads += 1
        return self.inner.read(key, limit)

    def read_range(self, key: str, start: int, length: int) -> bytes | None:
        self.reads += 1
        return self.inner.read_range(key, start, length)

    def has(self, key: str) -> bool:
        self.looks += 1
        return self.inner.has(key)

    def names(self, folder: str) -> list[str]:
        self.listings += 1
        return self.inner.names(folder)

    def keys(self, prefix: str = '') -> Iterator[str]:
        return self.inner.keys(prefix)


def group(folder: Path, attributes: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / '.zgroup').write_text('{"zarr_format": 2}')
    (folder / '.zattrs').write_text(json.dumps(attributes))


def value(row: int, column: int, number: int) -> int:
    return 1000 * (row + 1) + 100 * (column + 1) + number + 1


def write_plate(
    folder: Path,
    rows: int,
    columns: int,
    fields: dict[tuple[int, int], list[str]] | int,
    *,
    count: int | None = None,
    dtype: str = '<u2',
) -> Path:
    """Write a plate of two levels with one value a field; ``fields`` are names by well, or how many."""
    letters, numbers = 'ABCDEFGHIJKLMNOP'[:rows], [str(number + 1) for number in range(columns)]
    wells: list[dict[str, Any]] = [
        {'path': f'{letter}/{number}', 'rowIndex': row, 'columnIndex': column}
        for row, letter in enumerate(letters)
        for column, number in enumerate(numbers)
    ]
    plate: dict[str, Any] = {
        'rows': [{'name': name} for name in letters],
        'columns': [{'name': name} for name in numbers],
        'wells': wells,
        'version': '0.4',
    }
    if count is not None:
        plate['field_count'] = count
    group(folder, {'plate': plate})
    axes = [{'name': name, 'type': 'space', 'unit': 'micrometer'} for name in 'yx']
    datasets = [
        {'path': str(at), 'coordinateTransformations': [{'type': 'scale', 'scale': [2**at] * 2}]}
        for at in range(2)
    ]
    image = {'multiscales': [{'version': '0.4', 'axes': axes, 'datasets': datasets}]}
    for well in wells:
        place = well['rowIndex'], well['columnIndex']
        names = [str(n) for n in range(fields)] if isinstance(fields, int) else fields.get(place, [])
        images = [{'path': name, 'acquisition': 3} for name in names]
        group(folder / well['path'], {'well': {'images': images, 'version': '0.4'}})
        for number, name in enumerate(names):
            group(folder / well['path'] / name, image)
            for level in range(2):
                array = folder / well['path'] / name / str(level)
                array.mkdir()
                side = SIDE >> level
                document = {
                    'zarr_format': 2, 'shape': [side, side], 'chunks': [side, side], 'dtype': dtype,
                    'compressor': None, 'filters': None, 'fill_value': 0, 'order': 'C',
                }  # fmt: skip
                (array / '.zarray').write_text(json.dumps(document))
                pixel = np.array(value(*place, number)).astype(dtype)
                (array / '0.0').write_bytes(np.full((side, side), pixel).tobytes())
    return folder
