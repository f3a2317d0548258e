"""What was done to make an image, read from the image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import LimitExceededError, UnreadableImageError
from girder_zarr.image.hierarchy.opening import open_hierarchy
from girder_zarr.image.store.stores import open_store

from .provenance import DOCUMENT

if TYPE_CHECKING:
    from girder_zarr.image.store.bytesource import ByteSource

#: Patches of a report that is read as a whole, each with some pairs; its bytes are far below the second.
MAX_PATCHES = 50_000
MAX_BYTES = 2**27


def read_report(source: ByteSource) -> dict[str, Any] | None:
    """Return what `provenance.describe` wrote into a stitched image, with all patches; None if there is none.

    :param source: a zip or database of a hierarchy.
    :raises UnreadableImageError: it is no such file, or damaged.
    :raises LimitExceededError: there are more than ``MAX_PATCHES``.
    """
    store = open_store(source)
    found = open_hierarchy(store).series[0].multiscale.extra.get('stitch')
    if not isinstance(found, dict):
        return None
    if found.get('document') != DOCUMENT:
        return found
    if int(found.get('count', 0)) > MAX_PATCHES:
        msg = (
            f'The report lists {found["count"]} patches; the limit is {MAX_PATCHES}. '
            f'It is {DOCUMENT} in the result.'
        )
        raise LimitExceededError(msg)
    content = store.read(DOCUMENT, MAX_BYTES)
    if content is None:
        msg = f'{source.name}: its report {DOCUMENT} is missing.'
        raise UnreadableImageError(msg)
    document: dict[str, Any] = json.loads(content)
    return document
