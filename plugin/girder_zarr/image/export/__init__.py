"""A canvas to a file: OME-Zarr, or another format through large_image_converter."""
