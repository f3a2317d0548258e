"""Files of which several pages are patches: sent once, with the fields of each page, from the disk."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from girder_zarr.errors import GirderZarrError, InvalidInputError
from girder_zarr.stitch.arrange.tile_sizes import read_kind
from girder_zarr.stitch.positions.tiff_pages import is_tiff, pages_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .patch import Patch

#: Larger files are sent page by page, decoded: an upload that breaks off loses little.
MAX_FILE_BYTES = 2**30
#: So many bytes of a file are sent for one of pixels at most; of files of which little is wanted, pages are.
_MAX_RATIO = 1.5


@dataclass(frozen=True)
class FilePages:
    """A file that is sent as a whole, and the patches that are pages of it."""

    path: Path
    patches: list[Patch]

    def digest(self) -> str:
        """Return its digest as the server writes it.

        :raises InvalidInputError: it cannot be read.
        """
        try:
            with self.path.open('rb') as stream:
                found = hashlib.file_digest(stream, 'sha256').digest()
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return f'sha-256=:{base64.b64encode(found).decode()}:'

    def body(self, digest: str) -> FileBody:
        """Return a tar of the file behind a manifest, which is to be closed.

        :raises InvalidInputError: it cannot be read.
        """
        entries = [
            {'file': '0', 'key': patch.key, **patch.fields, 'page': patch.page, 'digest': digest}
            for patch in self.patches
        ]
        manifest = json.dumps(entries).encode()
        try:
            size = self.path.stat().st_size
            stream = self.path.open('rb')
        except OSError as error:
            raise _unreadable(self.path, error) from error
        head = (
            _member('manifest.json', len(manifest)) + manifest + _padding(len(manifest)) + _member('0', size)
        )
        return FileBody(head, stream, size, _padding(size) + bytes(2 * tarfile.BLOCKSIZE))


def _unreadable(path: Path, error: OSError) -> InvalidInputError:
    return InvalidInputError(f'The file {path} cannot be read: {error.strerror}.')


def _member(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


class FileBody(io.RawIOBase):
    """The body of a request: some bytes, a file, and some bytes more. It can be sent again."""

    def __init__(self, head: bytes, file: IO[bytes], size: int, tail: bytes) -> None:
        super().__init__()
        self._parts = [(io.BytesIO(head), len(head)), (file, size), (io.BytesIO(tail), len(tail))]
        self._at = 0

    def __len__(self) -> int:
        return sum(size for _, size in self._parts)

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def tell(self) -> int:
        """Return how much was read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to its beginning, which is the only place to go to."""
        del offset, whence
        self._at = 0
        for stream, _ in self._parts:
            stream.seek(0)
        return 0

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what follows.

        :raises InvalidInputError: the file has become shorter.
        """
        first = 0
        for stream, size in self._parts:
            if self._at < first + size:
                data = stream.read(min(len(buffer), first + size - self._at))
                if not data:
                    raise InvalidInputError('The file has become shorter while it was sent.')
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
            first += size
        return 0

    def close(self) -> None:
        """Close the file."""
        for stream, _ in self._parts:
            stream.close()
        super().close()


def by_file(patches: Iterable[Patch]) -> Iterator[Patch | FilePages]:
    """Yield patches, those that are pages of one file together where the file is to be sent as a whole.

    Those with ``pages`` become their pages. Of a list all pages of a file are found, of other iterables those
    that follow each other.
    """
    expanded: Iterator[Patch] = (page for patch in patches for page in _pages(patch))
    if isinstance(patches, Sequence):
        expanded = _gathered(expanded)
    for path, group in itertools.groupby(expanded, _file_of):
        if path is None:
            yield from group
            continue
        found = list(group)
        if _is_whole(path, found):
            yield FilePages(path, found)
        else:
            yield from found


def _file_of(patch: Patch) -> Path | None:
    return Path(patch.data) if patch.page is not None and isinstance(patch.data, str | Path) else None


def _gathered(patches: Iterable[Patch]) -> Iterator[Patch]:
    """Yield patches in their order, but all pages of a file where the first of them stands."""
    together: dict[Any, list[Patch]] = {}
    for at, patch in enumerate(patches):
        path = _file_of(patch)
        together.setdefault(at if path is None else path, []).append(patch)
    return itertools.chain.from_iterable(together.values())


def _pages(patch: Patch) -> Iterable[Patch]:
    """Return the patches that the pages of a file are; what cannot be read is left to the server.

    Keys and indices are those that the server gives as well.
    """
    if patch.pages is None or not isinstance(patch.data, str | Path) or not is_tiff(Path(patch.data)):
        return [patch]
    try:
        found = pages_of(Path(patch.data), along=None if patch.pages == 'auto' else patch.pages)
    except GirderZarrError:
        return [patch]
    if len(found) == 1:
        return [patch]
    pages = []
    for one in found:
        index: dict[str, Any] = {axis: (getattr(patch, axis) or 0) + at for axis, at in one.index.items()}
        pages.append(replace(patch, key=f'{patch.key}@{one.page}', page=one.page, pages=None, **index))
    return pages


def _is_whole(path: Path, patches: list[Patch]) -> bool:
    """Return whether a file is sent, and not the pixels of its pages one by one."""
    try:
        size = path.stat().st_size
        kind = read_kind(path, patches[0].page, {})
    except (OSError, GirderZarrError):
        return False
    return size <= MAX_FILE_BYTES and size <= _MAX_RATIO * len(patches) * kind.nbytes + 2**16
