"""The image of a session in full screen: it fills it, its controls work, and all is as before after it."""

from contextlib import suppress

import numpy as np
import pytest
from playwright.sync_api import TimeoutError as NotThereError

from girder_zarr.client import StitchClient
from girder_zarr.stack.demo_job import read_picture
from support.browser import keep_screenshot, pixels_of
from support.waiting import wait_until

BOX = """name => { const {x, y, width, height} = document.querySelector(name).getBoundingClientRect();
    return [x, y + scrollY, width, height].map(Math.round); }"""
IMAGE = '.g-stitch-preview-image'
MAP = '.g-stitch-preview-image .geojs-map canvas'


@pytest.fixture
def session(girder, folder):
    """An open session of three quarters of a picture, twice, along z."""
    client, picture = StitchClient(girder), read_picture('ihc.png')
    made = client.create(folder, 'a session of which the name is rather long for a small screen')
    for at in range(6):
        z, (y, x) = at // 3, divmod(at % 3, 2)
        part = picture[256 * y : 256 * y + 256, 256 * x : 256 * x + 256]
        client.put_patch(made['_id'], f'p{at}', np.ascontiguousarray(part), 256 * x, 256 * y, z=z)
    return made['_id']


def is_full(page):
    return page.evaluate('document.fullscreenElement && document.fullscreenElement.className')


def boxes(page):
    return {name: page.evaluate(BOX, name) for name in ('.g-zarr-live', IMAGE, MAP, '.g-zarr-live-bar')}


def is_seen(page, seen):
    now = pixels_of(page.locator(IMAGE)).astype(float)
    return now.shape == seen.shape and np.abs(now - seen).mean() < 3


@pytest.mark.parametrize(('width', 'height'), [(390, 844), (1280, 800), (1920, 1080)])
def test_full_screen_and_back(visit, girder, session, width, height):
    page = visit(viewport=(width, height)).page(f'#stitch_session/{session}')
    page.locator(f'{IMAGE}[data-shown]').wait_for()
    page.locator(MAP).first.wait_for()
    page.get_by_label('Patches', exact=True).check()
    page.get_by_role('listbox', name='3 patches').wait_for()
    before, seen = boxes(page), pixels_of(page.locator(IMAGE))
    button = page.get_by_role('button', name='Full screen')
    button.click()
    wait_until(lambda: is_full(page), seconds=10, what='full screen')
    # But for a border of a pixel.
    inside = [side - 2 for side in page.evaluate(BOX, IMAGE)[2:]]
    wait_until(lambda: page.evaluate(BOX, MAP)[2:] == inside, seconds=10, what='the map as large')
    keep_screenshot(page, f'full-screen-{width}')
    left, top, across, down = page.evaluate(BOX, IMAGE)
    assert across >= width - 40
    assert down >= height - 162
    # Nothing of it lies beyond the sides.
    assert page.evaluate('document.fullscreenElement.scrollWidth <= innerWidth')

    # Controls work: the plane, the patches, one of them.
    page.locator('.g-stitch-preview-axis[data-axis="z"]').press('End')
    page.get_by_text('z 1 (0 to 1)').wait_for()
    page.get_by_label('Patches', exact=True).uncheck()
    page.get_by_role('listbox', name='3 patches').wait_for(state='detached')
    # Without the list nothing has to be scrolled.
    assert page.evaluate('document.fullscreenElement.scrollHeight <= innerHeight')
    keep_screenshot(page, f'full-screen-{width}-alone')
    page.get_by_label('Patches', exact=True).check()
    card = page.get_by_role('region', name='Patch p4')
    choose_second(page, card)
    card.scroll_into_view_if_needed()
    keep_screenshot(page, f'full-screen-{width}-patch')
    # What is said is seen.
    page.evaluate('navigator.clipboard.writeText = async () => {}')
    page.get_by_role('button', name='Copy link').click()
    toast = page.locator('.g-zarr-toast', has_text='The link to this view is copied.')
    toast.wait_for()
    assert toast.evaluate('one => document.fullscreenElement.contains(one)')
    toast.get_by_role('button', name='Close the message').click()

    # Left with the button, as entered.
    page.get_by_label('Patches', exact=True).scroll_into_view_if_needed()
    name = page.locator('.g-zarr-full-screen').inner_text()
    assert name == 'Leave full screen'
    page.locator('.g-zarr-full-screen').click()
    wait_until(lambda: not is_full(page), seconds=10, what='the page again')
    page.locator('.g-stitch-preview-axis[data-axis="z"]').press('Home')
    page.get_by_text('z 0 (0 to 1)').wait_for()
    wait_until(lambda: boxes(page) == before, seconds=10, what='the layout as before')
    wait_until(lambda: is_seen(page, seen), seconds=10, what='the view as before')
    assert page.locator('.g-zarr-full-screen').inner_text() == 'Full screen'


def choose_second(page, card):
    """Go to the second patch of the list by keyboard, again where the page has just drawn the list anew."""
    for _ in range(3):
        page.get_by_role('listbox', name='3 patches').focus()
        page.keyboard.press('Home')
        page.keyboard.press('ArrowDown')
        with suppress(NotThereError):
            card.wait_for(timeout=10_000)
            return


def test_a_question_is_not_asked_behind_the_screen(visit, girder, session):
    page = visit().page(f'#stitch_session/{session}')
    page.locator(f'{IMAGE}[data-shown]').wait_for()
    page.get_by_label('Patches', exact=True).check()
    page.get_by_role('button', name='Full screen').click()
    wait_until(lambda: is_full(page), seconds=10, what='full screen')
    page.get_by_role('listbox', name='3 patches').focus()
    page.keyboard.press('ArrowDown')
    page.get_by_role('region', name='Patch p1').get_by_role('button', name='Delete').click()
    page.get_by_text('Delete the patch p1?').wait_for()
    assert not is_full(page)
    page.locator('#g-confirm-button').click()
    page.get_by_text('The patch p1 is deleted.').wait_for()
