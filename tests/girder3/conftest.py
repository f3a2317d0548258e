"""Girder 3 with the plugin. These tests have an environment of their own: ``tox -e girder3``.

Where Girder 5 is installed, nothing in this folder is collected.
"""

import importlib.metadata

import pytest

if int(importlib.metadata.version('girder').split('.')[0]) >= 5:
    collect_ignore_glob = ['test_*.py']


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
