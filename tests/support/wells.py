"""Plates whose fields are any pixels, written by zarr alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from .images import halves

if TYPE_CHECKING:
    from pathlib import Path

ZARR3: Any = 3


def write_wells(
    folder: Path,
    fields: dict[str, np.ndarray],
    *,
    levels: int = 3,
    axes: str = 'yx',
    corners: dict[str, tuple[float, float]] | None = None,
    channels: Any = None,
    **plate: Any,
) -> Path:
    """Write a plate in NGFF 0.5 with zarr itself.

    :param fields: pixels by the path of the field; a field may have less than all levels.
    :param corners: where they lie, in micrometers; a pixel has half a micrometer.
    """
    paths = list(dict.fromkeys(path.rpartition('/')[0] for path in fields))
    rows = list(dict.fromkeys(path.split('/')[0] for path in paths))
    columns = list(dict.fromkeys(path.split('/')[1] for path in paths))
    described = {
        'rows': [{'name': name} for name in rows],
        'columns': [{'name': name} for name in columns],
        'wells': [
            {
                'path': path,
                'rowIndex': rows.index(path.split('/')[0]),
                'columnIndex': columns.index(path.split('/')[1]),
            }
            for path in paths
        ],
        **plate,
    }
    group(folder, {'plate': described})
    for path in paths:
        names = [name.rpartition('/')[2] for name in fields if name.rpartition('/')[0] == path]
        group(folder / path, {'well': {'images': [{'path': name} for name in names]}})
    for path, pixels in fields.items():
        datasets, y, x = [], axes.index('y'), axes.index('x')
        there = group(folder / path, {})
        for number, level in enumerate(halves(pixels, levels - 1, y, x)):
            there.create_array(str(number), shape=level.shape, chunks=level.shape, dtype=level.dtype)[...] = (
                level
            )
            scale = [0.5 * 2**number if name in 'yx' else 1.0 for name in axes]
            transforms: list[Any] = [{'type': 'scale', 'scale': scale}]
            if corners is not None:
                moved = [corners[path]['yx'.index(name)] if name in 'yx' else 0.0 for name in axes]
                transforms.append({'type': 'translation', 'translation': moved})
            datasets.append({'path': str(number), 'coordinateTransformations': transforms})
        named = [
            {'name': name, 'type': 'channel' if name == 'c' else 'space', 'unit': 'micrometer'}
            for name in axes
        ]
        content: dict[str, Any] = {'multiscales': [{'axes': named, 'datasets': datasets}]}
        if channels is not None:
            content['omero'] = {'channels': channels}
        there.attrs['ome'] = {'version': '0.5', **content}
    return folder


def group(folder: Path, content: dict[str, Any]) -> Any:
    return zarr.open_group(
        folder, mode='w', zarr_format=ZARR3, attributes={'ome': {'version': '0.5', **content}}
    )


def noise(count: int, shape: tuple[int, ...] = (64, 96), dtype: str = 'uint16') -> list[np.ndarray]:
    random = np.random.default_rng(count)
    return [random.integers(1, 250, shape).astype(dtype) for _ in range(count)]
