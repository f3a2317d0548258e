"""What a user sees in Chromium: the stitched picture, and its session."""

import numpy as np
import pytest

from girder_zarr.stack.demo_job import read_picture
from support.browser import keep_screenshot, wait_for_picture


@pytest.mark.parametrize('name', ['retina.jpg', 'ihc.png', 'hubble_deep_field.jpg'])
def test_the_viewer_shows_the_pixels_of_the_picture(page, stack, results, name):
    item = next(picture.item_id for picture in results.pictures if picture.name == name)
    page.goto(f'{stack.url}#item/{item}')
    viewer = page.locator('.geojs-map')
    viewer.locator('canvas').first.wait_for()
    viewer.scroll_into_view_if_needed()
    shown, expected = wait_for_picture(viewer, read_picture(name))
    difference = np.abs(shown.mean(axis=(0, 1)) - expected.mean(axis=(0, 1)))
    assert difference.max() < 3, f'the mean color is off by {difference}'


def test_the_folder_page_lists_the_sessions_with_their_results(page, stack, results):
    page.goto(f'{stack.url}#folder/{results.folder_id}')
    for picture in results.pictures:
        if picture.session_id is None:
            continue
        row = page.locator(f'.g-stitch-sessions .g-stitch-session[data-session-id="{picture.session_id}"]')
        row.wait_for()
        assert picture.name in row.inner_text()
        assert row.locator('.g-stitch-session-state').inner_text() == 'complete'
        link = row.locator('a.g-stitch-session-result')
        assert link.get_attribute('href') == f'#item/{picture.item_id}'
    keep_screenshot(page, 'folder')
    link.click()
    page.wait_for_url(f'**#item/{picture.item_id}*')
    page.locator('.geojs-map canvas').first.wait_for()


def test_a_session_appears_and_advances_without_a_reload(page, stack, girder, results):
    from girder_zarr.client import StitchClient

    collection = girder.createCollection('watched')
    folder = girder.createFolder(collection['_id'], 'work', parentType='collection')['_id']
    client = StitchClient(girder)
    session = client.create(folder, 'watched')['_id']
    page.goto(f'{stack.url}#folder/{folder}')
    row = page.locator(f'.g-stitch-session[data-session-id="{session}"]')
    row.wait_for()
    assert row.locator('.g-stitch-session-state').inner_text() == 'open'
    client.put_patch(session, 'a', np.full((64, 64), 200, np.uint8), 0, 0)
    client.finalize(session)
    client.wait(session)
    row.locator('a.g-stitch-session-result').wait_for()
    assert row.locator('.g-stitch-session-state').inner_text() == 'complete'
