"""Room for what a job writes: said in numbers where it runs out."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from girder_zarr.errors import NoSpaceError
from girder_zarr.image.write.pack import is_full

from .durable_files import adapter_of, check_space, no_space
from .target import assetstore_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from girder_zarr.server.common.names import Document


def check_open(folder: Document, nbytes: int) -> None:
    """Check that the assetstore of a folder takes files at all, whose size is not known yet.

    :param nbytes: about how many bytes there will be, for the message.
    :raises NoSpaceError: what is free there is reserved.
    """
    adapter = adapter_of(assetstore_of(folder))
    if adapter is not None and adapter.capacityInfo()['free'] == 0:
        raise no_space(adapter, nbytes)


def check_taken(folder: Document, path: Path) -> None:
    """Check that the assetstore of a folder takes a file, which is moved where it lies on the same disk.

    :raises NoSpaceError: it has no space for it.
    """
    adapter = adapter_of(assetstore_of(folder))
    if adapter is None:
        return
    size, root = path.stat().st_size, Path(adapter.assetstore['root'])
    free = adapter.capacityInfo()['free']
    if free is None:
        return
    if path.parent.stat().st_dev != root.stat().st_dev:
        check_space(adapter, size)
    elif free <= 0:
        raise no_space(adapter, size)


@contextlib.contextmanager
def told(folder: Path, nbytes: int) -> Iterator[None]:
    """Turn the error of a full disk in this context into one that says how much room there was.

    :param folder: for temporary data, with all that was written.
    :param nbytes: the most that the image takes.
    :raises NoSpaceError: a write, or a sync to the disk, found no room.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, NoSpaceError) or not any(is_full(one) for one in _chain(error)):
            raise
        room = shutil.disk_usage(folder).free + sum(_sizes(folder))
        msg = (
            f'There is no space for the image: it takes up to {nbytes} bytes before it is compressed, and '
            f'{room} bytes were free for temporary data of the worker (TMPDIR). Nothing of it is left; '
            'finalize again once there is more.'
        )
        raise NoSpaceError(msg) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__


def _sizes(folder: Path) -> Iterator[int]:
    """Yield the bytes on the disk of the files in a folder."""
    for path in folder.rglob('*'):
        with contextlib.suppress(OSError):
            if path.is_file():
                yield path.stat().st_blocks * 512
