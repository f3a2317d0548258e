"""The pages of items, in the browser."""

import io

import pytest

from support.browser import check_accessible, keep_screenshot


@pytest.fixture
def stitched(results):
    """An item that a session has made."""
    return next(picture.item_id for picture in results.pictures if picture.session_id)


def test_an_item_says_what_its_file_holds(page, stack, stitched):
    page.goto(f'{stack.url}#item/{stitched}')
    page.get_by_text('OME-Zarr: what the file holds').click()
    panel = page.locator('.g-zarr-panel')
    panel.get_by_text('OME-NGFF 0.5, zarr v3').wait_for()
    assert panel.locator('.g-zarr-levels tbody tr').count() > 1
    assert stitched in panel.get_by_label('Address of the tiles', exact=True).inner_text()
    check_accessible(page, '.g-zarr-item')
    keep_screenshot(page, 'item')
    page.get_by_text('OME-Zarr: what the file holds').click()
    page.get_by_text('Tile source: who opens this item, and why').click()
    page.locator('.g-zarr-explanation-chosen', has_text='zarr').wait_for()
    check_accessible(page, '.g-zarr-item')
    keep_screenshot(page, 'why-source')


def test_a_file_that_cannot_be_read_says_why(page, stack, girder, folder):
    data = b'PK\x05\x06' + bytes(18)
    item = girder.createItem(folder, 'broken.zarr.zip')
    file = girder.uploadFile(item['_id'], io.BytesIO(data), 'broken.zarr.zip', len(data))
    assert file['size'] == len(data)
    page.goto(f'{stack.url}#item/{item["_id"]}')
    message = page.locator('.g-zarr-item .alert')
    message.get_by_text('This file cannot be shown as an image.').wait_for()
    assert len(message.inner_text().splitlines()[0]) > len('This file cannot be shown as an image. ')
