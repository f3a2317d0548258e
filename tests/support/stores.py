"""Stores for images: databases, zips, and bytes that count their reads."""

from __future__ import annotations

import sqlite3
import zipfile
from typing import TYPE_CHECKING

from girder_zarr.image.store.bytesource import FileBytes
from support.images import write

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


def database(target: Path, values: dict[str, bytes], page: int = 4096, before: str = '') -> Path:
    connection = sqlite3.connect(target)
    connection.execute(f'PRAGMA page_size = {page}')
    if before:
        connection.executescript(before)
    connection.execute('CREATE TABLE IF NOT EXISTS zarr(k TEXT PRIMARY KEY, v BLOB)')
    connection.executemany('INSERT OR REPLACE INTO zarr VALUES (?, ?)', values.items())
    connection.commit()
    connection.close()
    return target


def image_database(tmp_path: Path, pixels: np.ndarray, chunk: int = 100) -> Path:
    folder = write(tmp_path / 'a.zarr', [pixels], 'yx', zarr_format=2, chunks=(chunk, chunk))
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}
    return database(tmp_path / 'file without suffix', files)


class CountedBytes:
    """A file of which only ranges can be had, as from an object store."""

    def __init__(self, path: Path) -> None:
        self._file = FileBytes(path)
        self.name, self.size, self.identity = 'remote', self._file.size, self._file.identity
        self.reads = 0

    def read(self, offset: int, length: int) -> bytes:
        self.reads += 1
        return self._file.read(offset, length)


def zip_folder(folder: Path, target: Path, top: str = '', method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(target, 'w', method) as archive:
        for path in sorted(folder.rglob('*')):
            archive.write(path, top + str(path.relative_to(folder)))
    return target
