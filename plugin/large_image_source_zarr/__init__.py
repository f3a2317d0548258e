"""The name under which programs written for large-image-source-zarr import what is now girder_zarr.image."""

import contextlib
from importlib.metadata import PackageNotFoundError, version

from girder_zarr.image import ZarrFileTileSource, canRead, new, open  # noqa: A004 - large_image's names

__all__ = ['ZarrFileTileSource', 'canRead', 'new', 'open']

with contextlib.suppress(PackageNotFoundError):  # run from a checkout
    __version__ = version('girder-zarr')
