"""A hierarchy whose keys are asked for one by one: over HTTP, in S3, in Girder. Metadata is cached."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from abc import abstractmethod
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from girder_zarr.common.cache import LRU, Uncached
from girder_zarr.common.request_pool import REQUESTS, Request
from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.limits import DEFAULT, load_json

from .entries import MAX_WHOLE_BYTES, BytesEntry, Entry
from .keystore import KeyStore, walk
from .zarr_names import METADATA_KEYS, V2_KEYS

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

#: Bytes of metadata that one store caches: the documents of a plate of some thousand fields. A document of
#: more than the second is a root that is read once.
MAX_CACHE_BYTES, MAX_CACHED_DOCUMENT = 32 * 2**20, 4 * 2**20
#: What an entry of the cache takes beside the document, so that absent keys count too.
ENTRY_BYTES = 100
#: The most folders that are looked into to list keys; each is a request.
MAX_FOLDERS = 10_000
#: The most entries of one folder: a thousand requests of S3.
MAX_LISTED = 1_000_000
#: The most documents that one opening fetches ahead: the levels of an image of many series.
MAX_PREFETCHED = 256
#: What such a document is taken to need in memory; nearly all are smaller.
DOCUMENT_BYTES = 64 * 2**10
#: Opened images are looked at again after so many seconds; documented in docs/reading.md.
FRESH_SECONDS = 300.0

_openings = itertools.count()


class ObjectStore(KeyStore):
    """Keys that each cost a request. Consolidated metadata is used where the root has it.

    Zarr v3 keeps it in the root's ``zarr.json`` (``consolidated_metadata``, as zarr-python 3 writes it), v2
    in ``.zmetadata``. What lies below a root has the root's format (as zarr has it), so that the keys of the
    other one are not asked for.
    """

    is_remote = True
    has_fast_lookup = False
    has_lasting_versions = False

    def __init__(self, name: str, identity: str) -> None:
        super().__init__(name, identity)
        self._cache: LRU[str, bytes | None] = LRU(
            max_bytes=MAX_CACHE_BYTES, size_of=lambda data: len(data or b'') + ENTRY_BYTES
        )
        self._consolidated_nodes: dict[str, dict[str, Any]] | None = None
        self._opening = next(_openings)

    @abstractmethod
    def fetch(self, key: str, start: int | None, length: int) -> bytes | None:
        """Return bytes of a value, or None where there is no such key.

        :param start: None: the whole value, which has at most ``length`` bytes. Otherwise exactly ``length``
            bytes from there; negative counts from the end.
        :raises UnreadableImageError: it is larger or smaller, or cannot be read.
        """

    def list_folder(self, folder: str) -> list[str] | None:
        """Return what lies directly in a folder, folders ending with a slash; None where it is not known."""
        del folder
        return None

    def read(self, key: str, limit: int | None = None) -> bytes | None:
        """Return a value; see the base class."""
        max_bytes = DEFAULT.zip_entry_bytes if limit is None else limit
        if key.rpartition('/')[2] not in METADATA_KEYS:
            return self.fetch(key, None, max_bytes)
        return self._cache.fetch(key, lambda: self._read_metadata(key, max_bytes))

    def _read_metadata(self, key: str, max_bytes: int) -> bytes | Uncached[bytes | None] | None:
        if '/' in key and self._is_of_other_format(key):
            return None
        data = self._consolidated(key) if '/' in key else None
        if data is None:
            data = self.fetch(key, None, min(max_bytes, DEFAULT.json_bytes))
        return Uncached(data) if data is not None and len(data) > MAX_CACHED_DOCUMENT else data

    def _is_of_other_format(self, key: str) -> bool:
        """Return whether a key below the root is one that the format of the root does not have."""
        version = self._format()
        return version is not None and (key.rpartition('/')[2] == 'zarr.json') != (version == 3)

    def _format(self) -> int | None:
        """Return the root's zarr format, or None where the root holds no metadata."""
        if self.read('zarr.json') is not None:
            return 3
        return 2 if any(self.read(key) is not None for key in V2_KEYS) else None

    def prefetch_metadata(self, nodes: Iterable[str]) -> None:
        """Ask for the metadata of arrays and groups at once; see the base class."""
        version = self._format() if self.supports_batch else None
        if version is None:
            return
        keys = [f'{node}/zarr.json' if version == 3 else f'{node}/.zarray' for node in nodes if node]
        keys = [key for key in dict.fromkeys(keys) if key not in self._cache and key not in self._documents()]
        if len(keys) > 1:
            wanted = [Request(DOCUMENT_BYTES, partial(self._try, key)) for key in keys[:MAX_PREFETCHED]]
            deque(REQUESTS.run(self.source, wanted), maxlen=0)

    def _try(self, key: str) -> None:
        with suppress(UnreadableImageError):  # raised again by the read that needs it
            self.read(key)

    def version(self, key: str) -> Hashable | None:
        """Return what changes when a value may have changed; see the base class.

        Nothing is known of the objects themselves, so that what was made from them counts for this opening
        of the image, and for some minutes.
        """
        del key
        return self._opening, time.monotonic() // FRESH_SECONDS

    def read_range(self, key: str, start: int, length: int) -> bytes | None:
        """Return a part of a value; see the base class."""
        return self.fetch(key, start, length)

    def has(self, key: str) -> bool:
        """Return whether there is such a key."""
        if key.rpartition('/')[2] in METADATA_KEYS:
            return self.read(key) is not None
        return self.fetch(key, 0, 1) is not None

    def _consolidated(self, key: str) -> bytes | None:
        found = self._documents().get(key)
        return None if found is None else json.dumps(found).encode()

    def _documents(self) -> dict[str, dict[str, Any]]:
        """Return the consolidated metadata by key; empty where there is none."""
        if self._consolidated_nodes is None:
            found: dict[str, Any] = {}
            try:
                root = self.read('zarr.json', DEFAULT.json_bytes)
                if root is not None:
                    inner = load_json(root, 'zarr.json').get('consolidated_metadata')
                    nodes = inner.get('metadata') if isinstance(inner, dict) else None
                    if isinstance(nodes, dict):
                        found = {f'{path}/zarr.json': value for path, value in nodes.items()}
                else:
                    data = self.read('.zmetadata', DEFAULT.json_bytes)
                    nodes = load_json(data, '.zmetadata').get('metadata') if data is not None else None
                    found = nodes if isinstance(nodes, dict) else {}
            except UnreadableImageError:
                found = {}  # the metadata of each node still counts
            self._consolidated_nodes = {key: value for key, value in found.items() if isinstance(value, dict)}
        return self._consolidated_nodes

    def names(self, folder: str) -> list[str]:
        """Return what lies directly in a folder; see the base class.

        Where nothing can be listed, the nodes that the consolidated metadata names.
        """
        listed = self.list_folder(folder)
        if listed is not None:
            return sorted(listed)
        prefix = folder + '/' if folder else ''
        found = set()
        for key in self._documents():
            if key.startswith(prefix):
                name, slash, _ = key[len(prefix) :].partition('/')
                found.add(name + slash)
        return sorted(found)

    def entry(self, key: str) -> Entry | None:
        """Return a value to be handed on; see the base class. What is kept of metadata does not count."""
        data = self.fetch(key, None, MAX_WHOLE_BYTES)
        return None if data is None else BytesEntry(data, hashlib.sha256(data).hexdigest())

    def keys(self, prefix: str = '') -> Iterator[str]:
        """Iterate over all keys that begin with ``prefix``."""
        return walk(self.names, prefix, MAX_FOLDERS)
