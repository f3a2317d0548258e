"""The command `girder-zarr`."""

from .command import main

__all__ = ['main']
