"""Chromium as a person uses it: dropping files, looking at the screen; and what axe finds in a page."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

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
AXE = Path(__file__).parents[2] / 'plugin' / 'web_client' / 'node_modules' / 'axe-core' / 'axe.min.js'
#: Where screenshots of the pages go, for docs/web.md.
SCREENSHOTS = os.environ.get('GIRDER_ZARR_SCREENSHOTS')
#: Further widths in pixels, such as "390,1920", at which the whole of each page is kept, to be looked at.
WIDTHS = os.environ.get('GIRDER_ZARR_SCREENSHOT_WIDTHS', '')
#: Girder's own window of running jobs lies over whatever page there is for a while.
HIDDEN = '#g-app-progress-container { display: none; }'


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


class Visitor:
    """A person at a browser: a context that is signed in, and what went wrong in its pages.

    :param stack: the running stack.
    :param token: of a user, or None for nobody.
    """

    def __init__(self, browser, stack, token, viewport=(1280, 1000)):
        self.stack = stack
        self.errors = []
        #: What may stand in the console all the same.
        self.expected = ['Failed to load resource: the server responded with a status of 4']
        self.hosts = set()
        width, height = viewport
        self.context = browser.new_context(viewport={'width': width, 'height': height})
        if token:
            self.context.add_init_script(f'localStorage.setItem("girderToken", "{token}")')
            # A login in the page leaves a cookie as well, with which the browser asks for pictures.
            self.context.add_cookies([{'name': 'girderToken', 'value': token, 'url': stack.url}])

    def page(self, route=''):
        """Open a page of Girder; errors of its scripts and in its console are collected."""
        page = self.context.new_page()
        page.set_default_timeout(SECONDS * 1000)
        page.on('pageerror', self._page_error)
        page.on('console', self._console)
        page.on('request', self._request)
        page.goto(f'{self.stack.url}{route}')
        return page

    def close(self):
        """Close the pages; fail if one had an error or asked another host."""
        self.context.close()
        assert not self.errors, [*self.errors, *self._server_errors()]
        assert self.hosts <= {self.stack.url.split('/')[2]}

    def _server_errors(self):
        if not any('with a status of 5' in error for error in self.errors):
            return []
        return self.stack.tracebacks()

    def _page_error(self, error):
        self.errors.append(str(error))

    def _console(self, message):
        if message.type == 'error' and not self._is_expected(message):
            self.errors.append(f'{message.text} {message.location.get("url")}')

    def _is_expected(self, message):
        # Chromium writes every refused request to the console, also those that a page answers to.
        return any(text in message.text for text in self.expected)

    def _request(self, request):
        if request.url.startswith(('http:', 'https:', 'ws:', 'wss:')):
            self.hosts.add(request.url.split('/')[2])


def drop_files(page, locator, paths):
    """Drag files or folders from the desktop onto an element, as the browser itself sees it."""
    locator.scroll_into_view_if_needed()
    box = locator.bounding_box()
    point = {'x': box['x'] + box['width'] / 2, 'y': box['y'] + box['height'] / 2}
    data = {'items': [], 'files': [str(path) for path in paths], 'dragOperationsMask': 1}
    session = page.context.new_cdp_session(page)
    for kind in ('dragEnter', 'dragOver', 'drop'):
        session.send('Input.dispatchDragEvent', {'type': kind, **point, 'data': data})
    session.detach()


def check_accessible(page, within=None):
    """Fail where axe finds something that keeps people out; needs `npm ci` in plugin/web_client.

    :param within: a CSS selector of the part that is ours.
    """
    if not AXE.is_file():
        pytest.skip(f'no {AXE}: run "npm ci" in plugin/web_client')
    page.evaluate(AXE.read_text(encoding='utf-8'))
    found = page.evaluate('within => axe.run(within || document)', within)
    problems = [
        f'{one["id"]}: {one["help"]}: {node["html"][:200]}'
        for one in found['violations']
        for node in one['nodes']
    ]
    assert not problems, '\n'.join(problems)


def keep_screenshot(page, name):
    """Keep a picture of a page where GIRDER_ZARR_SCREENSHOTS asks for it."""
    if SCREENSHOTS:
        Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SCREENSHOTS) / f'{name}.png', style=HIDDEN)
        _keep_other_widths(page, name)


def _keep_other_widths(page, name):
    if page.evaluate('document.fullscreenElement !== null'):
        return
    before = page.viewport_size
    for width in map(int, filter(None, WIDTHS.split(','))):
        page.set_viewport_size({'width': width, 'height': before['height']})
        # Two frames: pages draw anew when they have another width.
        page.evaluate('() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')
        page.screenshot(path=Path(SCREENSHOTS) / f'{name}-{width}.png', style=HIDDEN, full_page=True)
    if WIDTHS:
        page.set_viewport_size(before)


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


def wait_for_picture(viewer, picture, correlation=0.97):
    """Wait until an element shows a picture as a whole; return what is there and what should be.

    Tiles arrive one by one, and nothing says when a browser has drawn the last of them.
    """
    deadline = time.monotonic() + SECONDS
    while True:
        best, shown, expected = find_picture(pixels_of(viewer), picture)
        if best > correlation:
            return shown, expected
        if time.monotonic() > deadline:
            path = Path(tempfile.mkdtemp()) / 'page.png'
            viewer.page.screenshot(path=path)
            pytest.fail(f'the viewer shows something else (correlation {best:.3f}), see {path}')


def check_viewer_shows(page, expected, mean=4):
    """Wait until the viewer of an item shows a picture, and compare the two where they lie upon each other.

    :param expected: (y, x, 3), 0 to 255. :param mean: how far colours may be apart on an average.
    """
    viewer = page.locator('.geojs-map')
    viewer.locator('canvas').first.wait_for()
    viewer.scroll_into_view_if_needed()
    shown, fitted = wait_for_picture(viewer, expected.astype(np.uint8))
    assert np.abs(shown.astype(float) - fitted).mean() < mean, 'these are other colours'
