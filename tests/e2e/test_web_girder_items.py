"""Items that are in Girder already become patches in the browser."""

import json
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from girder_zarr.stack.demo_job import read_picture
from support.browser import check_accessible, keep_screenshot, wait_for_picture
from support.session_pages import (
    assert_fits,
    encoded,
    finalized,
    in_girder,
    pixels_of_item,
    quarters,
    send,
    sent_requests,
)


def test_items_in_girder_and_files_become_one_image(new_session, girder, folder, tmp_path):
    picture = read_picture('ihc.png')
    parts = {name: encoded(pixels) for name, pixels in quarters(picture).items()}
    scan = girder.createFolder(folder, 'scan <b>7')['_id']
    in_girder(girder, scan, dict(list(parts.items())[:2]) | {'notes.docx': b'nothing'})
    below = girder.createFolder(scan, 'below')['_id']
    in_girder(girder, below, {'part_x0_y256.png': parts['part_x0_y256.png']})
    (tmp_path / 'part_x256_y256.png').write_bytes(parts['part_x256_y256.png'])
    page = new_session
    page.get_by_role('button', name='Choose in Girder').click()
    picker = page.get_by_role('region', name='Files in Girder')
    # The collection that the folder lies in can be reached, and the folder from there.
    picker.get_by_role('button', name='Girder', exact=True).click()
    picker.get_by_role('list', name='Folders').wait_for()
    picker.get_by_role('button', name='Items in girder and files', exact=False).click()
    picker.get_by_role('button', name='Slides').click()
    picker.get_by_role('button', name='scan <b>7').click()
    picker.get_by_role('option').nth(2).wait_for()
    picker.get_by_role('option', name='part_x0_y0.png').click()
    picker.get_by_role('button', name='Add 1 selected').wait_for()
    check_accessible(page, '.g-zarr-page')
    keep_screenshot(page, 'new-session-picker')
    picker.get_by_role('button', name='Add the whole folder').click()
    page.get_by_text('3 of 3 names match').wait_for()
    assert page.get_by_role('button', name='Choose in Girder').evaluate(
        'one => one === document.activeElement'
    )
    assert page.get_by_label('Name', exact=True).input_value() == 'scan <b>7'
    page.get_by_text('Left out, because they are no images: scan <b>7/notes.docx.').wait_for()
    page.locator('.g-zarr-pick-files').set_input_files(tmp_path / 'part_x256_y256.png')
    page.get_by_text('4 of 4 names match').wait_for()
    page.locator('.g-zarr-findings').get_by_text('512 \u00d7 512 pixels').wait_for()
    page.locator('.g-zarr-list-row').first.click()
    page.locator('.g-zarr-picture').wait_for()
    check_accessible(page, '.g-zarr-page')
    named, sent = sent_requests(page, '/files'), sent_requests(page, '/patches')
    send(page)
    page.get_by_role('heading', name='Upload finished').wait_for()
    assert page.locator('.g-zarr-upload-words').inner_text().startswith('4 of 4 patches')
    (one,) = named
    assert len(json.loads(one.post_data)) == 3
    assert not sent
    wait_for_picture(page.locator('.g-stitch-preview-image'), picture)
    session = finalized(page, girder)
    assert np.array_equal(pixels_of_item(girder, session['itemId']), picture)


def test_the_way_through_girder_by_keyboard(new_session, girder, folder):
    in_girder(girder, folder, {f'x{x}_y0.png': encoded(np.full((8, 8), x, np.uint8)) for x in (0, 8, 16)})
    in_girder(girder, folder, {'positions.csv': b'file,x,y\nx0_y0.png,5,0\nx8_y0.png,13,0\n'})
    in_girder(girder, folder, {'x24_y0.png': b'no picture, whatever its name says'})
    page = new_session
    page.get_by_role('button', name='Choose in Girder').press('Enter')
    items = page.get_by_role('listbox', name='Items in Slides')
    items.focus()
    page.keyboard.press('Control+a')
    add = page.get_by_role('button', name='Add 5 selected')
    add.focus()
    page.keyboard.press('Enter')
    # A file of positions in Girder counts as one from the disk does.
    page.get_by_text('2 of 4 images have a position, by table.').wait_for()
    page.get_by_text('Cannot be patches: 1.').wait_for()
    assert page.locator('.g-zarr-findings li').inner_text().startswith('x24_y0.png: ')
    send(page)
    page.locator('.g-stitch-preview-patches', has_text='2 of 2').wait_for()
    stored = girder.get(f'stitch_session/{page.url.rpartition("/")[2]}/patch')
    assert [patch['position'] for patch in stored] == [{'x': 5, 'y': 0}, {'x': 13, 'y': 0}]


def test_what_goes_wrong_in_girder_is_said(visit, girder, folder):
    in_girder(girder, folder, {f'x{x}_y0.png': encoded(np.full((8, 8), x, np.uint8)) for x in (0, 8)})
    visitor = visit()
    visitor.expected.append('Failed to load resource: the server responded with a status of 500')
    page = visitor.page(f'#folder/{folder}/stitch')
    page.route('**/api/v1/item?*', lambda route: route.fulfill(status=500, json={'message': 'It is away.'}))
    page.get_by_role('button', name='Choose in Girder').click()
    page.get_by_text('It is away.').wait_for()
    page.unroute('**/api/v1/item?*')
    page.get_by_role('button', name='Close').click()
    page.get_by_role('button', name='Choose in Girder').click()
    page.get_by_role('button', name='Add the whole folder').click()
    page.get_by_text('2 of 2 names match').wait_for()
    # Items that are gone by the time they are to be patches are listed.
    gone = next(iter(girder.listItem(folder, name='x8_y0.png')))
    girder.delete(f'item/{gone["_id"]}')
    send(page)
    page.get_by_role('heading', name='Not stored: 1').wait_for()
    assert page.locator('.g-zarr-upload .g-zarr-problems li').inner_text().startswith('x8_y0.png')


#: Milliseconds of the page's own thread for one frame while the map is dragged.
FRAME = 60


def ten_thousand_items(route):
    """Answer as a folder of ten thousand items does; to store as many takes minutes."""
    query = parse_qs(urlsplit(route.request.url).query)
    first, count = int(query['offset'][0]), int(query['limit'][0])
    assert count <= 500
    items = [
        {'_id': f'{at:024x}', 'name': f'r{at // 100}_c{at % 100}.png', 'size': 2**20}
        for at in range(first, min(first + count, 10_000))
    ]
    route.fulfill(json=items)


def inspected(route):
    files = json.loads(route.request.post_data)['files']
    header = {'width': 16, 'height': 16, 'bands': 1, 'dtype': 'uint8', 'format': 'png', 'size': 2**20}
    route.fulfill(json={'files': [{**one, **header} for one in files]})


def test_a_folder_of_ten_thousand_items_stays_fluent(new_session, folder):
    page = new_session
    page.route('**/api/v1/item?*', ten_thousand_items)
    page.route('**/api/v1/folder?*', lambda route: route.fulfill(json=[]))
    page.route(f'**/api/v1/folder/{folder}/details', lambda route: route.fulfill(json={'nItems': 10_000}))
    page.route('**/stitch_session/inspect', inspected)
    asked = sent_requests(page, '')
    page.get_by_role('button', name='Choose in Girder').click()
    page.get_by_text('10000 items').wait_for()
    items = page.get_by_role('listbox', name='Items in Slides')
    items.get_by_role('option').first.wait_for()
    # The first of twenty parts is there, and the next one comes when its end is in sight.
    assert items.get_by_role('option').first.get_attribute('aria-setsize') == '500'
    items.focus()
    page.keyboard.press('End')
    items.locator('[aria-setsize="1000"]').first.wait_for()
    assert items.get_by_role('option').count() < 50
    assert sum('/item?' in request.url for request in asked) == 2
    page.get_by_role('button', name='Add the whole folder').click()
    page.get_by_text('10000 of 10000 names match').wait_for(timeout=120_000)
    page.locator('.g-zarr-findings').get_by_text('1600 \u00d7 1600 pixels').wait_for()
    assert sorted(frame_times(page))[56] < FRAME


def frame_times(page):
    """Drag the map; return what each of 60 frames took of the page's thread, in ms of the processor."""
    session = page.context.new_cdp_session(page)
    session.send('Performance.enable', {'timeDomain': 'threadTicks'})

    def taken():
        metrics = session.send('Performance.getMetrics')['metrics']
        return next(1000 * metric['value'] for metric in metrics if metric['name'] == 'TaskDuration')

    canvas = page.locator('.g-zarr-map canvas')
    canvas.scroll_into_view_if_needed()
    before = canvas.evaluate('one => one.toDataURL()')
    box = canvas.bounding_box()
    x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    found = []
    for at in range(60):
        start = taken()
        page.mouse.move(x + 4 * at, y + 2 * at)
        page.evaluate('() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))')
        found.append(taken() - start)
    page.mouse.up()
    assert canvas.evaluate('one => one.toDataURL()') != before
    session.detach()
    return found


@pytest.mark.parametrize('width', [390, 1280])
def test_the_way_through_girder_fits_the_window(visit, folder, girder, width):
    girder.createFolder(folder, 'a folder of a long name ' * 6)
    in_girder(
        girder, folder, {f'{"long_" * 20}x{x}_y0.png': encoded(np.full((8, 8), x, np.uint8)) for x in (0, 8)}
    )
    page = visit(viewport=(width, 900)).page(f'#folder/{folder}/stitch')
    page.get_by_role('button', name='Choose in Girder').click()
    page.get_by_role('option').first.wait_for()
    assert_fits(page)
    keep_screenshot(page, f'picker-{width}')
    page.get_by_role('button', name='Add the whole folder').click()
    page.get_by_text('2 of 2 names match').wait_for()
    assert_fits(page)
