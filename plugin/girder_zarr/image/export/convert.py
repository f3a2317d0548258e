"""Formats other than OME-Zarr: through large_image_converter, or a TIFF of types that it changes."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import EditError
from girder_zarr.image.store.zarr_names import SUFFIXES
from girder_zarr.image.write.outlet import sync_path
from girder_zarr.image.write.pack import behind_link, put_in_place, remove, temporary_name

from .exact_tiff import check_options, write_exactly

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Integers that large_image_converter keeps as they are; floats it keeps with its option ``keepFloat``.
_EXACT_TYPES = {np.dtype(np.uint8), np.dtype(np.uint16)}


def convert_to(
    path: Path,
    write_zarr: Callable[[Path], None],
    *,
    dtype: np.dtype[Any],
    lossy: bool,
    overwrite: bool,
    params: Mapping[str, Any],
    georeference: tuple[Any, Any],
    scratch: Path | None = None,
) -> None:
    """Write an image by way of a temporary OME-Zarr.

    :param write_zarr: writes the image to a path ending in ``.zarr``.
    :param dtype: of the pixels.
    :param lossy: compress with JPEG unless ``params`` name another compression.
    :param params: options of ``large_image_converter.convert``, and ``exact``: keep values of any type, which
        the converter otherwise scales to 8 or 16 bits, so that all programs show them.
    :param georeference: projection and ground control points, or None for each.
    :param scratch: an existing folder for the temporary OME-Zarr; None: the system's.
    :raises EditError: the converter is not installed, or the format cannot hold such pixels exactly. Also
        after the file was written, without its place on earth, if there is a projection without GCPs or GCPs
        without a projection.
    """
    projection, gcps = georeference
    params = dict(params)
    exact = bool(params.pop('exact', False))
    by_converter = not exact or dtype in _EXACT_TYPES or dtype.kind == 'f'
    if by_converter:
        converter = _converter(path)
    else:
        check_options(path, dtype, params)
    options: dict[str, Any] = {'compression': 'jpeg'} if lossy and dtype == np.uint8 else {}
    if dtype.kind == 'f' and exact:
        options['keepFloat'] = True
    target = behind_link(path)
    # the converter looks at the suffix: it stays last
    temporary = temporary_name(target).with_suffix(path.suffix)
    with tempfile.TemporaryDirectory(prefix='girder-zarr-convert-', dir=scratch) as folder:
        source = Path(folder, 'image.zarr')
        write_zarr(source)
        try:
            if by_converter:
                converter.convert(str(source / 'zarr.json'), str(temporary), **(options | dict(params)))
            else:
                write_exactly(source, temporary, params)
            if not temporary.is_file():
                raise EditError(f'large_image_converter wrote nothing for {path.name}')
            if projection and gcps:
                _georeference(temporary, projection, gcps)
            sync_path(temporary)
            put_in_place(temporary, target, overwrite=overwrite)
        finally:
            remove(temporary)
    # the image is as good without, and took long to write: it stays
    if projection and not gcps:
        raise EditError(
            'Projection was specified but GCPs were not specified. Cannot write georeferenced file.'
        )
    if gcps and not projection:
        raise EditError(
            'GCPs were specified but projection was not specified. Cannot write georeferenced file.'
        )


def _converter(path: Path) -> Any:
    """Return large_image_converter.

    :raises EditError: it cannot be used here.
    """
    try:
        import large_image_converter

        importlib.import_module('pyvips')  # without its library the converter fails half way
    except (ImportError, OSError) as exc:
        raise EditError(
            f'{path.suffix or path.name} is not OME-Zarr ({", ".join(SUFFIXES)}); others need '
            f'large_image_converter, which cannot be used here: {exc}'
        ) from exc
    return large_image_converter


def _georeference(path: Path, projection: Any, gcps: Any) -> None:
    """Write the projection and the ground control points into a TIFF's tags."""
    tags = [('projection', projection)] if projection is not None else []
    if gcps:
        tags.append(('gcps', gcps))
    if tags:
        import tifftools

        tifftools.tiff_set(str(path), setlist=tags, overwrite=True)
