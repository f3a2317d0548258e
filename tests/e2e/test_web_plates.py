"""Plates by their wells, and files of several images by name, on the page of an item."""

import re

import numpy as np
import pytest
import zarr

from support import plate_images, shared_images
from support.browser import check_accessible, check_viewer_shows, keep_screenshot
from support.image_collections import picture, write_collection
from support.plates import write_plate

SIDES = [(240, 320), (240, 320), (40, 50)]


@pytest.fixture(scope='module')
def plate(girder, tmp_path_factory):
    """The item of a plate, and its pixels as zarr reads them."""
    path = plate_images.plate_zip(tmp_path_factory.mktemp('plate'))
    folder = shared_images.private_folder(girder, 'plates')
    item = shared_images.share_file(girder, folder, path.name, path.read_bytes())
    store = zarr.storage.ZipStore(path, mode='r')
    yield item, zarr.open_group(store, mode='r')
    store.close()


@pytest.fixture(scope='module')
def collection(girder, tmp_path_factory):
    folder = write_collection(tmp_path_factory.mktemp('collection') / 'series', SIDES, zarr_format=3)
    path = plate_images.zipped(folder, folder.with_suffix('.zarr.zip'))
    folder = shared_images.private_folder(girder, 'plates')
    return shared_images.share_file(girder, folder, path.name, path.read_bytes())


def open_item(page, stack, item, query=''):
    page.goto(f'{stack.url}#item/{item}{query}')
    page.reload()  # another query behind the # is no other page to the browser


def well(page, name):
    return page.get_by_role('gridcell', name=f'{name},')


def check_field(page, root, path, number):
    """The viewer's pixels are those that zarr reads of a field."""
    pixels = root[f'{path}/{number}/0'][...]
    np.testing.assert_array_equal(pixels, plate_images.field_pixels(path, number))
    check_viewer_shows(page, plate_images.as_shown(pixels))


def test_a_plate_is_walked_by_wells(page, stack, plate):
    item, root = plate
    open_item(page, stack, item)
    grid = page.get_by_role('grid', name='Wells')
    grid.wait_for()
    assert grid.get_by_role('columnheader').all_inner_texts() == list(plate_images.COLUMNS)
    assert grid.get_by_role('rowheader').all_inner_texts() == list(plate_images.ROWS)
    check_field(page, root, 'A/1', 0)
    assert page.locator('.g-zarr-axis[data-axis="xy"]').count() == 0
    well(page, 'B2').click()
    page.wait_for_url('**well=B%2F2*')
    check_field(page, root, 'B/2', 0)
    page.get_by_role('button', name='Field 2', exact=True).click()
    page.wait_for_url('**field=1*')
    check_field(page, root, 'B/2', 1)
    page.locator('.g-zarr-plate img').nth(9).wait_for()
    page.locator('.g-zarr-well[data-status="damaged"] >> nth=1').wait_for()
    check_accessible(page, '.g-zarr-item-images')
    # The bar at the top of Girder's pages lies over them.
    page.evaluate(
        "window.scrollBy(0, document.querySelector('.g-zarr-plate').getBoundingClientRect().top - 70)"
    )
    keep_screenshot(page, 'plate')
    page.reload()
    check_field(page, root, 'B/2', 1)
    assert well(page, 'B2').get_attribute('aria-selected') == 'true'


def test_keys_move_and_open(page, stack, plate):
    item, root = plate
    open_item(page, stack, item)
    well(page, 'A1').focus()
    for key in ('ArrowDown', 'ArrowRight', 'ArrowRight', 'ArrowRight'):
        page.keyboard.press(key)
    page.keyboard.press('Enter')
    page.wait_for_url('**well=B%2F4*')
    check_field(page, root, 'B/4', 0)
    assert page.evaluate('document.activeElement.dataset.well') == 'B4'
    page.keyboard.press('Home')
    page.keyboard.press('Enter')
    page.wait_for_url('**well=B%2F1*')
    check_field(page, root, 'B/1', 0)


def test_wells_without_a_picture_say_why(page, stack, plate):
    item, _ = plate
    for attempt in ('first', 'second'):
        open_item(page, stack, item)
        for name, text in (
            ('C4', 'not imaged'),
            ('B3', 'missing'),
            ('A4', 'nothing stored'),
            ('C2', 'cannot be read'),
        ):
            page.get_by_role('gridcell', name=f'{name}, {text}', exact=True).wait_for()
        legend = page.get_by_role('list', name='Places without a picture')
        assert legend.get_by_role('listitem').all_inner_texts() == [
            'not imaged', 'missing', 'nothing stored', 'cannot be read',
        ], attempt  # fmt: skip
        well(page, 'B3').click()
        page.get_by_text('The plate lists the well B3, but there is nothing at B/3.').wait_for()
        well(page, 'C4').click()
        page.get_by_text('C4 was not imaged').wait_for()
        well(page, 'C2').click()
        page.locator('.g-zarr-plate .alert', has_text='C/2/0').wait_for()


def test_an_acquisition_chooses_fields(page, stack, plate):
    item, root = plate
    open_item(page, stack, item)
    page.get_by_label('Acquisition').select_option(label='After <b>')
    page.wait_for_url('**acquisition=2*')
    well(page, 'A2').click()
    check_field(page, root, 'A/2', 1)
    page.reload()
    check_field(page, root, 'A/2', 1)
    assert page.get_by_label('Acquisition').input_value() == '2'
    page.get_by_role('gridcell', name='A4, 1 field', exact=True).wait_for()


@pytest.mark.parametrize('damage', [False, True])
def test_the_whole_plate_is_one_image(page, stack, girder, tmp_path, damage):
    path = plate_images.plate_zip(tmp_path, damage=damage)
    folder = shared_images.private_folder(girder, 'plates')
    item = shared_images.share_file(girder, folder, path.name, path.read_bytes())
    open_item(page, stack, item)
    page.get_by_role('button', name='Whole plate').click()
    page.wait_for_url('**series=overview*')
    # Two fields side by side, and a 24th of the longer side of a well between wells.
    height, width = plate_images.SIDE
    gap = 2 * width // 24
    whole = np.zeros((3 * height + 2 * gap, 4 * 2 * width + 3 * gap, 3), np.uint8)
    for name in plate_images.well_paths():
        if name == plate_images.MISSING:
            continue
        top = plate_images.ROWS.index(name[0]) * (height + gap)
        left = plate_images.COLUMNS.index(name[2]) * (2 * width + gap)
        for number in range(plate_images.FIELDS):
            if damage and (name, number) == (plate_images.DAMAGED, 0):
                continue  # drawn as a well that is missing
            pixels = plate_images.as_shown(plate_images.field_pixels(name, number))
            whole[top : top + height, left + number * width : left + (number + 1) * width] = pixels
    check_viewer_shows(page, whole, mean=8)
    page.reload()
    check_viewer_shows(page, whole, mean=8)
    assert page.get_by_role('button', name='Whole plate').get_attribute('aria-pressed') == 'true'
    if damage:
        page.locator('.g-zarr-item-zarr').get_by_text('OME-Zarr: what the file holds').click()
        panel = page.locator('.g-zarr-panel')
        panel.get_by_text(f"The field '{plate_images.DAMAGED}/0' cannot be read: The chunk").wait_for()
        panel.get_by_text('All 20 fields were looked at.').wait_for()
        check_accessible(page, '.g-zarr-panel')
        panel.scroll_into_view_if_needed()
        keep_screenshot(page, 'damaged-field')
    else:
        keep_screenshot(page, 'whole-plate')
    well(page, 'C3').click()
    check_viewer_shows(page, plate_images.as_shown(plate_images.field_pixels('C/3', 0)))
    assert 'series=' not in page.url


def test_series_are_chosen_by_name(page, stack, collection):
    open_item(page, stack, collection)
    group = page.get_by_role('group', name='3 images in this file')
    group.wait_for()
    assert group.get_by_role('radio').count() == 4
    assert group.get_by_role('radio', name='2 of the same kind').is_checked()
    gray = [np.repeat(picture(number, side)[..., None], 3, -1) for number, side in enumerate(SIDES)]
    check_viewer_shows(page, gray[0])
    group.get_by_role('radio', name='Image one').check()
    page.wait_for_url('**series=1*')
    check_viewer_shows(page, gray[1])
    group.get_by_role('radio', name='Image two').press('Space')
    page.wait_for_url('**series=2*')
    check_viewer_shows(page, gray[2])
    page.locator('.g-zarr-series-picture img').nth(2).wait_for()
    check_accessible(page, '.g-zarr-item-images')
    keep_screenshot(page, 'series')
    page.reload()
    check_viewer_shows(page, gray[2])
    assert group.get_by_role('radio', name='Image two').is_checked()
    group.get_by_role('radio', name='2 of the same kind').check()
    page.wait_for_url(f'**#item/{collection}')
    check_viewer_shows(page, gray[0])


def test_a_series_that_is_not_there_is_told(page, stack, collection):
    open_item(page, stack, collection, '?series=7')
    page.get_by_text('There is no series 7').wait_for()
    check_viewer_shows(page, np.repeat(picture(0, SIDES[0])[..., None], 3, -1))


def test_pictures_of_a_large_plate_are_asked_for_as_they_come_into_sight(page, stack, girder, tmp_path):
    plate = write_plate(tmp_path / 'large', 16, 48, 1)
    path = plate_images.zipped(plate, tmp_path / 'large.zarr.zip')
    folder = shared_images.private_folder(girder, 'plates')
    item = shared_images.share_file(girder, folder, path.name, path.read_bytes())
    asked, running, most = [], set(), [0]

    def begin(request):
        if '/thumbnail' in request.url:
            asked.append(request.url)
            running.add(request)
            most.append(len(running))

    def end(request):  # playwright takes no method of a set
        running.discard(request)

    page.on('request', begin)
    page.on('requestfinished', end)
    page.on('requestfailed', end)
    open_item(page, stack, item)
    grid = page.get_by_role('grid', name='Wells')
    grid.wait_for()
    assert grid.get_by_role('gridcell').count() == 16 * 48
    page.wait_for_function('document.querySelectorAll(".g-zarr-well img").length > 50')
    assert well(page, 'P48').locator('img').count() == 0
    assert len(asked) < 16 * 48
    assert max(most) <= 3
    well(page, 'A1').focus()
    page.keyboard.press('Control+End')
    assert page.evaluate('document.activeElement.dataset.well') == 'P48'
    page.keyboard.press('Enter')
    page.wait_for_url('**well=P%2F48*')
    # The fields of the well that is opened come before the wells that wait.
    page.locator('.g-zarr-plate-field img').wait_for()
    assert page.locator('td.g-zarr-well').first.bounding_box()['width'] >= 28
    assert not any('tile_frames' in url for url in asked)


def test_nobody_who_has_not_signed_in_waits_for_a_plate_that_is_too_large(visit, stack, girder, tmp_path):
    path = plate_images.plate_zip(tmp_path)
    collection = girder.createCollection('Open plates', public=True)
    folder = girder.createFolder(collection['_id'], 'Plates', parentType='collection', public=True)
    item = shared_images.share_file(girder, folder['_id'], path.name, path.read_bytes())
    page = visit(token=None).page()
    sentence = '2000 fields would have to be read; without signing in the limits are lower.'
    page.route(
        re.compile(r'/tiles/zxy/0/0/0\?.*series=overview'),
        lambda route: route.fulfill(status=413, json={'message': sentence, 'type': 'rest'}),
    )
    open_item(page, stack, item)
    well(page, 'B1').click()
    check_viewer_shows(page, plate_images.as_shown(plate_images.field_pixels('B/1', 0)))
    page.get_by_role('button', name='Whole plate').click()
    page.get_by_text(sentence).wait_for()
