"""Private images in viewers of others: pages of another site that get nothing but a share link.

zarrita reads them and Viv (which vizarr and avivator are made of) shows them, with WebGL in Chromium.
"""

import base64

import numpy as np
import pytest
from playwright.sync_api import Error

from girder_zarr.client import StitchClient
from girder_zarr.stack.demo_job import read_picture
from support import channel_images, shared_images, viewer_page
from support.browser import FLAGS, find_chromium, pixels_of
from support.waiting import wait_until


@pytest.fixture(scope='module')
def address(playwright):
    viewer_page.build_viewers()
    with viewer_page.served_viewers() as served:
        yield served


@pytest.fixture(scope='module')
def context(playwright):
    # The browser of the other tests has no WebGL.
    flags = [*FLAGS, *viewer_page.WEBGL]
    browser = playwright.chromium.launch(executable_path=find_chromium(), args=flags)
    yield browser.new_context(viewport={'width': 1000, 'height': 800})
    browser.close()


@pytest.fixture
def page(context, address):
    errors = []
    page = context.new_page()
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.goto(address)
    page.locator('[data-ready=yes]').wait_for(state='attached')
    yield page
    page.close()
    assert not errors


@pytest.fixture(scope='module')
def folder(girder):
    return shared_images.private_folder(girder, 'viewers')


def read(page, url, level=0):
    """Return a level as zarrita reads it, and the attributes of the image."""
    found = page.evaluate('([url, level]) => read(url, level)', [url, level])
    data = np.frombuffer(base64.b64decode(found['data']), found['dtype'])
    return data.reshape(found['shape']), found['attributes']


def wait_shown(page, url, expected):
    """Show an image in Viv; wait until the page has its pixels, (y, x, 3), within one value of 255."""
    size = page.evaluate('url => show(url)', url)
    assert (size['height'], size['width']) == expected.shape[:2]

    def difference():
        return np.abs(pixels_of(page.locator('#viewer')).astype(int) - expected).max()

    # Nothing says when a browser has drawn the last tile.
    wait_until(lambda: difference() <= 1, what='the pixels of the image')
    return size


def test_a_private_image(page, girder, folder, tmp_path):
    pixels = channel_images.channels_of()
    body = channel_images.channels_zarr(tmp_path / 'channels.zarr.zip', pixels)
    item = shared_images.share_file(girder, folder, 'channels.zarr.zip', body)
    with pytest.raises(Error, match='403'):
        read(page, f'{girder.urlBase.rpartition("api/v1")[0]}zarr/item/{item}')
    url = shared_images.share(girder, itemId=item)
    for level, step in enumerate((1, 2)):
        found, attributes = read(page, url, level)
        assert np.array_equal(found, pixels[:, ::step, ::step])
    names = [channel['label'] for channel in attributes['ome']['omero']['channels']]
    assert names == [one[0] for one in channel_images.CHANNELS]
    assert wait_shown(page, url, channel_images.added_up(pixels))['names'] == names


def test_a_slide_of_another_format(page, girder, folder):
    picture = read_picture('ihc.png')
    item = shared_images.share_file(girder, folder, 'slide.svs', shared_images.slide_tiff(picture))
    assert girder.getItem(item)['largeImage']['sourceName'] == 'tiff'
    url = shared_images.share(girder, itemId=item)
    found, _ = read(page, url)
    assert np.array_equal(found, np.moveaxis(picture, -1, 0))
    wait_shown(page, url, picture.astype(int))


def test_a_session_shows_more_after_a_reload(page, girder, folder):
    picture = read_picture('ihc.png')
    client = StitchClient(girder)
    session = client.create(folder, 'growing', {'expected': 2})['_id']
    client.put_patch(session, 'left', picture[:, :256], 0, 0)
    url = shared_images.share(girder, sessionId=session)
    wait_shown(page, url, picture[:, :256].astype(int))
    client.put_patch(session, 'right', picture[:, 256:], 256, 0)

    def width():
        page.reload()
        page.locator('[data-ready=yes]').wait_for(state='attached')
        return read(page, url)[0].shape[-1]

    wait_until(lambda: width() == 512, seconds=20, what='the second patch')
    wait_shown(page, url, picture.astype(int))


def test_a_link_that_was_revoked_shows_nothing_more(page, girder, folder, tmp_path):
    body = channel_images.channels_zarr(tmp_path / 'a.zarr.zip', channel_images.channels_of((64, 64)))
    item = shared_images.share_file(girder, folder, 'revoked.zarr.zip', body)
    url = shared_images.share(girder, itemId=item)
    assert read(page, url)[0].shape == (4, 64, 64)
    for link in girder.get('zarr_link', parameters={'itemId': item}):
        girder.delete(f'zarr_link/{link["_id"]}')

    def refusal():
        return page.evaluate('url => read(url, 0).then(() => "", String)', url)

    assert '403' in wait_until(refusal, seconds=10, what='the link to end')
