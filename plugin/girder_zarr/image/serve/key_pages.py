"""Keys of a tree in the order of S3's listings, page by page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from girder_zarr.image.store.entries import Listed

from .value_keys import is_possible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .tree import Tree

#: The most keys of one page, as in S3, and the most folders that are looked into for it.
MAX_KEYS, MAX_FOLDERS = 1000, 2000


@dataclass
class Page:
    """A part of a listing.

    :param values: with their whole keys, and sizes. :param prefixes: folders, each ending with a slash.
    :param following: begin the next page after this key; None: there is nothing more.
    """

    values: list[Listed] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    following: str | None = None


def list_page(tree: Tree, prefix: str, after: str, count: int, *, flat: bool) -> Page:
    """Return the first keys that begin with a prefix and come after a key.

    The order is that of S3, by code points of the whole key: a folder stands where its name with the slash
    does, so that going through the folders one after the other gives it.

    :param flat: the keys of all folders below; otherwise the folders themselves, as with the delimiter '/'.
    :raises UnreadableImageError: the tree cannot be listed.
    """
    page = Page()
    folder = prefix.rpartition('/')[0]
    if count < 1 or (folder and not is_possible(folder)) or prefix.startswith('/'):
        return page
    last, folders = after, [MAX_FOLDERS]
    for key, one in _walk(tree, folder, prefix, after, folders, flat=flat):
        if one is None:  # enough folders for one page
            page.following = key
            return page
        if len(page.values) + len(page.prefixes) >= count:
            page.following = last
            return page
        last = key
        if key.endswith('/'):
            page.prefixes.append(key)
            last = key + chr(0x10FFFF)
        elif (value := _sized(tree, key, one)) is not None:
            page.values.append(value)
    return page


def _walk(
    tree: Tree, folder: str, prefix: str, after: str, left: list[int], *, flat: bool
) -> Iterator[tuple[str, Listed | None]]:
    """Iterate over the keys of a folder; ends with (key, None) where the folders of one page are used up."""
    if left[0] <= 0:
        yield max(after, folder + '/'), None
        return
    left[0] -= 1
    above = folder + '/' if folder else ''
    for one in sorted(tree.listed(folder)):
        key = above + one.name
        is_folder = key.endswith('/')
        if not _is_between(key, prefix, after):
            continue
        if not is_folder:
            yield key, one
        elif flat or not key.startswith(prefix):
            for found in _walk(tree, key[:-1], prefix, after, left, flat=flat):
                yield found
                if found[1] is None:
                    return
        elif not after.startswith(key + chr(0x10FFFF)):
            yield key, one


def _is_between(key: str, prefix: str, after: str) -> bool:
    """Whether a key, or anything in a folder, begins with a prefix and comes after a key."""
    if not is_possible(key.removesuffix('/')):
        return False
    if key.endswith('/'):
        return (key.startswith(prefix) or prefix.startswith(key)) and (key > after or after.startswith(key))
    return key.startswith(prefix) and key > after


def _sized(tree: Tree, key: str, one: Listed) -> Listed | None:
    """Return a value with its whole key and all that is known; None where it has gone meanwhile."""
    if one.size is not None:
        return one._replace(name=key)
    entry = tree.entry(key)
    if entry is None:
        return None
    try:
        return Listed(key, entry.size, entry.identity, entry.modified)
    finally:
        entry.close()
