"""The embedded database alone, for tests that want a database over the wire instead of the mock."""

import contextlib
import os

from girder_zarr.stack.folder import DataFolder
from girder_zarr.stack.parts import embedded_database

from .waiting import wait_until


@contextlib.contextmanager
def running_database(path):
    """Yield the address of a database server, without the name of a database.

    The server named by GIRDER_ZARR_TEST_MONGO_URI is taken where that is set; else one is started in the
    folder `path`.
    """
    named = os.environ.get('GIRDER_ZARR_TEST_MONGO_URI')
    if named:
        yield named.rstrip('/')
        return
    folder = DataFolder(path)
    folder.claim()
    part, uri = embedded_database(folder, dict(os.environ))
    try:
        part.start()
        wait_until(lambda: part.check() or part.is_ready(), what='the database')
        yield uri.rpartition('/')[0]
    finally:
        part.clear()
        folder.release()
