"""A path or a ByteSource to a zarr store. The content decides what it is: an assetstore keeps no suffixes."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from girder_zarr.errors import MissingImageError, UnreadableImageError

from .bytesource import ByteSource, FileBytes, file_identity
from .entries import Entry, FileEntry, Listed
from .keystore import THREAD_MEMORY, Bytes, KeyStore, walk
from .remote import address_identity, open_address
from .sqlitestore import SQLITE_MAGIC, SqliteStore
from .zarr_names import ROOT_KEYS
from .zipstore import END_RECORD, LOCAL_MAGIC, ZipFileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

#: The folders that one directory store remembers as lying inside it: some 10 MB of names.
KNOWN_FOLDERS = 100_000
EMPTY_ZIP_MAGIC = b'PK\5\6'
#: A pipe in the place of a file is seen as one instead of being waited for.
_READ = os.O_RDONLY | os.O_NONBLOCK

#: What `bind_links` has set.
_link_roots: list[Callable[[], Iterable[str]]] = []


def bind_links(roots: Callable[[], Iterable[str]] | None) -> None:
    """Follow links in directories of any path of this process only where they end below a root.

    For servers and workers, where jobs and converters open files of assetstores by their paths: what a link
    there leads to its owner need not be allowed to read.

    :param roots: returns folders, as absolute paths; asked each time. None: links are followed again.
    """
    _link_roots[:] = [] if roots is None else [roots]


def open_store(
    location: str | os.PathLike[str] | ByteSource | KeyStore, *, follow_links: bool = False
) -> KeyStore:
    """Return a read-only zarr store.

    :param location: a directory; the ``zarr.json``, ``.zgroup``, ``.zattrs`` or ``.zarray`` in it; a zip or
        SQLite file of any name; the address of any of these (http, https, s3, gs) on a host that
        ``addresses.py`` allows; a zip or SQLite file as a ByteSource; or a store that is open already.
    :param follow_links: read links in a directory that lead out of it, as the system does: git-annex, datalad
        and workflow engines keep every chunk so. Only for a path that the user of this process chose; after
        `bind_links` no more than its roots allow.
    :raises MissingImageError: there is nothing.
    :raises UnreadableImageError: it is something else.
    """
    if isinstance(location, KeyStore):
        return location
    if isinstance(location, (str, os.PathLike)):
        text = os.fspath(location)
        if '://' in text:
            found = open_address(text)
            return found if isinstance(found, KeyStore) else _open_bytes(found)
        if Path(text).name in ROOT_KEYS and is_root(Path(text).parent):
            # whichever of them is named: programs of zarr v2 ask for .zattrs
            return _open_directory(Path(text).parent, follow_links=follow_links)
        try:
            mode = Path(text).stat().st_mode
        except (OSError, ValueError):
            msg = f'There is no file or directory {text!r}.'
            raise MissingImageError(msg) from None
        if stat.S_ISDIR(mode):
            return _open_directory(text, follow_links=follow_links)
        if not stat.S_ISREG(mode):
            msg = f'{text} is neither a file nor a directory.'
            raise UnreadableImageError(msg)
        location = FileBytes(text)
    return _open_bytes(location)


def _open_directory(path: str | os.PathLike[str], *, follow_links: bool) -> DirectoryStore:
    if follow_links and _link_roots:
        return DirectoryStore(path, link_roots=_link_roots[0])
    return DirectoryStore(path, follow_links=follow_links)


def is_root(folder: Path) -> bool:
    """Return whether a folder has the metadata of a zarr node."""
    return any((folder / key).is_file() for key in ROOT_KEYS)


def location_identity(location: str | os.PathLike[str] | ByteSource | KeyStore) -> str:
    """Return a text that changes when what lies at a location changes; for nothing, an empty one."""
    if not isinstance(location, (str, os.PathLike)):
        return location.identity
    if '://' in os.fspath(location):
        return address_identity(os.fspath(location))
    path = Path(location)
    try:
        if path.name in ROOT_KEYS:
            path = path.parent
        status = path.stat()
        return directory_identity(os.fspath(path)) if stat.S_ISDIR(status.st_mode) else file_identity(status)
    except (OSError, ValueError):
        return ''


def _open_bytes(source: ByteSource) -> KeyStore:
    head = source.read(0, min(len(SQLITE_MAGIC), source.size))
    if head[:4] in (LOCAL_MAGIC, EMPTY_ZIP_MAGIC):
        return ZipFileStore(source)
    if head == SQLITE_MAGIC:
        return SqliteStore(source)
    if source.size >= END_RECORD.size and EMPTY_ZIP_MAGIC in source.read(
        max(0, source.size - 4096), min(4096, source.size)
    ):
        return ZipFileStore(source)
    msg = f'{source.name} is neither a zip nor an SQLite file, so it holds no zarr image.'
    raise UnreadableImageError(msg)


class DirectoryStore(KeyStore):
    """A zarr hierarchy as files and folders.

    :param path: the folder.
    :param follow_links: read all links that lead out of it.
    :param name: what messages call it, its path if not given.
    :param link_roots: returns folders, as absolute paths; links that lead out of the hierarchy are followed
        where they end below one of these. It is asked each time, since it may be a setting.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        follow_links: bool = False,
        name: str | None = None,
        link_roots: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        text = os.fspath(path) or '.'
        super().__init__(text if name is None else name, directory_identity(text))
        self._link_roots = link_roots
        self._prefix = text.rstrip('/') + '/'
        self._root = os.path.realpath(text)
        self._inside: set[str] = set()
        self._follows = follow_links

    def _path(self, key: str) -> str:
        """Return a key's path. Folders of the hierarchy that are links to other places are refused.

        :raises UnreadableImageError: the folder of the key lies elsewhere, and not below a root of links.
        """
        path = self._prefix + key
        if self._follows:
            return path
        folder = key.rpartition('/')[0]
        if folder not in self._inside:
            real = os.path.realpath(self._prefix + folder)
            self._check_inside(real, key)
            # What lies below a root of links is looked at each time: the root may be taken from the list.
            if _is_below(real, self._root):
                if len(self._inside) >= KNOWN_FOLDERS:
                    self._inside.clear()
                self._inside.add(folder)
        return path

    def _check_inside(self, real: str, key: str) -> None:
        if _is_below(real, self._root):
            return
        if not any(_is_below(real, os.path.realpath(root)) for root in self._link_roots()):
            msg = f'{key} in {self.name} is a link to another place; such links are not followed.'
            raise UnreadableImageError(msg)

    def _descriptor(self, key: str) -> int:
        """Return a descriptor of a key's file; a link has to lead to a place in the hierarchy."""
        path = self._path(key)
        if self._follows:
            return os.open(path, os.O_RDONLY)
        try:
            return os.open(path, _READ | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        real = os.path.realpath(path)
        self._check_inside(real, key)
        return os.open(real, _READ | os.O_NOFOLLOW)

    def read(self, key: str, limit: int | None = None) -> bytes | None:
        """Return a value; see the base class."""
        view = self._read(key, 0, None, limit, scratch=False)
        return None if view is None else bytes(view)

    def read_view(self, key: str, limit: int) -> Bytes | None:
        """Return a value for a moment; see the base class."""
        return self._read(key, 0, None, limit, scratch=True)

    def read_range(self, key: str, start: int, length: int) -> bytes | None:
        """Return a part of a value; see the base class."""
        view = self._read(key, start, length, None, scratch=False)
        return None if view is None else bytes(view)

    def _read(
        self, key: str, start: int, length: int | None, limit: int | None, *, scratch: bool
    ) -> Bytes | None:
        try:
            descriptor = self._descriptor(key)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
            return None
        except OSError as error:
            raise self._unreadable(key, error) from None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return None
            self._check_size(status.st_size, limit, key)
            first, length = self._range(
                start, status.st_size if length is None else length, status.st_size, key
            )
            if scratch:
                memory = THREAD_MEMORY.take(length)
                found = os.preadv(descriptor, [memory], first)
                data: Bytes = memory
            else:
                data = os.pread(descriptor, length, first)
                found = len(data)
        except OSError as error:
            raise self._unreadable(key, error) from None
        finally:
            os.close(descriptor)
        if found != length:
            msg = f'{key} in {self.name} gave {found} of {length} bytes.'
            raise UnreadableImageError(msg)
        return data

    def version(self, key: str) -> Hashable | None:
        """Return what identifies the content of a key's file; see the base class."""
        try:
            status = os.stat(self._prefix + key)  # noqa: PTH116 - a Path for each chunk takes longer
        except (OSError, ValueError):
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def entry(self, key: str) -> Entry | None:
        """Return a value to be handed on; see the base class."""
        try:
            descriptor = self._descriptor(key)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # no file can have such a name
                return None
            raise self._unreadable(key, error) from None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        return FileEntry(descriptor, f'{key} in {self.name}', file_identity(status), status)

    def listed(self, folder: str) -> list[Listed]:
        """Return what lies directly in a folder; see the base class.

        Links are left out, but for those of files where an administrator or program lets them lead out.
        """
        if folder:
            self._check_inside(os.path.realpath(self._prefix + folder), folder)
        found = []
        try:
            with os.scandir(self._prefix + folder) as inside:
                for entry in inside:
                    if entry.is_dir(follow_symlinks=False):
                        found.append(Listed(entry.name + '/'))
                    elif entry.is_file(follow_symlinks=False) or self._is_followed(entry, folder):
                        found.append(Listed(entry.name))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return []
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return []
            raise self._unreadable(folder, error) from None
        return found

    def _is_followed(self, entry: os.DirEntry[str], folder: str) -> bool:
        if not entry.is_symlink() or not self._link_roots():
            return False
        return self.has(f'{folder}/{entry.name}' if folder else entry.name)

    def _unreadable(self, key: str, error: OSError) -> UnreadableImageError:
        return UnreadableImageError(f'{key} in {self.name} cannot be read: {error.strerror or error}.')

    def has(self, key: str) -> bool:
        """Return whether there is such a key; none is seen through a link that is not followed."""
        try:
            path = self._path(key)
            if os.path.islink(path):  # noqa: PTH114 - as quick as it can be: a plate asks for many
                self._check_inside(os.path.realpath(path), key)
        except (UnreadableImageError, ValueError):
            return False
        return Path(path).is_file()

    def names(self, folder: str) -> list[str]:
        """Return what lies directly in a folder; see the base class."""
        try:
            self._path(folder.rstrip('/') + '/' if folder else '')
            with os.scandir(self._prefix + folder) as found:
                return sorted(entry.name + '/' if entry.is_dir() else entry.name for entry in found)
        except (OSError, UnreadableImageError):
            return []

    def keys(self, prefix: str = '') -> Iterator[str]:
        """Iterate over all keys that begin with ``prefix``."""
        return walk(self.names, prefix)


def _is_below(real: str, root: str) -> bool:
    return real == root or real.startswith(root.rstrip('/') + '/')


def directory_identity(path: str) -> str:
    """Return a text that changes when a hierarchy's metadata is written again."""
    found = []
    for key in ROOT_KEYS:
        try:
            found.append(file_identity((Path(path) / key).stat()))
        except OSError:
            found.append('-')
    return ','.join(found)
