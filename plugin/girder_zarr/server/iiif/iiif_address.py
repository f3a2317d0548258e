"""Addresses below ``/iiif/``: what each names, and the base URIs of images and folders."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from girder_zarr.errors import NotFoundError

DOORS = ('item', 'folder', 'k')
INFORMATION = 'info.json'
MANIFESTS = ('manifest', 'manifest.json')
#: Characters of an address below ``/iiif/``, as it is sent.
MAX_PATH = 8192
_SELECTOR = re.compile(r'(.+);(frame|page)=([0-9]{1,9})', re.DOTALL)
_ZARR = re.compile(r'(https?://[^?#]+?)/zarr/(item|k)/([^/?#]+?)(?:\.zarr)?(?:/@\w+)*/?')


class Identifier(NamedTuple):
    """A part of an address that names something: an id, a share key, or a path below a folder.

    :param frame: of an image; the first one where none is named. :param page: of a folder, counted from 1.
    """

    name: str
    frame: int = 0
    page: int | None = None


class IiifAddress(NamedTuple):
    """An address, parsed.

    :param door: 'item', 'folder' or 'k'. :param name: an id or a share key.
    :param below: for a link to a folder: the id of what is meant in it, or its path.
    :param resource: 'base', 'information', 'manifest' or 'picture'.
    :param parts: region, size, rotation, and quality and format of a picture.
    """

    door: str
    name: str
    below: str | None
    frame: int
    page: int | None
    resource: str
    parts: tuple[str, str, str, str] = ('', '', '', '')


def read_address(path: str) -> IiifAddress:
    """Return what an address names.

    :param path: what comes after ``/iiif/``, not decoded, so that an encoded slash is no slash.
    :raises NotFoundError: addresses of this form lead nowhere.
    """
    try:
        parts = [unquote(part, errors='strict') for part in path.split('/')] if len(path) <= MAX_PATH else []
    except UnicodeDecodeError:
        parts = []
    if len(parts) > 2 and not parts[-1]:
        parts.pop()
    if len(parts) < 2 or parts[0] not in DOORS or not all(parts) or '\0' in path + ''.join(parts):
        raise _nowhere()
    door, rest = parts[0], parts[2:]
    named = [parts[1]]
    if door == 'k' and rest and len(rest) in (1, 2, 5) and (len(rest) > 1 or not _is_document(rest[0])):
        named.append(rest.pop(0))
    resource = _resource(rest)
    *above, last = [_identifier(one) for one in named]
    if any(one.frame or one.page for one in above):
        raise _nowhere()
    name = above[0].name if above else last.name
    below = last.name if above else None
    picture = tuple(rest) if resource == 'picture' else ('', '', '', '')
    return IiifAddress(door, name, below, last.frame, last.page, resource, picture)  # type: ignore[arg-type]


def _is_document(part: str) -> bool:
    return part == INFORMATION or part in MANIFESTS


def _resource(rest: list[str]) -> str:
    if not rest:
        return 'base'
    if len(rest) == 4:
        return 'picture'
    if len(rest) == 1 and _is_document(rest[0]):
        return 'information' if rest[0] == INFORMATION else 'manifest'
    raise _nowhere()


def _identifier(text: str) -> Identifier:
    match = _SELECTOR.fullmatch(text)
    if match is None:
        return Identifier(text)
    number = int(match[3])
    if match[2] == 'frame':
        return Identifier(match[1], frame=number)
    return Identifier(match[1], page=number)


def base_address(site: str, door: str, name: str, below: str | None = None) -> str:
    """Return the base URI of an image, or that of a folder, without a slash at its end.

    :param site: that of the server, such as ``https://girder.example``.
    """
    parts = [door, name] if below is None else [door, name, below]
    return '/'.join([f'{site}/iiif', *(quote(part, safe='') for part in parts)])


def address_beside(url: str) -> tuple[str, str, str] | None:
    """Return door, name and base URI of the same image below ``/iiif``, or None where there is none.

    :param url: below ``/zarr``, of an item or of what a link names, perhaps in a form such as ``@zstd``.
    """
    match = _ZARR.fullmatch(url)
    return (
        None if match is None else (match[2], match[3], base_address(match[1], match[2], unquote(match[3])))
    )


def _nowhere() -> NotFoundError:
    return NotFoundError('There is nothing at this address.')
