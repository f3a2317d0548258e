"""A hierarchy that was uploaded folder by folder, read with caches that hold less than it has."""

import numpy as np
import pytest
from girder.models.file import File
from girder.models.item import Item

from girder_zarr.image import open as open_image
from girder_zarr.server.storage import folder_store
from girder_zarr.server.storage.locations import open_location
from support.girder_images import upload_tree, write_zarr
from support.server import random_pixels

pytestmark = pytest.mark.plugin('zarr')


def test_more_folders_and_files_than_are_cached(zarr_server, people, folder, tmp_path, monkeypatch):
    pixels = random_pixels(150, 200, 1)
    slide = tmp_path / 'slide.zarr'
    write_zarr(slide, '0.4', pixels, 'yx')
    root = upload_tree(slide, folder, people['owner'])
    item = Item().findOne({'folderId': root['_id'], 'name': '.zattrs'})
    monkeypatch.setattr(folder_store, 'MAX_FOLDERS', 2)
    monkeypatch.setattr(folder_store, 'MAX_FILES', 2)
    store = open_location(File().findOne({'itemId': item['_id']}))
    for _ in range(2):
        source = open_image(store, noCache=True)
        region, _ = source.getRegion(format='numpy')
        assert np.array_equal(np.asarray(region)[..., 0], pixels)
    assert (len(store._folders), len(store._files)) == (2, 2)
