"""What a user sees in Chromium: the stitched picture, its session, the administrator's page."""

import numpy as np
import pytest

from girder_zarr.stack.demo_job import read_picture
from support.browser import check_accessible, keep_screenshot, wait_for_picture


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


def test_an_administrator_changes_the_order_of_sources(page, stack, girder, results, folder, tmp_path):
    stitched = next(picture.item_id for picture in results.pictures if picture.session_id)
    file = next(iter(girder.listFile(stitched)))
    girder.downloadFile(file['_id'], str(tmp_path / 'copy.zip'))
    girder.uploadFileToFolder(folder, str(tmp_path / 'copy.zip'))
    item = next(iter(girder.listItem(folder)))['_id']
    page.goto(f'{stack.url}#plugins/zarr/config')
    page.locator('.g-zarr-extension').fill('zip')
    page.locator('.g-zarr-source:first-child[data-source="zarr"]').wait_for()
    first = page.locator('.g-zarr-source').first
    page.get_by_role('button', name='Ask zarr later', exact=True).press('Enter')
    page.locator('.g-zarr-source:nth-child(2)[data-source="zarr"]').wait_for()
    # The button that was pressed has moved, and the focus with it.
    assert page.evaluate('document.activeElement.getAttribute("aria-label")') == 'Ask zarr later'
    other = first.get_attribute('data-source')
    asked = girder.get(f'zarr/item/{item}/source', parameters={'probe': False})['sources']
    names = [source['source'] for source in asked]
    assert names.index(other) < names.index('zarr')
    page.locator('.g-zarr-source[data-source="zarr"]').drag_to(first)
    page.locator('.g-zarr-source:first-child[data-source="zarr"]').wait_for()
    page.get_by_role('checkbox', name=f'Ask {other} at all', exact=True).click()
    page.locator(f'.g-zarr-source-off[data-source="{other}"]').wait_for()
    page.get_by_label('Item: its id').fill(f'{stack.url}#item/{item}')
    page.get_by_role('button', name='Explain').click()
    page.locator('.g-zarr-explanation-chosen', has_text='zarr').wait_for()
    check_accessible(page, '.g-zarr-page')
    keep_screenshot(page, 'settings')
    page.get_by_role('button', name='Reset all extensions').click()
    page.locator('#g-confirm-button').click()
    page.locator(f'.g-zarr-source:not(.g-zarr-source-off)[data-source="{other}"]').wait_for()
    assert girder.get('system/setting', parameters={'key': 'zarr.source_priorities'}) == {}
