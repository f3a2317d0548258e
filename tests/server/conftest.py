"""Girder for the tests of the server room: on a mock database, or with ``--mongo-uri`` on a real one."""

import os

os.environ.setdefault('GIRDER_WORKER_BROKER', 'memory://')
os.environ.setdefault('GIRDER_WORKER_BACKEND', 'cache+memory://')

import datetime as dt
import io
import json

import mongomock.codec_options
import mongomock.collection
import mongomock.command_cursor
import numpy as np
import pymongo
import pytest
import zarr
from PIL import Image

from girder_zarr.errors import GirderZarrError


def pytest_configure(config):
    """Use the mock database unless a real one is named on the command line."""
    named = any(str(argument).startswith('--mongo-uri') for argument in config.invocation_params.args)
    if named:
        config.pluginmanager.register(RealDatabase(config.getoption('--mongo-uri')))
    else:
        config.option.mock_db = True


class RealDatabase:
    """A ``db`` fixture that empties one database for each test.

    pytest-girder drops and makes a database with its hundred indexes for each, which takes seconds.
    """

    def __init__(self, uri):
        self.uri = f'{uri.rstrip("/")}/girder_zarr_test_{os.getpid()}'

        self.connection = None
        self._made = set()

    def _make_each_index_once(self, monkeypatch):
        original = pymongo.collection.Collection.create_index

        def create_index(collection, keys, **options):
            index = (collection.full_name, repr(keys), repr(options))
            if index not in self._made:
                original(collection, keys, **options)
                self._made.add(index)

        monkeypatch.setattr(pymongo.collection.Collection, 'create_index', create_index)

    @pytest.fixture
    def db(self, monkeypatch):
        from girder.models import _dbClients, getDbConnection, model_base
        from girder.models.user import User

        connection = self.connection = self.connection or getDbConnection(uri=self.uri, quiet=True)
        self._make_each_index_once(monkeypatch)
        database = connection.get_default_database()
        for name in database.list_collection_names():
            database[name].delete_many({})
        _dbClients[None, None] = connection
        for model in model_base._modelSingletons:
            model.reconnect()
        original, User()._cryptContext.scheme = User()._cryptContext.scheme, 'plaintext'
        yield connection
        User()._cryptContext.scheme = original
        _dbClients.clear()
        for model in model_base._modelSingletons:
            model.__class__._instance = None

    def pytest_unconfigure(self):
        if self.connection is not None:
            self.connection.drop_database(self.connection.get_default_database().name)
            self.connection.close()


def _mend_mongomock():
    """Let mongomock 4.3 take the codec options that Girder 5 asks for, and count as a cursor."""
    original = mongomock.codec_options.CodecOptions.__new__

    def without_utc(cls, *args, **options):
        if options.get('tzinfo') is dt.UTC:
            options['tzinfo'] = None
        if len(args) > 4 and args[4] is dt.UTC:
            args = (*args[:4], None, *args[5:])
        return original(cls, *args, **options)

    def count(self, with_limit_and_skip=False):
        if with_limit_and_skip:
            return len(list(self.clone()))
        return self.collection.count_documents(self._spec)

    mongomock.codec_options.CodecOptions.__new__ = without_utc
    # Its own calls datetime.utcnow, of which Python warns from 3.12 on.
    mongomock.utcnow = lambda: dt.datetime.now(dt.UTC).replace(tzinfo=None)
    mongomock.collection.Cursor.count = count
    import girder.api.rest

    girder.api.rest._MONGO_CURSOR_TYPES += (
        mongomock.collection.Cursor,
        mongomock.command_cursor.CommandCursor,
    )


_mend_mongomock()


@pytest.fixture(autouse=True)
def _forget_models():
    """Girder keeps every model that was ever made, and each test would connect those of all before it."""
    yield
    from girder.models import model_base

    model_base._modelSingletons.clear()


@pytest.fixture(autouse=True)
def _no_live_notifications(monkeypatch):
    """Live events go over redis, which these tests do without."""
    monkeypatch.setattr('girder.notification.Notification.flush', lambda _: None)


@pytest.fixture
def zarr_server(server, fsAssetstore):  # noqa: N803 - pytest-girder's fixture
    """A server with the plugin loaded and somewhere to put files."""
    yield server
    from girder_large_image.models.image_item import ImageItem

    from girder_zarr.server.preview.builder import reducer

    # Small copies are made in a thread and large_image stores thumbnails in others: none of them may ask for
    # the database when it is gone, since that would open a connection to a real one.
    reducer.wait()
    for thread in list(ImageItem._cacheSaveDataThreads):
        thread.join()


def make_user(login, *, admin=False):
    from girder.models.user import User

    return User().createUser(
        email=f'{login}@girder.test',
        login=login,
        firstName=login,
        lastName='Test',
        password='password',
        admin=admin,
    )


@pytest.fixture
def people(db, admin, user):
    """Everyone by what they may do in the folder."""
    return {
        'admin': admin,
        'owner': user,
        'writer': make_user('writer'),
        'reader': make_user('reader'),
        'stranger': make_user('stranger'),
        'nobody': None,
    }


@pytest.fixture
def folder(people):
    """A private folder of the owner."""
    from girder.constants import AccessType
    from girder.models.folder import Folder

    made = Folder().createFolder(
        people['owner'], 'slides', parentType='user', public=False, creator=people['owner']
    )
    Folder().setUserAccess(made, people['writer'], AccessType.WRITE, save=True)
    return Folder().setUserAccess(made, people['reader'], AccessType.READ, save=True)


class Api:
    """The session routes as a client sees them; every call returns (status, answer)."""

    def __init__(self, server, user):
        self.server, self.user = server, user

    def call(
        self, method, path, params=None, *, body=None, content_type=None, user=..., headers=None, is_json=True
    ):
        response = self.server.request(
            path=path,
            method=method,
            params=params,
            user=self.user if user is ... else user,
            body=body,
            type=content_type,
            additionalHeaders=headers,
            isJson=is_json,
        )
        self.headers = response.headers
        status = int(response.output_status.split()[0])
        return status, response.json if is_json else b''.join(response.body)

    def create(self, folder, name='Slide 7', user=..., **spec):
        body = json.dumps({'folderId': str(folder['_id']), 'name': name, 'spec': spec})
        return self.call('POST', '/stitch_session', body=body, content_type='application/json', user=user)

    def put(self, session, key, body, x=0, y=0, *, user=..., headers=None, content_type='image/x', **params):
        path = f'/stitch_session/{session["_id"]}/patch/{key}'
        params = {'x': x, 'y': y, **params}
        return self.call(
            'PUT', path, params, body=body, content_type=content_type, user=user, headers=headers
        )

    def get(self, session, user=...):
        return self.call('GET', f'/stitch_session/{session["_id"]}', user=user)

    def finalize(self, session, user=..., **params):
        return self.call('POST', f'/stitch_session/{session["_id"]}/finalize', params, user=user)

    def cancel(self, session, user=...):
        return self.call('POST', f'/stitch_session/{session["_id"]}/cancel', user=user)

    def delete(self, session, user=...):
        return self.call('DELETE', f'/stitch_session/{session["_id"]}', user=user)


@pytest.fixture
def api(zarr_server, people):
    return Api(zarr_server, people['owner'])


@pytest.fixture
def session(api, folder):
    """An open session without patches."""
    status, made = api.create(folder)
    assert status == 200, made
    return made


@pytest.fixture
def stored(db):
    """Count everything that a request could leave behind."""

    def count():
        from girder.models.file import File
        from girder.models.item import Item
        from girder.models.upload import Upload

        from girder_zarr.server.patches.model import StitchPatch
        from girder_zarr.server.sessions.model import StitchSession

        models = (File, Item, Upload, StitchPatch, StitchSession)
        return {model.__name__: model().collection.count_documents({}) for model in models}

    return count


@pytest.fixture
def dispatched(monkeypatch):
    """What was sent to the workers; ``run()`` does what a worker would do with the last of it."""
    from girder_zarr.server.jobs import tasks

    class Sent(list):
        def run(self):
            tasks.run(self[-1]['sessionId'], self[-1]['attempt'])

        def run_failing(self):
            with pytest.raises(GirderZarrError):
                self.run()

    sent = Sent()
    original = tasks.stitch.apply_async

    def apply_async(*args, **options):
        sent.append(dict(options['kwargs']))
        return original(*args, **options)

    monkeypatch.setattr(tasks.stitch, 'apply_async', apply_async)
    return sent


@pytest.fixture(autouse=True)
def _no_keeper(monkeypatch):
    """Nobody looks after lost workers but where a test says so."""
    monkeypatch.setattr('girder_zarr.server.maintenance.reaper.start', lambda: None)


@pytest.fixture(autouse=True)
def _no_sweeping(monkeypatch):
    """Expired sessions are removed where a test says so, not in a thread that outlives the database."""
    monkeypatch.setattr('girder_zarr.server.maintenance.expired.INTERVAL_SECONDS', float('inf'))
    monkeypatch.setattr('girder_zarr.server.maintenance.expired._looked', 0.0)


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG')
    return stream.getvalue()


def npy(pixels):
    stream = io.BytesIO()
    np.save(stream, pixels, allow_pickle=False)
    return stream.getvalue()


def random_pixels(height, width, bands=3, dtype='uint8', seed=0):
    random = np.random.default_rng(seed)
    shape = (height, width, bands) if bands > 1 else (height, width)
    return random.integers(0, 255, shape).astype(dtype)


def region_of(api, session):
    """Return the whole image of a complete session's item through the viewer's routes, ``(y, x, bands)``."""
    path = f'/item/{session["itemId"]}/tiles/region'
    status, body = api.call('GET', path, {'encoding': 'PNG'}, is_json=False)
    assert status == 200
    return np.asarray(Image.open(io.BytesIO(body)).convert('RGB'))


def stored_array(session):
    """Return the full resolution of a complete session's file, read by zarr itself."""
    from girder.models.file import File

    file = File().load(session['fileId'], force=True)
    store = zarr.storage.ZipStore(File().getLocalFilePath(file), mode='r')
    try:
        return zarr.open_array(store, path='0', mode='r')[:]
    finally:
        store.close()
