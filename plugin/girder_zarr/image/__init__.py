"""OME-Zarr in and out for large_image; knows no Girder."""

from .source import ZarrFileTileSource, canRead, new, open  # noqa: A004 - large_image's names
from .store.addresses import allow_hosts

__all__ = ['ZarrFileTileSource', 'allow_hosts', 'canRead', 'new', 'open']
