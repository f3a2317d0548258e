"""Where in an archive the hierarchy begins: people zip the folder as often as what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .zarr_names import ROOT_KEYS

if TYPE_CHECKING:
    from collections.abc import Collection

#: What Finder and others put beside the folder that was zipped.
CLUTTER = ('__MACOSX', '.DS_Store', 'Thumbs.db', 'desktop.ini')


def find_top(names: Collection[str]) -> str:
    """Return the prefix of the folder that holds the image: the root or the only folder in it."""
    top = ''
    while not any(top + key in names for key in ROOT_KEYS):
        below = (name[len(top) :] for name in names if name.startswith(top))
        inside = {name.split('/', 1)[0] for name in below if '/' in name}
        inside.difference_update(CLUTTER)
        if len(inside) != 1:
            return ''
        top += inside.pop() + '/'
    return top
