"""The writing half of the tile source: new images, tiles added in any order, and writing them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from girder_zarr.errors import EditError


class SinkMixin:
    """What a tile source needs to be written to; `source.py` mixes it into ZarrFileTileSource."""

    _editable: bool = False

    def _initNew(self, path: str | Path, **kwargs: Any) -> None:
        """Set the source up as a new, empty image.

        :param path: large_image's NEW_IMAGE_PATH_FLAG followed by a unique name.
        """
        self._editable = True
        self._newPath = str(path)

    def _checkEditable(self) -> None:
        """Raise EditError unless this is an image that can be added to."""
        if not self._editable:
            raise EditError('This image was opened for reading; tiles and properties can only be set on a new image')
