"""The source of Girder's items under the name that large-image-source-zarr gave it."""

from girder_zarr.server.tile_sources.tile_source import ZarrGirderTileSource

__all__ = ['ZarrGirderTileSource']
