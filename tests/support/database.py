"""The embedded database alone, for tests that want a database over the wire instead of the mock."""

import contextlib
import os

from girder_zarr.stack.parts import embedded_database

from .parts import running_part


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
    with running_part(path, embedded_database, 'the database') as uri:
        yield uri.rpartition('/')[0]
