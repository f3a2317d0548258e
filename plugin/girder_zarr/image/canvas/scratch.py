"""The folder for temporary data of a new image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder_zarr.common.owned_folder import FolderKind, OwnedFolder
from girder_zarr.errors import EditError

if TYPE_CHECKING:
    import os
    from pathlib import Path

#: Of its own: the jobs, the demo and other folders of ours must not match it.
SCRATCH = FolderKind(prefix='girder-zarr-new-', lock='lock')


class Scratch(OwnedFolder):
    """A folder for temporary data; see :class:`.owned_folder.OwnedFolder`.

    :param name: makes the folder's name unique, and lets another process find it.
    :param parent: where; None: what ``TMPDIR`` says.
    """

    def __init__(self, name: str, parent: str | os.PathLike[str] | None = None) -> None:
        super().__init__(SCRATCH, name, parent)

    def directory(self) -> Path:
        """Return the folder, which exists from now on until :meth:`close`.

        :raises EditError: it cannot be made.
        """
        try:
            return super().directory()
        except OSError as exc:
            raise EditError(f'Temporary data cannot be written to {self.path}: {exc}') from exc


def is_owned(path: Path) -> bool:
    """Return whether there is such a folder and the process that made it lives."""
    return SCRATCH.is_owned(path)
