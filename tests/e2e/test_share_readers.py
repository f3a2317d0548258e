"""Other people's programs read private images of the real stack by nothing but a share link, pixel for pixel.

An OME-Zarr file, a session whose patches have only begun to come, and a slide that is stored as tiled TIFF.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import obstore.store
import pytest
import s3fs
import tensorstore
import zarr
from zarr.storage import ObjectStore

from girder_zarr.client import StitchClient
from girder_zarr.stack.demo_job import read_picture
from support import channel_images, shared_images
from support.waiting import wait_until

KINDS = ('stored', 'session', 'slide')
#: The Python of an environment with napari-ome-zarr; tox makes one.
NAPARI = os.environ.get('GIRDER_ZARR_NAPARI', '')
SCRIPT = Path(__file__).parents[1] / 'support' / 'napari_reader.py'


@pytest.fixture(scope='module')
def images(girder, tmp_path_factory):
    """Private images by kind."""
    folder = shared_images.private_folder(girder, 'readers')
    channels = channel_images.channels_of()
    path = tmp_path_factory.mktemp('stored') / 'channels.zarr.zip'
    item = shared_images.share_file(girder, folder, path.name, channel_images.channels_zarr(path, channels))
    found = {'stored': shared_images.Shared(item, channels, shared_images.share(girder, itemId=item))}
    picture = read_picture('ihc.png')
    item = shared_images.share_file(girder, folder, 'slide.svs', shared_images.slide_tiff(picture))
    assert girder.getItem(item)['largeImage']['sourceName'] == 'tiff'
    pixels = np.moveaxis(picture, -1, 0)
    found['slide'] = shared_images.Shared(item, pixels, shared_images.share(girder, itemId=item))
    client = StitchClient(girder)
    session = client.create(folder, 'begun', {'expected': 4})['_id']
    client.put_patch(session, 'corner', picture[:200, :300], 0, 0)
    url = shared_images.share(girder, sessionId=session)
    found['session'] = shared_images.Shared(session, pixels[:, :200, :300], url)
    return found


@pytest.fixture(params=KINDS)
def image(images, request):
    return images[request.param]


@pytest.mark.parametrize('name', ['zarr', 'tensorstore', 'dask', 'ngff-zarr'])
def test_the_lines_of_python_that_the_page_shows(girder, image, name):
    viewers = girder.get('zarr_link/viewers', parameters={'url': image.url})
    (text,) = (one['text'] for one in viewers if one['name'] == f'Python: {name}')
    names = {}
    exec(text, names)  # the server's own list, as people run it
    level = names['level']
    found = level.read().result() if isinstance(level, tensorstore.TensorStore) else np.asarray(level)
    assert np.array_equal(found, image.pixels)


def test_obstore(image):
    # It puts a slash behind every address, also behind a slash.
    store = obstore.store.HTTPStore.from_url(image.url.rstrip('/'), client_options={'allow_http': True})
    group = zarr.open_group(ObjectStore(store, read_only=True), mode='r')
    assert np.array_equal(group['0'][...], image.pixels)


def test_the_listing_of_a_bucket_names_every_array(image):
    address, _, key = image.url.rstrip('/').removesuffix('.zarr').rpartition('/')
    options = {'s3': {'addressing_style': 'path'}}
    files = s3fs.S3FileSystem(
        anon=True,
        endpoint_url=address,
        config_kwargs=options,
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    listed = {name.removeprefix(f'{key}/') for name in files.find(key)}
    group = json.loads(files.cat_file(f'{key}/zarr.json'))
    levels = [one['path'] for one in group['attributes']['ome']['multiscales'][0]['datasets']]
    assert {f'{level}/zarr.json' for level in levels} < listed
    assert not files.exists(f'{key}/nothing')


def test_napari(image, tmp_path):
    if not Path(NAPARI).is_file():
        reason = 'GIRDER_ZARR_NAPARI names no Python with napari-ome-zarr: tox -e napari makes one'
        if os.environ.get('GIRDER_ZARR_REQUIRE_BROWSER') == '1':
            pytest.fail(reason)
        pytest.skip(reason)
    out = tmp_path / 'read.npz'
    # As the command in the page has it; the reader that napari finds goes by the end of the address.
    run = [NAPARI, str(SCRIPT), image.url.rstrip('/'), str(out)]
    subprocess.run(run, check=True, timeout=240, env={**os.environ, 'QT_QPA_PLATFORM': 'offscreen'})
    with np.load(out) as found:
        assert np.array_equal(found['pixels'], image.pixels)
        said = json.loads(str(found['said']))
    if image.pixels.shape[0] == len(channel_images.CHANNELS):
        assert [tuple(one['limits']) for one in said] == [one[2] for one in channel_images.CHANNELS]


def test_a_session_has_grown_when_it_is_read_again(girder):
    picture = read_picture('ihc.png')
    client = StitchClient(girder)
    session = client.create(shared_images.private_folder(girder, 'readers'), 'growing')['_id']
    client.put_patch(session, 'left', picture[:, :256], 0, 0)
    url = shared_images.share(girder, sessionId=session)

    def read():
        return zarr.open_group(url.rstrip('/'), mode='r')['0'][...]

    assert np.array_equal(read(), np.moveaxis(picture[:, :256], -1, 0))
    client.put_patch(session, 'right', picture[:, 256:], 256, 0)
    wait_until(lambda: read().shape[-1] == 512, seconds=10, what='the second patch')
    assert np.array_equal(read(), np.moveaxis(picture, -1, 0))
    client.finalize(session)
    client.wait(session)
    assert np.array_equal(read(), np.moveaxis(picture, -1, 0))
