"""Private images on a real server, each with its pixels and an address that is shared by a link."""

from __future__ import annotations

import io
import json
from typing import Any, NamedTuple

import girder_client
import numpy as np
import tifffile

from support.waiting import wait_until


class Shared(NamedTuple):
    """A private image and the way to it.

    :param pixels: (c, y, x), as they are at full resolution. :param url: of its share link.
    """

    item_id: str
    pixels: np.ndarray
    url: str


def slide_tiff(pixels: np.ndarray) -> bytes:
    """Return (y, x, 3) of uint8 as a slide is stored: tiles of each level in a page, without loss."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        for step in (1, 2, 4):
            level = np.ascontiguousarray(pixels[::step, ::step])
            file.write(level, tile=(128, 128), photometric='rgb', compression='deflate', metadata=None)
    return stream.getvalue()


def private_folder(girder: girder_client.GirderClient, name: str) -> str:
    """Make a folder that its owner alone may read; return its id."""
    parent = girder.get('user/me')['_id']
    folder: dict[str, Any] = girder.createFolder(
        parent, name, parentType='user', public=False, reuseExisting=True
    )
    return str(folder['_id'])


def share(girder: girder_client.GirderClient, **target: str) -> str:
    """Make a link to ``itemId``, ``folderId`` or ``sessionId``; return its address."""
    return str(girder.post('zarr_link', data=json.dumps(target))['url'])


def share_file(girder: girder_client.GirderClient, folder: str, name: str, body: bytes) -> str:
    """Upload an image; return the id of its item once it is one."""
    file = girder.uploadFile(folder, io.BytesIO(body), name, len(body), parentType='folder')
    item_id: str = file['itemId']
    make_image(girder, item_id)
    return item_id


def make_image(girder: girder_client.GirderClient, item_id: str) -> None:
    """Make an item an image, unless Girder does so by itself, as the settings of the moment say."""
    try:
        girder.post(f'item/{item_id}/tiles')
    except girder_client.HttpError as error:
        if 'already has' not in error.responseText:
            raise
    wait_until(lambda: girder.getItem(item_id).get('largeImage', {}).get('fileId'), what='the image')
