"""What the client sends: patches, by themselves or many in a tar; how it shows what it does."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InvalidInputError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Patch:
    """One patch to be uploaded.

    :param key: names it within its session: 1 to 200 of ``A-Z a-z 0-9 . _ ~ - , @ = +``.
    :param data: the bytes of an image file, the path of one, or an array of shape (y, x) or (y, x, bands).
    :param x: column of the left upper pixel; may be negative.
    :param y: row of the left upper pixel; may be negative.
    :param order: decides where patches overlap: with ``last`` the highest counts.
    """

    key: str
    data: Any
    x: int
    y: int
    order: int = 0
    t: int | None = None
    z: int | None = None
    c: int | None = None

    @property
    def position(self) -> dict[str, int]:
        """The position along each axis that is given."""
        axes = {'x': self.x, 'y': self.y, 't': self.t, 'z': self.z, 'c': self.c}
        return {axis: value for axis, value in axes.items() if value is not None}

    def read(self) -> bytes:
        """Return what is sent: the file's bytes, or the array as npy.

        :raises InvalidInputError: there is no such file, or the data is neither bytes, path nor array.
        """
        if isinstance(self.data, bytes | bytearray | memoryview):
            return bytes(self.data)
        if isinstance(self.data, str | Path):
            try:
                return Path(self.data).read_bytes()
            except OSError as error:
                msg = f'The file {self.data} of patch {self.key} cannot be read: {error.strerror}.'
                raise InvalidInputError(msg) from error
        if not hasattr(self.data, '__array__'):
            msg = f'Patch {self.key} has to be bytes, a path or an array, not {type(self.data).__name__}.'
            raise InvalidInputError(msg)
        import numpy as np

        buffer = io.BytesIO()
        np.save(buffer, np.asarray(self.data), allow_pickle=False)
        return buffer.getvalue()


def content_digest(data: bytes) -> str:
    """Return the value of a ``Content-Digest`` header (RFC 9530) with SHA-256."""
    return f'sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:'


def tar_of(pairs: list[tuple[Patch, bytes]]) -> bytes:
    """Return a tar of patches: a manifest, then the bytes of each under its number."""
    manifest = [
        {
            'file': str(number),
            'key': patch.key,
            **patch.position,
            'order': patch.order,
            'digest': content_digest(data),
        }
        for number, (patch, data) in enumerate(pairs)
    ]
    members = [('manifest.json', json.dumps(manifest).encode())]
    members += [(str(number), data) for number, (_, data) in enumerate(pairs)]
    parts = []
    for name, data in members:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        parts += [info.tobuf(tarfile.USTAR_FORMAT), data, bytes(-len(data) % tarfile.BLOCKSIZE)]
    return b''.join([*parts, bytes(2 * tarfile.BLOCKSIZE)])


def guarded(
    work: Callable[[Callable[[str], None]], None], advance: Callable[[str], None], stopped: threading.Event
) -> None:
    """Work, and stop the other threads when it fails."""
    try:
        work(advance)
    except BaseException:
        stopped.set()
        raise


@contextlib.contextmanager
def progress_bar(
    progress: bool | Callable[[str], None], total: int | None
) -> Iterator[Callable[[str], None]]:
    """Yield a function that is called once a patch."""
    if callable(progress):
        yield progress
        return
    tqdm = None
    if progress:
        with contextlib.suppress(ImportError):
            from tqdm import tqdm
    if tqdm is None:
        yield lambda _outcome: None
        return
    # disable=None: no bar where stderr is not a terminal.
    with tqdm(total=total, unit='patch', disable=None) as bar:
        yield lambda _outcome: bar.update() and None
