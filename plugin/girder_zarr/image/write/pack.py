"""A finished hierarchy into one file, and what is new into the place of what was there."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import glob
import importlib
import json
import os
import shutil
import sqlite3
import stat
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import EditError
from girder_zarr.image.store.zarr_names import DATABASE_SUFFIXES, DIRECTORY_SUFFIX, METADATA_KEYS, SUFFIXES

from .consolidated import renew_above
from .outlet import DirectoryOutlet, Outlet, SqliteOutlet, ZipOutlet, sync_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from girder_zarr.image.ngff.metadata import Version

    from .file_digest import FileDigest

fcntl: Any = None
with contextlib.suppress(ImportError):
    fcntl = importlib.import_module('fcntl')  # not on Windows

#: From Linux's fcntl.h and fs.h: paths count from the working directory; names change places.
_HERE, _EXCHANGE = -100, 2
#: Seconds for which a temporary file may be without its lock: its writer may be about to take it.
_YOUNG = 60.0


def pack(directory: Path, target: Path, *, overwrite: bool = True) -> None:
    """Turn a written hierarchy into ``target``; the suffix decides: .zarr, .zip, .ozx, .db or .sqlite.

    The target appears whole or not at all; what was there before goes only when the new one is on the disk.

    :param directory: as `pyramid.write_image` wrote it; it is left as it is.
    :param overwrite: False: an existing target is an error.
    :raises EditError: the target exists, has another suffix, or .ozx was asked for what is not zarr v3.
    """
    version = _version_of(directory) if target.suffix.lower() == '.ozx' else '0.5'
    with outlet_for(target, version=version, overwrite=overwrite) as outlet:
        for name in _names(directory):
            outlet.put(name, (directory / name).read_bytes())


def _names(directory: Path) -> Iterator[str]:
    """Every file below a directory, zarr.json breadth first and then by name."""
    names = []
    for folder, _, files in os.walk(directory):
        names += [Path(folder, file).relative_to(directory).as_posix() for file in files]
    documents = [name for name in names if name.rpartition('/')[2] == 'zarr.json']
    yield from sorted(documents, key=lambda name: (name.count('/'), name))
    yield from sorted(set(names) - set(documents))


def _version_of(directory: Path) -> str:
    try:
        content = json.loads((directory / 'zarr.json').read_bytes())
        return str(content['attributes']['ome']['version'])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise EditError(f'.ozx holds NGFF 0.5 or later; {directory} has no zarr.json with a version') from exc


@contextlib.contextmanager
def outlet_for(
    target: Path,
    *,
    version: Version | str = '0.5',
    overwrite: bool = True,
    container: str | None = None,
    digest: FileDigest | None = None,
) -> Iterator[Outlet]:
    """Yield an outlet that is renamed to ``target`` when the block ends, and removed when it raises.

    :param version: the NGFF version of what will be written.
    :param container: one of SUFFIXES that says what to write; None: the suffix of the name, in any case.
    :param digest: made of the file meanwhile, where it is a zip; else it covers nothing.
    :raises EditError: the target may not be replaced, its folder is missing, or its suffix is not ours.
    """
    suffix = container or target.suffix.lower()
    if suffix not in SUFFIXES:
        raise EditError(f'The name must end in {", ".join(SUFFIXES)}; found {target.name!r}')
    check_target(target, overwrite=overwrite)
    named, target = target, behind_link(target)
    if not target.parent.is_dir():
        raise EditError(f'{target.parent} is not an existing folder')
    if suffix == '.ozx' and version == '0.4':
        raise EditError('.ozx holds NGFF 0.5 or later, not 0.4')
    _remove_left(target)
    temporary = temporary_name(target)
    try:
        if suffix == DIRECTORY_SUFFIX:
            temporary.mkdir()
            _take_mode(target, temporary, writable=True)
            outlet = DirectoryOutlet(temporary)
            with _lock(temporary):
                yield outlet
            outlet.sync()
        elif suffix in DATABASE_SUFFIXES:
            with contextlib.closing(SqliteOutlet(temporary)) as database, _lock(temporary):
                _take_mode(target, temporary, writable=True)
                yield database
                database.finish()
            sync_path(temporary)
        else:
            comment = ozx_comment(str(version)) if suffix == '.ozx' else b''
            with (
                ZipOutlet(temporary, comment=comment, zip64=suffix == '.ozx', digest=digest) as archive,
                _lock(temporary),
            ):
                _take_mode(target, temporary, writable=True)
                yield archive
                archive.finish()
        put_in_place(temporary, target, overwrite=overwrite)
        if suffix == DIRECTORY_SUFFIX:
            for one in dict.fromkeys((target, named.absolute())):
                renew_above(one)
    except (OSError, sqlite3.OperationalError) as exc:
        if not is_full(exc):
            raise
        raise EditError(f'There is no room for {target}: {exc}. What was there before is as it was') from exc
    finally:
        remove(temporary)


def is_full(error: BaseException) -> bool:
    """Whether the disk, the quota or the largest size of a file is what stopped a write."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    return getattr(error, 'sqlite_errorname', '') in {'SQLITE_FULL', 'SQLITE_IOERR_WRITE'}


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raise EditError where ``target`` cannot be written, before anything is done.

    A folder is only replaced if it is a zarr hierarchy or empty.
    """
    if not overwrite and os.path.lexists(target):
        raise EditError(f'{target} exists and may not be replaced (overwriteAllowed is False)')
    is_zarr = any((target / key).is_file() for key in METADATA_KEYS)
    if target.is_dir() and not is_zarr and any(target.iterdir()):
        raise EditError(f'{target} is a folder that holds no zarr image; it is not replaced')
    real = behind_link(target)
    for there in (real, real.parent):
        if there.exists() and not os.access(there, os.W_OK):
            raise EditError(f'{there} is read-only; it is not changed')


def behind_link(target: Path) -> Path:
    """Return what a link stands for, which is written in its place: the link stays. Others are returned."""
    return Path(os.path.realpath(target)) if target.is_symlink() else target


def _take_mode(old: Path, new: Path, *, writable: bool = False) -> None:
    """Give what takes the place of a file or folder its group and permissions, as far as that is allowed.

    :param writable: leave out that it may be read-only, while it is written.
    """
    with contextlib.suppress(OSError):
        status = old.stat()
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(new.stat().st_mode):
            return
        with contextlib.suppress(OSError):
            os.chown(new, -1, status.st_gid)
        own = stat.S_IRWXU if writable and new.is_dir() else stat.S_IRUSR | stat.S_IWUSR if writable else 0
        new.chmod(stat.S_IMODE(status.st_mode) | own)


@contextlib.contextmanager
def folders_above(target: Path) -> Iterator[None]:
    """Make the folders that ``target`` lies in; those that were made go again if the block raises.

    :raises EditError: one cannot be made.
    """
    missing = [folder for folder in target.parents if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise EditError(f'{target.parent} is not a folder and cannot be made one: {exc.strerror}') from exc
    try:
        yield
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def temporary_name(target: Path) -> Path:
    """Return a name beside ``target``, so that it can be renamed to it, that no other writer uses."""
    return target.with_name(f'.{target.name}.{uuid.uuid4().hex[:12]}.tmp')


def ozx_comment(version: str) -> bytes:
    """Return the archive comment that RFC-9 of OME-NGFF asks for."""
    content = {'ome': {'version': version, 'zipFile': {'centralDirectory': {'jsonFirst': True}}}}
    return json.dumps(content, separators=(',', ':')).encode()


def put_in_place(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Rename what was written to its final name; what was there before goes last.

    A file takes the place of a file in one step; a directory does where the system lets two names change
    places (Linux). Elsewhere there is an instant with neither.
    """
    _take_mode(target, temporary)
    if not overwrite:
        _rename_new(temporary, target)
    elif temporary.is_dir() or target.is_dir():
        _swap(temporary, target)
    else:
        temporary.replace(target)
    sync_path(target.parent)


def _rename_new(temporary: Path, target: Path) -> None:
    try:
        if temporary.is_dir():
            # mkdir claims the name; a directory may be renamed over an empty one
            target.mkdir()
            temporary.rename(target)
        else:
            os.link(temporary, target)
            temporary.unlink()
    except OSError as exc:
        if exc.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
            raise EditError(f'{target} exists and may not be replaced (overwriteAllowed is False)') from exc
        raise


def _swap(temporary: Path, target: Path) -> None:
    if not os.path.lexists(target):
        temporary.rename(target)
        return
    if _exchange(temporary, target):
        remove(temporary)
        return
    old = temporary_name(target)
    target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        old.rename(target)
        raise
    remove(old)


def _exchange(one: Path, two: Path) -> bool:
    """Let two names change places in one step (Linux's renameat2); return whether that could be done."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return bool(call(_HERE, os.fsencode(one), _HERE, os.fsencode(two), _EXCHANGE) == 0)


def _remove_left(target: Path) -> None:
    """Remove the temporary files of killed writers of ``target``: their locks are free."""
    for left in target.parent.glob(f'.{glob.escape(target.name)}.*.tmp'):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _YOUNG:
                with _lock(left):
                    remove(left)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock on a file or directory, which goes with the process.

    :raises OSError: another process has it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or a directory with all it holds; nothing there is as good."""
    remover: Callable[[Path], object] = (
        shutil.rmtree if path.is_dir() and not path.is_symlink() else os.unlink
    )
    with contextlib.suppress(FileNotFoundError):
        try:
            remover(path)
        except PermissionError:
            # folders in it are read-only, which says nothing of the whole
            for folder, _, _ in os.walk(path):
                Path(folder).chmod(stat.S_IRWXU)
            remover(path)
