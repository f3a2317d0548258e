"""OME-Zarr that is stored nowhere: metadata and chunks are made when they are asked for."""
