"""Contents that several files share go with the last of them."""

import threading
from pathlib import Path

import pytest
from bson import ObjectId
from girder.models.file import File
from girder.utility.filesystem_assetstore_adapter import FilesystemAssetstoreAdapter

from girder_zarr.server.storage import durable_files
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')


def test_two_files_of_the_same_contents_that_are_removed_at_once_leave_none(api, session, monkeypatch):
    body = png(random_pixels(8, 8))
    for key, x in (('a', 0), ('b', 8)):
        assert api.put(session, key, body, x=x)[0] == 201
    files = list(File().find({'attachedToId': ObjectId(session['_id'])}))
    (path,) = {File().getLocalFilePath(file) for file in files}
    delete, both = FilesystemAssetstoreAdapter.deleteFile, threading.Barrier(2, timeout=10)

    def delete_and_wait(adapter, file):
        delete(adapter, file)
        both.wait()

    monkeypatch.setattr(FilesystemAssetstoreAdapter, 'deleteFile', delete_and_wait)
    threads = [threading.Thread(target=durable_files.remove_file, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert File().findOne({'attachedToId': ObjectId(session['_id'])}) is None
    assert not Path(path).exists()
