"""The names in an archive: which are refused, and where the hierarchy begins.

People zip the folder as often as what is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder_zarr.errors import UnreadableImageError

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


def check_names(names: list[str], where: str) -> None:
    """Refuse names that lead out of the hierarchy.

    :raises UnreadableImageError: one does.
    """
    joined = ''.join(names)
    if '\0' in joined or '\\' in joined:
        _refuse_name(next(name for name in names if '\0' in name or '\\' in name), where)
    for name in names:
        if ('..' in name or name[:1] in ('/', '') or name[1:2] == ':') and _leads_out(name):
            _refuse_name(name, where)


def _leads_out(name: str) -> bool:
    return name[0:1] in ('/', '') or '..' in name.split('/') or (name[1:2] == ':' and name[0].isalpha())


def _refuse_name(name: str, where: str) -> None:
    msg = f'{where} has an entry named {name[:200]!r}; names have to be relative and without .. or backslash.'
    raise UnreadableImageError(msg)
