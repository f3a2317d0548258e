"""The viewer of an item: channels in the colours of the file, changed by the person who looks; planes."""

import numpy as np
import pytest
import zarr

from support import channel_images, shared_images
from support.browser import check_accessible, check_viewer_shows, keep_screenshot

PIXELS = channel_images.channels_of()


@pytest.fixture(scope='module')
def four_channels(girder, tmp_path_factory):
    folder = shared_images.private_folder(girder, 'channels')
    path = tmp_path_factory.mktemp('channels') / 'channels.zarr.zip'
    return shared_images.share_file(girder, folder, path.name, channel_images.channels_zarr(path, PIXELS))


def open_item(page, stack, item, query=''):
    page.goto(f'{stack.url}#item/{item}{query}')
    page.locator('.g-zarr-controls').wait_for()


def test_the_first_view_has_the_colours_of_the_file(page, stack, four_channels):
    open_item(page, stack, four_channels)
    check_viewer_shows(page, channel_images.added_up(PIXELS))
    assert page.locator('.g-zarr-channel').count() == 4
    assert page.get_by_label('<b>Cy3</b>', exact=True).is_checked()
    assert page.get_by_label('Colour of GFP', exact=True).input_value() == '#00ff00'
    assert page.locator('.g-zarr-channel polygon').count() == 4
    limits = page.locator('.g-zarr-channel-limits').all_inner_texts()
    assert limits == ['100 to 1100', '0 to 4000', '500 to 2500', '0 to 65535']
    check_accessible(page, '.g-zarr-controls')
    keep_screenshot(page, 'channels')


def test_what_is_changed_is_shown_and_stays_in_the_address(page, stack, four_channels):
    open_item(page, stack, four_channels)
    for name in ('DAPI', '<b>Cy3</b>', 'Cy5'):
        page.get_by_label(name, exact=True).uncheck()
    page.get_by_label('Colour of GFP', exact=True).fill('#ff0000')
    page.get_by_label('Full colour of GFP').fill('2000')
    page.get_by_label('Black of GFP').fill('1000')
    page.wait_for_url('**channels=*1000%2C2000*')
    expected = np.zeros((*PIXELS.shape[1:], 3))
    expected[..., 0] = np.clip((PIXELS[1] - 1000.0) / 1000, 0, 1) * 255
    check_viewer_shows(page, expected)
    page.reload()
    page.locator('.g-zarr-controls').wait_for()
    assert not page.get_by_label('DAPI', exact=True).is_checked()
    assert page.get_by_label('Black of GFP').input_value() == '1000'
    check_viewer_shows(page, expected)
    page.get_by_role('button', name='As the file says').press('Enter')
    page.wait_for_url(f'**#item/{four_channels}')
    check_viewer_shows(page, channel_images.added_up(PIXELS))


def test_other_controls_are_there_still(page, stack, four_channels):
    open_item(page, stack, four_channels)
    page.get_by_role('button', name='Other controls').click()
    page.get_by_text('Image control mode:').wait_for()
    assert page.locator('.g-zarr-controls').count() == 0


def test_a_thumbnail_has_the_colours_too(girder, four_channels):
    import io

    from PIL import Image

    answer = girder.get(
        f'item/{four_channels}/tiles/thumbnail',
        parameters={'width': 200, 'height': 150, 'encoding': 'PNG'},
        jsonResp=False,
    )
    found = np.asarray(Image.open(io.BytesIO(answer.content)).convert('RGB')).astype(float)
    means = channel_images.added_up(PIXELS).reshape(150, 2, 200, 2, 3).mean(axis=(1, 3))
    assert np.abs(found - means).mean() < 2


def test_planes_have_values_and_units_and_play(page, stack, girder, tmp_path):
    planes = np.zeros((3, 200, 300), np.uint8)
    for number, plane in enumerate(planes):
        plane[:, number * 100 : number * 100 + 100] = 255
    path = tmp_path / 'planes.zarr.zip'
    axes = [{'name': name, 'type': 'space', 'unit': 'micrometer'} for name in 'zyx']
    transforms = [{'type': 'scale', 'scale': [2.5, 1.0, 1.0]}]
    multiscale = {'axes': axes, 'datasets': [{'path': '0', 'coordinateTransformations': transforms}]}
    with zarr.storage.ZipStore(path, mode='w') as store:
        group = zarr.create_group(store, attributes={'ome': {'version': '0.5', 'multiscales': [multiscale]}})
        group.create_array('0', data=planes, chunks=(1, 200, 300))
    folder = shared_images.private_folder(girder, 'channels')
    item = shared_images.share_file(girder, folder, path.name, path.read_bytes())
    open_item(page, stack, item)
    row = page.locator('.g-zarr-axis[data-axis="z"]')
    assert row.locator('.g-zarr-axis-place').inner_text() == '1 of 3, 0 µm'
    row.get_by_role('slider').press('ArrowRight')
    row.get_by_text('2 of 3, 2.5 µm').wait_for()
    page.wait_for_url('**at=z%2C1*')
    check_viewer_shows(page, np.repeat(planes[1][..., None], 3, axis=-1))
    row.get_by_role('button', name='Play along z').press('Enter')
    row.get_by_text('3 of 3, 5 µm').wait_for()
    row.get_by_text('1 of 3, 0 µm').wait_for()
    row.get_by_role('button', name='Play along z').press('Enter')
    check_accessible(page, '.g-zarr-controls')
