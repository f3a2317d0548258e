"""The command `girder-zarr`."""

from .command import build_parser, main

__all__ = ['build_parser', 'main']
