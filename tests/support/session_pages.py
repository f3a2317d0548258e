"""The pages of stitch sessions as a person uses them, and what comes out."""

from __future__ import annotations

import io

import numpy as np
import zarr
from PIL import Image


def send(page):
    """Make the session that the page of a new one describes, and begin to send; wait for its page."""
    page.get_by_role('button', name='Create the session and upload').click()
    page.wait_for_url('**#stitch_session/*')


def finalized(page, girder):
    """Finalize the session of a page; return it when it is complete."""
    page.get_by_role('button', name='Finalize').click()
    page.locator('.g-zarr-session[data-state="complete"]').wait_for()
    return girder.get(f'stitch_session/{page.url.rpartition("/")[2]}')


def pixels_of_item(girder, item):
    """Return the pixels of an item as a viewer sees them, in RGB."""
    answer = girder.get(f'item/{item}/tiles/region', parameters={'encoding': 'PNG'}, jsonResp=False)
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert('RGB'))


def stored_pixels(girder, session, folder):
    """Return the full resolution of the image of a session, as zarr itself reads it, without axes of one."""
    path = folder / 'image.zarr.zip'
    girder.downloadFile(session['fileId'], str(path))
    return np.squeeze(zarr.open_group(zarr.storage.ZipStore(path, mode='r'), mode='r')['0'][...])


def assert_fits(page):
    """Fail where something of ours makes the page wider than its window."""
    wide = page.evaluate(
        """() => [...document.querySelectorAll('[class*="g-zarr"], [class*="g-stitch"]')]
            .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
            .filter((one) => !one.closest('.table-responsive'))
            .map((one) => one.className)"""
    )
    assert not wide


def in_girder(girder, folder, files):
    """Upload files as items of a folder: {name: bytes}."""
    for name, data in files.items():
        girder.uploadStreamToFolder(folder, io.BytesIO(data), name, len(data))


def encoded(pixels):
    """Return pixels as a PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG')
    return stream.getvalue()


def quarters(picture, side=256):
    """The four quarters of a picture of twice the side: {name: pixels}."""
    return {f'part_x{x}_y{y}.png': picture[y : y + side, x : x + side] for y in (0, side) for x in (0, side)}


def sent_requests(page, word):
    """Requests of which the address ends with a word, from now on."""
    found = []
    page.on('request', lambda request: found.append(request) if request.url.endswith(word) else None)
    return found
