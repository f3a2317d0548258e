"""Labels over an image, values under the mouse, and links to what is seen, in a browser."""

import re
import urllib.parse

import numpy as np
import pytest

from girder_zarr.client import StitchClient
from support import labelled_images, shared_images
from support.browser import check_accessible, keep_screenshot, pixels_of
from support.labelled_images import NUCLEI, SHAPE, TISSUE
from support.waiting import wait_until

IMAGE = labelled_images.image_pixels()
NUCLEI_ON = labelled_images.nuclei_pixels()
TISSUE_ON = labelled_images.on_image(labelled_images.tissue_pixels())
#: As `labelled_images.labelled_zarr` says it: the colours and windows of the two channels.
ENDS = {2: 40_000, 1: 45_000}


@pytest.fixture(scope='module')
def item(girder, tmp_path_factory):
    folder = shared_images.private_folder(girder, 'labels')
    path = tmp_path_factory.mktemp('labels') / 'cells.zarr.zip'
    return shared_images.share_file(girder, folder, path.name, labelled_images.labelled_zarr(path))


def open_item(page, stack, item, **query):
    text = urllib.parse.urlencode(query)
    page.goto(f'{stack.url}#item/{item}{"?" + text if text else ""}')
    page.locator('.g-zarr-tools').wait_for()
    settle(page)


def settle(page):
    """Wait until nothing moves the image any more, and let it be seen as a whole."""
    page.locator('.g-zarr-labels').wait_for()
    page.locator('.g-zarr-channel').nth(1).wait_for()
    page.locator('.geojs-map canvas').first.wait_for()
    page.locator('.g-zarr-item-readout').evaluate('below => below.scrollIntoView({block: "end"})')


def background(z=0):
    """Return the image as the file says it is shown: (y, x, 3), 0 to 255."""
    out = np.zeros((*SHAPE, 3))
    for channel, (band, end) in enumerate(ENDS.items()):
        out[..., band] = np.clip(IMAGE[channel, z] / end, 0, 1) * 255
    return out


def with_label(picture, values, colors, opacity):
    """Return a picture with a label over it; values without a colour are left out."""
    out = picture.copy()
    for value, color in colors.items():
        share = color[3] / 255 * opacity
        out[values == value] = out[values == value] * (1 - share) + np.array(color[:3]) * share
    return out


def shown_at(page, view):
    """Return the screen over the image, and the rows and columns of the image that lie at its pixels."""
    screen = pixels_of(page.locator('.geojs-map'))
    x, y, scale = view
    rows = (np.arange(screen.shape[0]) + 0.5 - screen.shape[0] / 2) / scale + y
    columns = (np.arange(screen.shape[1]) + 0.5 - screen.shape[1] / 2) / scale + x
    # The rows of the scale bar, the border and the edge of the image are no pixels of it.
    inside = [
        np.flatnonzero((places > 2) & (places < side - 2))[2 : -50 if side == SHAPE[0] else -2]
        for places, side in ((rows, SHAPE[0]), (columns, SHAPE[1]))
    ]
    return screen[np.ix_(*inside)].astype(float), rows[inside[0]], columns[inside[1]]


def fits(page, view, expected, most=3.0):
    """Whether the viewer shows a picture at a view, but for what lossy tiles change."""
    screen, rows, columns = shown_at(page, view)
    wanted = expected[np.ix_(rows.astype(int), columns.astype(int))]
    # Within half a pixel of the image an edge may lie here or there.
    return np.abs(screen - wanted).mean() < most


def see(page, view, expected, most=3.0):
    wait_until(lambda: fits(page, view, expected, most), 30, 'the picture')


def test_labels_lie_over_the_image_in_their_colours(page, stack, item):
    view = (960, 768, 1)
    open_item(page, stack, item, view='960,768,1')
    see(page, view, background())
    page.locator('.g-zarr-channel polygon').nth(1).wait_for()
    assert [text.strip() for text in page.locator('.g-zarr-labels li').all_inner_texts()] == [NUCLEI, TISSUE]
    page.get_by_label(NUCLEI, exact=True).check()
    given = {1: labelled_images.RED, 2: labelled_images.HALF_GREEN}
    spread = ((70_001 * 2_654_435_761) >> np.array([16, 8, 0])) & 255 | 64
    colors = {**given, 70_001: (*spread.tolist(), 255)}
    see(page, view, with_label(background(), NUCLEI_ON, colors, 0.5))
    slider = page.get_by_label(f'Opacity of {NUCLEI}')
    slider.fill('100')
    see(page, view, with_label(background(), NUCLEI_ON, colors, 1))
    assert slider.get_attribute('aria-valuetext') == '100 percent'
    # The other label has pixels of twice the size, and begins inside the image.
    page.get_by_label(NUCLEI, exact=True).press('Space')
    page.get_by_label(TISSUE, exact=True).press('Space')
    seven = ((7 * 2_654_435_761) >> np.array([16, 8, 0])) & 255 | 64
    tissue = with_label(background(), TISSUE_ON, {7: (*seven.tolist(), 255)}, 0.5)
    see(page, view, tissue)
    page.wait_for_url(re.compile('label='))
    check_accessible(page, '.g-zarr-tools')
    page.reload()
    settle(page)
    assert page.get_by_label(TISSUE, exact=True).is_checked()
    assert not page.get_by_label(NUCLEI, exact=True).is_checked()
    see(page, view, tissue)


def deep(values, rows, columns, slack):
    """Return where on the screen a condition holds for all pixels of the image that are as near as that."""
    found = np.ones((len(rows), len(columns)), bool)
    for down in (-slack, 0, slack):
        for right in (-slack, 0, slack):
            at = [
                np.clip(np.floor(places + by), 0, side - 1).astype(int)
                for places, by, side in ((rows, down, SHAPE[0]), (columns, right, SHAPE[1]))
            ]
            found &= values[np.ix_(*at)]
    return found


@pytest.mark.parametrize('view', [(960, 768, 0.45), (760, 580, 1.7), (760, 580, 6)])
def test_values_of_labels_are_never_mixed(page, stack, item, view):
    """The image has no red: where red is, the label is, in full or not at all, at every zoom."""
    scale = view[2]
    open_item(page, stack, item, view=','.join(map(str, view)), label=f'{NUCLEI},100')
    wanted = NUCLEI_ON == 1

    def is_whole():
        screen, rows, columns = shown_at(page, view)
        # The label has no lower levels; which of its pixels stands for several is not said, and an edge of
        # the screen's pixels may lie on one of its own.
        slack = max(1, 1 / scale)
        inside, outside = (
            deep(wanted, rows, columns, slack), deep(NUCLEI_ON == 0, rows, columns, slack),
        )  # fmt: skip
        assert inside.any()
        return (screen[inside] == (255, 0, 0)).all() and (screen[outside][:, 0] < 40).all()

    wait_until(is_whole, 30, 'the label')


def test_values_under_the_mouse_are_those_of_the_file(page, stack, item):
    view = (960, 768, 1)
    open_item(page, stack, item, view='960,768,1', label=f'{NUCLEI},50;{urllib.parse.quote(TISSUE)},50')
    box = page.locator('.geojs-map').bounding_box()
    readout = page.locator('.g-zarr-readout')

    def point(x, y):
        """Point at a pixel; return the one that the page names, which may be its neighbour."""
        left, top = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
        page.mouse.move(left + x - view[0] + 0.5, top + y - view[1] + 0.5)
        near = [f'[data-at="{x + right} {y + down}"]' for right in (-1, 0, 1) for down in (-1, 0, 1)]
        page.locator(', '.join(f'.g-zarr-readout{one}' for one in near)).wait_for()
        found = tuple(map(int, readout.get_attribute('data-at').split()))
        assert readout.locator('.g-zarr-readout-pixel').inner_text() == f'x {found[0]}, y {found[1]}'
        return found

    for place in ((970, 780), (1100, 900), (700, 720), (600, 560)):
        x, y = point(*place)
        physical = readout.locator('.g-zarr-readout-physical').inner_text()
        assert physical == f'{20 + x / 2:g} µm, {10 + y / 2:g} µm'
        values = readout.locator('.g-zarr-readout-value').all_inner_texts()
        assert values == [f'DAPI {IMAGE[0, 0, y, x]}', f'GFP {IMAGE[1, 0, y, x]}']
        found = [readout.locator(f'[data-label="{name}"] b').inner_text() for name in (NUCLEI, TISSUE)]
        assert found == [str(NUCLEI_ON[y, x]), str(TISSUE_ON[y, x])]
    assert 'area: 12.5, class: <i>mitotic</i>' in readout.inner_text()
    page.get_by_label('DAPI', exact=True).uncheck()
    page.locator('.g-zarr-axis[data-axis="z"]').get_by_role('slider').press('ArrowRight')
    x, y = point(610, 560)
    there = [f'GFP {IMAGE[1, 1, y, x]}']
    found = readout.locator('.g-zarr-readout-value')
    wait_until(lambda: found.all_inner_texts() == there, 30, 'the value of the other plane')
    check_accessible(page, '.g-zarr-item-readout')
    keep_screenshot(page, 'labels')
    page.mouse.move(5, 5)
    readout.get_by_text('Position and values under the mouse').wait_for()


def test_the_keyboard_reads_the_middle(page, stack, item):
    open_item(page, stack, item, view='960.5,768.5,1')
    page.locator('.geojs-map').focus()
    page.keyboard.press('ArrowRight')
    readout = page.locator('.g-zarr-readout[aria-live="polite"]')
    readout.wait_for()
    readout.locator('.g-zarr-readout-value').first.wait_for()
    x, y = map(int, re.match(r'x (\d+), y (\d+)', readout.inner_text()).groups())
    assert (x, y) != (960, 768)
    wait_until(lambda: f'DAPI {IMAGE[0, 0, y, x]}' in readout.inner_text(), 10, 'the value')
    # It is what the address says is in the middle.
    page.wait_for_url(re.compile('view='))
    view = urllib.parse.unquote(re.search('view=([^&]*)', page.url)[1]).split(',')
    wait_until(lambda: abs(float(view[0]) - x) < 1.1 and abs(float(view[1]) - y) < 1.1, 1, 'the view')


def test_a_copied_link_shows_the_same(visit, page, stack, item):
    page.context.grant_permissions(['clipboard-read', 'clipboard-write'])
    open_item(page, stack, item)
    before = page.evaluate('history.length')
    page.get_by_label(NUCLEI, exact=True).check()
    box = page.locator('.geojs-map').bounding_box()
    page.mouse.move(box['x'] + box['width'] / 2 + 30, box['y'] + box['height'] / 2 - 20)
    for _ in range(2):
        page.mouse.wheel(0, -240)
        page.wait_for_url(re.compile('view='))
    page.mouse.down()
    page.mouse.move(box['x'] + box['width'] / 2 - 60, box['y'] + box['height'] / 2 + 10, steps=5)
    page.mouse.up()
    link = ''

    def copy():
        nonlocal link
        page.get_by_role('button', name='Copy link').press('Enter')
        page.get_by_text('The link to this view is copied.').first.wait_for()
        link = page.evaluate('navigator.clipboard.readText()')
        return link == page.url

    # After a drag the map goes on moving for a moment.
    wait_until(copy, 10, 'the link of a view that stands still')
    assert page.evaluate('history.length') == before
    view = [float(part) for part in urllib.parse.unquote(re.search('view=([^&]*)', link)[1]).split(',')]
    colors = {1: labelled_images.RED, 2: labelled_images.HALF_GREEN}
    spread = ((70_001 * 2_654_435_761) >> np.array([16, 8, 0])) & 255 | 64
    expected = with_label(background(), NUCLEI_ON, {**colors, 70_001: (*spread.tolist(), 255)}, 0.5)
    other = visit(viewport=(1000, 900)).page()
    other.goto(link)
    settle(other)
    see(other, view, expected, most=6)
    see(page, view, expected, most=6)


def test_a_label_that_cannot_be_read_says_so(page, stack, girder, tmp_path):
    import zarr

    path = tmp_path / 'broken.zarr.zip'
    labelled_images.labelled_zarr(path)
    with zarr.storage.ZipStore(path, mode='a') as store:
        zarr.create_group(store, path='labels/broken')
    folder = shared_images.private_folder(girder, 'labels')
    body = path.read_bytes().replace(b'"nuclei",', b'"broken",')
    item = shared_images.share_file(girder, folder, path.name, body)
    open_item(page, stack, item)
    page.get_by_label('broken', exact=True).check()
    page.locator('.g-zarr-label-problem').wait_for()
    assert 'broken' in page.locator('.g-zarr-label-problem').inner_text()


@pytest.fixture
def growing(girder, folder):
    """A session of two planes with one patch each, whose first pixel is not the first of the image."""
    client = StitchClient(girder)
    spec = {'pixelSize': {'x': 0.5, 'y': 0.25, 'unit': 'micrometer'}}
    made = client.create(folder, 'Two planes', spec)
    pixels = np.add.outer(np.arange(600) * 40, np.arange(800) * 30).astype(np.uint16)
    for z in range(2):
        client.put_patch(made['_id'], f'p{z}', pixels + z, 3000, 400, z=z)
    return made['_id'], pixels


def test_a_session_tells_its_values_and_keeps_its_view(page, stack, growing):
    session, pixels = growing
    page.goto(f'{stack.url}#stitch_session/{session}?view=3400,700,2&at=z,1')
    page.locator('.g-stitch-preview-image[data-shown] .geojs-map canvas').first.wait_for()
    viewer = page.locator('.g-stitch-preview-image')
    viewer.scroll_into_view_if_needed()
    box = page.locator('.geojs-map').bounding_box()
    page.mouse.move(box['x'] + box['width'] / 2 + 31, box['y'] + box['height'] / 2 - 21)
    readout = page.locator('.g-zarr-readout[data-at]:not([data-at=""])')
    readout.wait_for()
    x, y = map(int, re.match(r'x (\d+), y (\d+)', readout.inner_text()).groups())
    assert abs(x - 3415) <= 1
    assert abs(y - 689) <= 1
    assert readout.locator('.g-zarr-readout-physical').inner_text() == f'{x / 2:g} µm, {y / 4:g} µm'
    assert readout.locator('.g-zarr-readout-value').inner_text() == f'Value {pixels[y - 400, x - 3000] + 1}'
    page.locator('.g-stitch-preview-axis').press('ArrowLeft')
    wait_until(
        lambda: f'Value {pixels[y - 400, x - 3000]}' in page.locator('.g-zarr-readout').inner_text(), 20
    )

    def leaves_address(text):
        wait_until(lambda: text not in page.evaluate('location.href'), 10, 'the address')

    leaves_address('at=')
    page.mouse.wheel(0, -240)
    wait_until(
        lambda: 'view=3400%2C700%2C2' not in page.evaluate('location.href'), 10, 'the view in the address'
    )
    page.context.grant_permissions(['clipboard-read', 'clipboard-write'])
    page.get_by_role('button', name='Copy link').click()
    page.get_by_text('The link to this view is copied.').wait_for()
    assert page.evaluate('navigator.clipboard.readText()') == page.url
    assert re.fullmatch(r'\d+ .m', page.locator('.geojs-scale-widget-text').text_content())
    check_accessible(page, '.g-zarr-live')
