"""What lies beside an edited image in its hierarchy: labels, tables, further groups, arrays and files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from girder_zarr.errors import EditError
from girder_zarr.image.store.zarr_names import METADATA_KEYS, ROOT_KEYS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from girder_zarr.image.store.keystore import KeyStore
    from girder_zarr.image.write.outlet import Outlet

LABELS = 'labels/'
#: Where a chunk of an array at the root lies, in zarr v3 and v2.
_ROOT_CHUNK = re.compile(r'c(?:[/.]\d+)*|\d+(?:[/.]\d+)*')


@dataclass(frozen=True)
class Beside:
    """All files of a hierarchy that are neither the image nor its metadata.

    :param labels: their keys below ``labels``; ``others``: all other keys.
    """

    store: KeyStore
    labels: tuple[str, ...]
    others: tuple[str, ...]

    @classmethod
    def of(cls, store: KeyStore, arrays: Iterable[str], made: Iterable[str]) -> Beside:
        """Return what lies beside an image.

        :param arrays: the paths of its levels.
        :param made: the paths of groups that are written anew as well.
        """
        paths = [path.strip('/') for path in arrays]
        root = '' in paths
        below = tuple(f'{path}/' for path in (*paths, *made) if path)
        found = [
            key
            for key in store.keys('')
            if key not in METADATA_KEYS
            and not key.startswith(below)
            and not (root and _ROOT_CHUNK.fullmatch(key))
        ]
        labels = tuple(key for key in found if key.startswith(LABELS))
        return cls(store, labels, tuple(key for key in found if not key.startswith(LABELS)))

    def taken(self) -> set[str]:
        """Return the names at the root that are in use."""
        return {key.partition('/')[0] for key in (*self.labels, *self.others)}

    @staticmethod
    def check_format(zarr_format: int, keys: Iterable[str]) -> None:
        """Raise EditError where groups or arrays are of another zarr format than what is written.

        :param keys: of what is kept.
        """
        own = ('zarr.json',) if zarr_format == 2 else ROOT_KEYS[1:]
        other = next((key for key in keys if key.rpartition('/')[2] in own), None)
        if other is not None:
            raise EditError(
                f'{other.rpartition("/")[0]} cannot be kept: it is zarr v{5 - zarr_format}, and the image '
                f'would be zarr v{zarr_format}. Write it in the version that it has, or leave out what lies '
                'beside it with labels=False, others=False'
            )

    def documents(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the metadata files among some keys."""
        names = [name for name in keys if name.rpartition('/')[2] in ROOT_KEYS]
        found = {name: self.store.read(name) for name in names}
        return {name: content for name, content in found.items() if content is not None}

    def copy(self, outlet: Outlet, keys: Collection[str]) -> None:
        """Write the files of some keys as they are."""
        for name in keys:
            content = self.store.read(name)
            if content is None:
                raise EditError(
                    f'{name} beside the image cannot be read, so that it would be lost: a link to nothing? '
                    'Leave out what lies beside with labels=False, others=False, or write to another file'
                )
            outlet.put(name, content)


def level_paths(stored: Iterable[str], taken: Collection[str], count: int) -> tuple[str, ...]:
    """Return the paths of an image's levels: those that the file has, then free ones of the same kind.

    :param stored: paths of the file's levels; they are numbered where every one is a number in a word.
    :param taken: names that cannot be used.
    :param count: how many are wanted at most.
    """
    found = [path.strip('/') for path in stored]
    if not all(found):
        found = []
    first = found[0] if found else '0'
    pattern = '{}'.join(first.rpartition('0')[::2]) if '0' in first and '/' not in first else '{}'
    if any(path != pattern.format(index) for index, path in enumerate(found)):
        pattern = '{}'
    while len(found) < count:
        name = pattern.format(len(found))
        while name in found or name in taken:
            name += '_'
        found.append(name)
    return tuple(found)
