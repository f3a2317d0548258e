"""OME-Zarr in and out for large_image; knows no Girder."""

from .source import ZarrFileTileSource, canRead, new, open  # noqa: A004 - large_image's names

__all__ = ['ZarrFileTileSource', 'canRead', 'new', 'open']
