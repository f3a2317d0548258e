"""While the disk keeps the bytes of a patch the database does its part, and neither is left out."""

import threading

import pytest

from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.storage import durable_files
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')


def test_the_disk_is_waited_for_before_the_commit_and_not_before(api, session, monkeypatch):
    """The database locks the key meanwhile."""
    sync, insert, commit = durable_files._sync_entries, StitchPatch._insert, StitchPatch.commit
    locked, done = threading.Event(), []

    def sync_late(*args):
        assert locked.wait(60)
        sync(*args)
        done.append('synced')

    def insert_and_say(*args):
        found = insert(*args)
        locked.set()
        return found

    def commit_and_say(*args, **kwargs):
        done.append('committed')
        return commit(*args, **kwargs)

    monkeypatch.setattr(durable_files, '_sync_entries', sync_late)
    monkeypatch.setattr(StitchPatch, '_insert', insert_and_say)
    monkeypatch.setattr(StitchPatch, 'commit', commit_and_say)
    assert api.put(session, 'a', png(random_pixels(16, 16)))[0] == 201
    assert done == ['synced', 'committed']
