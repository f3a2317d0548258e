"""What a user sees of a session while its patches arrive, in Chromium."""

import numpy as np
import pytest

from girder_zarr.client import StitchClient
from girder_zarr.stack.demo_job import read_picture
from support.browser import wait_for_picture
from support.waiting import wait_until

#: What a place without a patch looks like from afar: gray lines on white.
HATCHED = 240


@pytest.fixture
def client(girder):
    return StitchClient(girder)


def open_preview(page, stack, folder, session):
    page.goto(f'{stack.url}#folder/{folder}')
    row = page.locator(f'.g-stitch-session[data-session-id="{session}"]')
    row.locator('.g-stitch-session-name').click()
    page.wait_for_url(f'**#stitch_session/{session}')
    return page.locator('.g-stitch-preview-image')


def test_patches_appear_as_they_arrive(page, stack, client, folder):
    picture = read_picture('retina.jpg')
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    session = client.create(folder, 'arriving', {'expected': 4})['_id']
    viewer = open_preview(page, stack, folder, session)
    page.locator('.g-stitch-preview-empty').wait_for()
    expected = np.full_like(picture, HATCHED)
    corners = [(1, 1), (0, 0), (1, 0), (0, 1)]
    for number, (row, column) in enumerate(corners, 1):
        y, x = row * height, column * width
        piece = picture[y : y + height, x : x + width]
        client.put_patch(session, f'{row}-{column}', piece, x, y)
        expected[y : y + height, x : x + width] = piece
        page.locator('.g-stitch-preview-patches', has_text=f'{number} of 4').wait_for()
        # The smallest position is the corner of the image: at first it begins in the middle of the picture.
        top, left = (height, width) if number == 1 else (0, 0)
        shown, fitted = wait_for_picture(viewer, expected[top : 2 * height, left : 2 * width])
    difference = np.abs(shown.mean(axis=(0, 1)) - fitted.mean(axis=(0, 1)))
    assert difference.max() < 3, f'the mean color is off by {difference}'
    assert page.locator('.g-stitch-preview-coverage').inner_text() == '100 % covered'
    assert f'x 0 to {2 * width - 1}' in page.locator('.g-stitch-preview-bounds').inner_text()
    client.delete_patch(session, '0-0')
    expected[:height, :width] = HATCHED
    wait_for_picture(viewer, expected[: 2 * height, : 2 * width])
    assert page.locator('.g-stitch-preview-coverage').inner_text() == '3 of 4 patches, 1 hole'


def test_patches_that_wait_for_their_overviews_are_hatched_and_follow_by_themselves(
    page, stack, client, folder
):
    side = 2048
    picture = np.tile(read_picture('ihc.png'), (8, 8, 1))
    session = client.create(folder, 'pouring')['_id']
    for row, column in np.ndindex(2, 2):
        y, x = row * side, column * side
        client.put_patch(session, f'{row}-{column}', picture[y : y + side, x : x + side], x, y)
    waiting = {'1-1'}

    def say_that_some_wait(route):
        answer = route.fetch()
        metadata = answer.json()
        # Beside what waits in truth, which is left out of the pictures as well.
        keys = sorted(waiting.union(metadata['stitchSession']['waitingKeys']))
        metadata['stitchSession'].update(waiting=len(keys), waitingKeys=keys)
        route.fulfill(response=answer, json=metadata)

    page.route('**/tiles?partial=true', say_that_some_wait)
    viewer = open_preview(page, stack, folder, session)
    expected = picture.copy()
    expected[side:, side:] = HATCHED
    wait_for_picture(viewer, expected)
    assert page.locator('.g-stitch-preview-coverage').inner_text() == '100 % covered, 1 not shown yet'
    waiting.clear()
    wait_for_picture(viewer, picture)
    assert page.locator('.g-stitch-preview-coverage').inner_text() == '100 % covered'
    assert page.locator('.g-stitch-preview-image[data-shown]').count() == 1
    page.unroute_all(behavior='ignoreErrors')


def test_an_image_that_grows_to_the_left_keeps_its_place(page, stack, client, folder):
    picture = read_picture('ihc.png')
    session = client.create(folder, 'to the left')['_id']
    client.put_patch(session, 'right', picture[:, 256:], 0, 0)
    viewer = open_preview(page, stack, folder, session)
    wait_for_picture(viewer, picture[:, 256:])
    client.put_patch(session, 'left', picture[:, :256], -256, 0)
    wait_for_picture(viewer, picture)
    assert viewer.locator('.geojs-map').count() == 1


def test_who_looks_closer_at_an_image_that_grows_goes_on_seeing_the_same(page, stack, client, folder):
    picture = read_picture('ihc.png')
    session = client.create(folder, 'looked at closely')['_id']
    client.put_patch(session, 'right', picture[:, 256:], 0, 0)
    viewer = open_preview(page, stack, folder, session)
    wait_for_picture(viewer, picture[:, 256:])
    view = 'new URLSearchParams(location.hash.split("?")[1]).get("view")'
    viewer.locator('.geojs-map').focus()
    page.keyboard.press('+')
    page.wait_for_function(f'{view} !== null')
    seen, before = page.evaluate(view), viewer.get_attribute('data-shown')
    client.put_patch(session, 'left', picture[:, :256], -256, 0)
    page.wait_for_function(
        'before => document.querySelector("[data-shown]").dataset.shown !== before', arg=before
    )
    wait_until(lambda: viewer.locator('.geojs-map').count() == 1, what='one map')
    assert page.evaluate(view) == seen


def test_the_whole_image_fits_into_a_window_of_another_size(page, stack, client, folder):
    picture = read_picture('ihc.png')
    session = client.create(folder, 'resized')['_id']
    client.put_patch(session, 'a', picture, 0, 0)
    viewer = open_preview(page, stack, folder, session)
    wait_for_picture(viewer, picture)
    for width, height in ((700, 700), (1920, 1080), (390, 844)):
        page.set_viewport_size({'width': width, 'height': height})
        viewer.scroll_into_view_if_needed()
        wait_for_picture(viewer, picture)
    page.goto(f'{stack.url}#stitch_session/{session}?view=256,256,3')
    page.reload()
    for width in (1280, 700):
        page.set_viewport_size({'width': width, 'height': 900})
        page.wait_for_function(
            'width => document.querySelector(".geojs-map").clientWidth === width',
            arg=viewer.evaluate('element => element.clientWidth'),
        )
        box = viewer.bounding_box()
        x, y = round(box['width'] / 6), round(box['height'] / 6)
        wait_for_picture(viewer, picture[256 - y : 256 + y, 256 - x : 256 + x])


def test_planes_are_chosen_with_a_slider(page, stack, client, folder):
    picture = read_picture('ihc.png')
    session = client.create(folder, 'planes')['_id']
    client.put_patch(session, 'a', picture, 0, 0, z=0)
    client.put_patch(session, 'b', picture[::-1].copy(), 0, 0, z=1)
    viewer = open_preview(page, stack, folder, session)
    wait_for_picture(viewer, picture)
    page.locator('.g-stitch-preview-axis').fill('1')
    wait_for_picture(viewer, picture[::-1])


def test_a_finished_session_leads_to_its_image(page, stack, client, folder):
    session = client.create(folder, 'finished')['_id']
    client.put_patch(session, 'a', np.full((64, 64), 200, np.uint8), 0, 0)
    open_preview(page, stack, folder, session)
    client.finalize(session)
    item = client.wait(session)['itemId']
    page.locator('.g-zarr-session .g-stitch-session-result').click()
    page.wait_for_url(f'**#item/{item}*')
