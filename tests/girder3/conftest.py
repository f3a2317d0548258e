"""Girder 3 with the plugin. These tests have an environment of their own: ``tox -e girder3``.

Where Girder 5 is installed, nothing in this folder is collected.
"""

import importlib.metadata
import zipfile

import numpy as np
import pytest
import zarr

if int(importlib.metadata.version('girder').split('.')[0]) >= 5:
    collect_ignore_glob = ['test_*.py']

CHUNK = 128
HEIGHT, WIDTH = 300, 520


@pytest.fixture
def people(db, admin, user):
    return {'admin': admin, 'owner': user}


@pytest.fixture(params=['filesystem', 'gridfs'])
def assetstore(request, db, tmp_path):
    """Where Girder 3 can keep files: as files of this machine, or without a local path."""
    from girder.models.assetstore import Assetstore

    if request.param == 'filesystem':
        return Assetstore().createFilesystemAssetstore('files', str(tmp_path / 'assetstore'))
    return Assetstore().createGridFsAssetstore('grid', 'girder_zarr_test_files')


@pytest.fixture
def folder(people, assetstore):
    """A private folder of the owner."""
    from girder.models.folder import Folder

    return Folder().createFolder(
        people['owner'], 'slides', parentType='user', public=False, creator=people['owner']
    )


def write_image(path, pixels, axes, *, levels=3, omero=None):
    """Write an NGFF 0.5 image with zarr and zip it; each level is every second pixel of the one before.

    :param pixels: the full resolution, its axes as in `axes`, y and x last.
    :returns: the bytes of the zip, and the levels as zarr reads them back from it.
    """
    store = zarr.storage.ZipStore(path, mode='w', compression=zipfile.ZIP_STORED)
    datasets = []
    for level in range(levels):
        factor = 2**level
        scale = [1.0] * (len(axes) - 2) + [0.5 * factor] * 2
        datasets.append(
            {
                'path': str(level),
                'coordinateTransformations': [{'type': 'scale', 'scale': scale}],
            }
        )
    types = {'c': 'channel', 'z': 'space', 'y': 'space', 'x': 'space'}
    multiscale = {
        'name': 'slide',
        'axes': [
            {'name': axis, 'type': types[axis], **({'unit': 'micrometer'} if axis != 'c' else {})}
            for axis in axes
        ],
        'datasets': datasets,
    }
    ome = {'version': '0.5', 'multiscales': [multiscale], **({'omero': omero} if omero else {})}
    group = zarr.create_group(store, zarr_format=3, attributes={'ome': ome})
    for level in range(levels):
        data = pixels[..., :: 2**level, :: 2**level]
        array = group.create_array(
            str(level),
            shape=data.shape,
            dtype=data.dtype,
            chunks=(1,) * (data.ndim - 2) + (CHUNK, CHUNK),
            dimension_names=list(axes),
        )
        array[...] = data
    store.close()
    reading = zarr.storage.ZipStore(path, mode='r')
    try:
        read = [zarr.open_array(reading, path=str(level), mode='r')[...] for level in range(levels)]
    finally:
        reading.close()
    return path.read_bytes(), read


@pytest.fixture
def rgb(tmp_path):
    """Bytes of a zipped RGB image, and its levels as (y, x, 3)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([(x // 3) % 256, (y + x) % 256, (y * 5) % 256]).astype('uint8')
    colours = [('Red', 'FF0000'), ('Green', '00FF00'), ('Blue', '0000FF')]
    window = {'min': 0, 'max': 255, 'start': 0, 'end': 255}
    omero = {'channels': [{'label': label, 'color': colour, 'window': window} for label, colour in colours]}
    data, levels = write_image(tmp_path / 'rgb.zip', pixels, 'cyx', omero=omero)
    return data, [np.moveaxis(level, 0, -1) for level in levels]


@pytest.fixture
def stack(tmp_path):
    """Bytes of a zipped image of 2 channels and 3 planes, and its levels as (c, z, y, x)."""
    pixels = np.random.default_rng(7).integers(0, 60_000, (2, 3, HEIGHT, WIDTH), dtype='uint16')
    return write_image(tmp_path / 'stack.zip', pixels, 'czyx')
