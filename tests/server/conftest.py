"""Girder for the tests of the server room: on a mock database, or with ``--mongo-uri`` on a real one."""

import os

os.environ.setdefault('GIRDER_WORKER_BROKER', 'memory://')
os.environ.setdefault('GIRDER_WORKER_BACKEND', 'cache+memory://')


import pytest

from girder_zarr.errors import GirderZarrError
from support.factories import make_user
from support.girder_database import RealDatabase, mend_mongomock
from support.s3 import assetstore, bucket, moto_server  # noqa: F401 - fixtures
from support.server import Api


def pytest_configure(config):
    """Use the mock database unless a real one is named on the command line."""
    named = any(str(argument).startswith('--mongo-uri') for argument in config.invocation_params.args)
    if named:
        config.pluginmanager.register(RealDatabase(config.getoption('--mongo-uri')))
    else:
        config.option.mock_db = True


mend_mongomock()


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

    from girder_zarr.server.preview.builder import overview_builder

    # Small copies are made in a thread and large_image stores thumbnails in others: none of them may ask for
    # the database when it is gone, since that would open a connection to a real one.
    overview_builder.wait()
    for thread in list(ImageItem._cacheSaveDataThreads):
        thread.join()


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


@pytest.fixture
def api(zarr_server, people):
    return Api(zarr_server, people['owner'])


@pytest.fixture
def web(zarr_server):
    """A client of ``/zarr`` and ``/iiif``."""
    from support.zarr_http import serving

    with serving() as client:
        yield client


@pytest.fixture
def owner(people):
    """The header that signs the owner in."""
    from support.zarr_http import token_of

    return token_of(people['owner'])


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
    from girder_zarr.server.jobs import celery_json, dispatch, run

    class Sent(list):
        def run(self):
            run.run_attempt(self[-1]['sessionId'], self[-1]['attempt'])

        def run_failing(self):
            with pytest.raises(GirderZarrError):
                self.run()

    sent = Sent()
    original = celery_json.send

    def send(name, kwargs, **options):
        if name == dispatch.STITCH:
            sent.append(dict(kwargs))
        original(name, kwargs, **options)

    monkeypatch.setattr(celery_json, 'send', send)
    return sent


@pytest.fixture(autouse=True)
def _forget_assetstore(monkeypatch):
    """Each test has an assetstore and limits of its own, and counts no files of another.

    Sizes are counted where a test says so: the mock database does not stand a thread that comes by itself.
    """
    from girder_zarr.server.sessions import quota
    from girder_zarr.server.settings import session_limits
    from girder_zarr.server.storage import target

    monkeypatch.setattr(quota, 'DELAY_SECONDS', 3600.0)
    yield
    target.forget()
    quota.forget()
    session_limits.forget()
    quota.drop_pending()


@pytest.fixture(autouse=True)
def _no_reaper(monkeypatch):
    """Nobody looks after lost workers but where a test says so."""
    monkeypatch.setattr('girder_zarr.server.maintenance.reaper.start', lambda: None)


@pytest.fixture(autouse=True)
def _no_sweeping(monkeypatch):
    """Expired sessions are removed where a test says so, not in a thread that outlives the database."""
    monkeypatch.setattr('girder_zarr.server.maintenance.expired.INTERVAL_SECONDS', float('inf'))
    monkeypatch.setattr('girder_zarr.server.maintenance.expired._looked', 0.0)
