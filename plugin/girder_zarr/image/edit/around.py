"""What a file holds around the hierarchy that is edited: entries of a zip, tables of a database."""

from __future__ import annotations

import contextlib
import sqlite3
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import EditError
from girder_zarr.image.store.sqlitestore import SqliteStore
from girder_zarr.image.store.zipstore import ZipFileStore

if TYPE_CHECKING:
    from pathlib import Path

    from girder_zarr.image.store.keystore import KeyStore
    from girder_zarr.image.write.outlet import Outlet

#: The table of zarr-python 2's SQLiteStore.
_TABLE = 'zarr'


def options_around(store: KeyStore, path: Path) -> dict[str, Any]:
    """Return the options of ``write`` that keep what lies around a hierarchy in the file that is replaced.

    :raises EditError: it cannot be kept.
    """
    if isinstance(store, SqliteStore):
        _check_tables(path)
    if not isinstance(store, ZipFileStore) or not store.top:
        return {}
    return {'below': store.top, 'outside': partial(_copy_outside, path, store.top)}


def _check_tables(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(f'{path.absolute().as_uri()}?mode=ro', uri=True)) as database:
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    others = sorted(name for (name,) in rows if name != _TABLE and not name.startswith('sqlite_'))
    if others:
        raise EditError(
            f'{path} holds other tables ({", ".join(others)[:200]}), which would be lost; '
            'write to another file'
        )


def _copy_outside(path: Path, top: str, outlet: Outlet) -> None:
    """Put the files of a zip that are not in the folder of its hierarchy."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if not entry.is_dir() and not entry.filename.startswith(top):
                outlet.put(entry.filename, archive.read(entry))
