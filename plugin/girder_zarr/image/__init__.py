"""OME-Zarr in and out for large_image; knows no Girder."""

from .source import ZarrFileTileSource, canRead, new, open  # noqa: A004 - large_image's names
from .store.addresses import allow_hosts
from .style_functions import allow as allow_style_functions

__all__ = ['ZarrFileTileSource', 'allow_hosts', 'allow_style_functions', 'canRead', 'new', 'open']
