"""Blocks to the finished file: OME-Zarr or TIFF, in one piece or in parts."""
