"""What a user sees in Chromium: the stitched picture, its session, the administrator's page."""

import os
import shutil
import time

import cv2
import numpy as np
import pytest

from girder_zarr.stack.demo_job import read_picture

FLAGS = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
]
PROGRAMS = ('chromium', 'chromium-browser', 'google-chrome')
SECONDS = 30


def find_chromium():
    """Return the browser's program; skip, or fail where it is required, when there is none."""
    named = os.environ.get('GIRDER_ZARR_CHROMIUM')
    program = named or next(filter(None, map(shutil.which, PROGRAMS)), None)
    reason = None
    try:
        import playwright  # noqa: F401
    except ImportError:
        reason = "playwright is not installed: pip install 'girder-zarr[browser]'"
    if program is None:
        reason = f'no {", ".join(PROGRAMS)} on the PATH; GIRDER_ZARR_CHROMIUM can name one'
    if reason and os.environ.get('GIRDER_ZARR_REQUIRE_BROWSER') == '1':
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    return program


@pytest.fixture(scope='module')
def chromium():
    program = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, stack, girder):
    """A page that is signed in; an error of its scripts or a request to another host fails the test."""
    context = chromium.new_context(viewport={'width': 1280, 'height': 1200})
    context.add_init_script(f'localStorage.setItem("girderToken", "{girder.token}")')
    page = context.new_page()
    page.set_default_timeout(SECONDS * 1000)
    errors, elsewhere = [], []
    page.on('pageerror', lambda error: errors.append(error))  # noqa: PLW0108 - playwright marks its handlers
    page.on('request', lambda request: is_elsewhere(stack, request.url) and elsewhere.append(request.url))
    yield page
    context.close()
    assert not errors
    assert not elsewhere, 'the viewer has to work without the internet'


def is_elsewhere(stack, address):
    return not address.startswith((stack.url, stack.url.replace('http', 'ws', 1), 'data:', 'blob:'))


def pixels_of(locator):
    """Return an element as it is on the screen: (y, x, 3) of uint8, in RGB."""
    encoded = np.frombuffer(locator.screenshot(), np.uint8)
    return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def find_picture(screen, picture):
    """Look for a picture fitted into the screen; return the correlation, what is there and what should be.

    Both are blurred a little: the browser has its own way to shrink a picture, and stars are small.
    """
    scale = min(screen.shape[0] / picture.shape[0], screen.shape[1] / picture.shape[1])
    best = (-1.0, None, None)
    screen = cv2.GaussianBlur(screen, (0, 0), 2)
    # The viewer leaves a border of a pixel or two.
    for border in range(5):
        size = [round(side * scale) - border for side in picture.shape[1::-1]]
        expected = cv2.GaussianBlur(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), (0, 0), 2)
        # The blur mixes the edge with the page around it.
        expected = expected[8:-8, 8:-8]
        _, correlation, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(screen, expected, cv2.TM_CCOEFF_NORMED))
        if correlation > best[0]:
            best = (correlation, screen[y : y + expected.shape[0], x : x + expected.shape[1]], expected)
    return best


@pytest.mark.parametrize('name', ['retina.jpg', 'ihc.png', 'hubble_deep_field.jpg'])
def test_the_viewer_shows_the_pixels_of_the_picture(page, stack, results, name, tmp_path):
    item = next(picture.item_id for picture in results.pictures if picture.name == name)
    picture = read_picture(name)
    page.goto(f'{stack.url}#item/{item}')
    viewer = page.locator('.geojs-map')
    viewer.locator('canvas').first.wait_for()
    viewer.scroll_into_view_if_needed()
    deadline = time.monotonic() + SECONDS
    # Tiles arrive one by one: look until all of them are there.
    while True:
        correlation, shown, expected = find_picture(pixels_of(viewer), picture)
        if correlation > 0.97 or time.monotonic() > deadline:
            break
    if correlation <= 0.97:
        page.screenshot(path=tmp_path / 'page.png')
    assert correlation > 0.97, f'the viewer shows something else ({correlation:.3f}), see {tmp_path}/page.png'
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


def test_an_administrator_sees_which_source_opens_what(page, stack, results):
    page.goto(f'{stack.url}#plugins/zarr/config')
    table = page.locator('.g-zarr-priorities')
    table.wait_for()
    text = table.inner_text()
    assert '.ozx' in text
    for source in ('zarr', 'pil', 'tiff', 'tifffile'):
        assert source in text
