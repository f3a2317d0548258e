"""The names of zarr's metadata files, and the suffixes of what holds a hierarchy."""

from __future__ import annotations

#: The files that hold a node's metadata, in zarr v3 and v2; one of them in a folder makes it a root.
ROOT_KEYS = ('zarr.json', '.zgroup', '.zattrs', '.zarray')
#: Those that a group of either version has; ``.zarray`` is an array's.
GROUP_KEYS = ROOT_KEYS[:3]
#: Those of zarr v2, the one that OME-NGFF writes its metadata to first.
V2_KEYS = ('.zattrs', '.zgroup', '.zarray')
#: The order in which one of them is chosen to stand for the image: what holds OME-NGFF's metadata first.
ROOT_ORDER = ('zarr.json', *V2_KEYS)
#: All that holds metadata, consolidated metadata of zarr v2 included; everything else holds chunks.
METADATA_KEYS = (*ROOT_KEYS, '.zmetadata')

DIRECTORY_SUFFIX = '.zarr'
ZIP_SUFFIXES = ('.zip', '.ozx')
DATABASE_SUFFIXES = ('.db', '.sqlite')
#: Of a hierarchy in one file.
FILE_SUFFIXES = (*ZIP_SUFFIXES, *DATABASE_SUFFIXES)
#: Of all that we write.
SUFFIXES = (DIRECTORY_SUFFIX, *FILE_SUFFIXES)
#: Of files that are a zarr by their name alone, whatever they hold.
ZARR_ONLY_SUFFIXES = (DIRECTORY_SUFFIX, f'{DIRECTORY_SUFFIX}.zip', '.ozx')
#: Of the TIFF files that large_image_converter writes; what others hold would not be what they say.
TIFF_SUFFIXES = ('.tif', '.tiff', '.ptif', '.ptiff', '.btf', '.tf2', '.tf8', '.svs')
