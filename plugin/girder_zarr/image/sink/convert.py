"""Output in formats other than OME-Zarr, through large_image_converter."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import EditError
from girder_zarr.image.write.outlet import sync_path
from girder_zarr.image.write.pack import put_in_place, remove, temporary_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def convert_to(
    path: Path,
    write_zarr: Callable[[Path], None],
    *,
    dtype: np.dtype[Any],
    lossy: bool,
    overwrite: bool,
    params: Mapping[str, Any],
    georeference: tuple[Any, Any],
) -> None:
    """Write an image by way of a temporary OME-Zarr.

    :param write_zarr: writes the image to a path ending in ``.zarr``.
    :param dtype: of the pixels.
    :param lossy: compress with JPEG unless ``params`` say otherwise.
    :param params: options of ``large_image_converter.convert``.
    :param georeference: projection and ground control points, or None for each.
    :raises EditError: the converter is not installed or would change the pixels, or there is a projection
        without GCPs.
    """
    _check_type(path, dtype)
    projection, gcps = georeference
    if projection and not gcps:
        raise EditError(
            'Projection was specified but GCPs were not specified. Cannot write georeferenced file.'
        )
    try:
        import large_image_converter

        importlib.import_module('pyvips')  # without its library the converter fails half way
    except (ImportError, OSError) as exc:
        raise EditError(
            f'{path.suffix or path.name} is not OME-Zarr (.zarr, .zip, .ozx, .db, .sqlite); others need '
            f'large_image_converter, which cannot be used here: {exc}'
        ) from exc
    options: dict[str, Any] = {'compression': 'jpeg'} if lossy and dtype == np.uint8 else {}
    if dtype.kind == 'f':
        options['keepFloat'] = True
    # the converter looks at the suffix: it stays last
    temporary = temporary_name(path).with_suffix(path.suffix)
    with tempfile.TemporaryDirectory(prefix='girder-zarr-convert-') as folder:
        source = Path(folder, 'image.zarr')
        write_zarr(source)
        try:
            large_image_converter.convert(
                str(source / 'zarr.json'), str(temporary), **(options | dict(params))
            )
            if not temporary.is_file():
                raise EditError(f'large_image_converter wrote nothing for {path.name}')
            _georeference(temporary, projection, gcps)
            sync_path(temporary)
            put_in_place(temporary, path, overwrite=overwrite)
        finally:
            remove(temporary)


def _check_type(path: Path, dtype: np.dtype[Any]) -> None:
    """Raise EditError for a type whose values the converter would scale or shift without a word."""
    if dtype in {np.dtype(np.uint8), np.dtype(np.uint16)} or dtype.kind == 'f':
        return
    raise EditError(
        f'large_image_converter keeps uint8, uint16 and floats as they are; {path.name} would hold other '
        f'values than the {dtype} image. Write OME-Zarr, or add tiles of one of these types'
    )


def _georeference(path: Path, projection: Any, gcps: Any) -> None:
    """Write the projection and the ground control points into a TIFF's tags."""
    tags = [('projection', projection)] if projection is not None else []
    if gcps:
        tags.append(('gcps', gcps))
    if tags:
        import tifftools

        tifftools.tiff_set(str(path), setlist=tags, overwrite=True)
