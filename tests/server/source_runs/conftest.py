"""Items that alpha opens, sources of our own, and what was sent to the workers."""

import datetime as dt

import pytest
from girder.models.item import Item

from girder_zarr.server.jobs import celery_json
from girder_zarr.server.source_runs import look_through
from girder_zarr.server.source_runs.source_run import SourceRun
from girder_zarr.server.tile_sources import priorities
from girder_zarr.server.tile_sources.item_image import set_large_image
from support.fake_sources import make_item, three_sources, use_sources

EARLIER = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def sources(zarr_server, monkeypatch):
    registry = three_sources()
    priorities.install()
    use_sources(monkeypatch, registry)
    yield registry
    priorities.uninstall()
    priorities.overrides.invalidate()


class Images:
    """Items whose image alpha opens, in a folder."""

    def __init__(self, admin, folder):
        self.admin, self.folder, self.items = admin, folder, []

    def add(self, name, content=b'nothing', source='alpha', folder=None):
        item, file = make_item(self.admin, folder or self.folder, name, content)
        set_large_image(item, file, source, replace_source=True)
        self.items.append(item['_id'])
        return item['_id']

    def sources(self):
        """Return the source that each item has now, None for those that are gone."""
        found = [Item().load(one, force=True) for one in self.items]
        return [item and item['largeImage']['sourceName'] for item in found]


@pytest.fixture
def images(sources, people, folder):
    made = Images(people['admin'], folder)
    for name in 'pqrs':
        made.add(f'{name}.ab')
    return made


class Runs:
    """The routes as an administrator uses them, and a worker that takes what was sent."""

    def __init__(self, api, admin, sent):
        self.api, self.admin, self.sent = api, admin, sent

    def call(self, method, path='', params=None, user=...):
        who = self.admin if user is ... else user
        return self.api.call(method, f'/zarr/source_run{path}', params, user=who)

    def begin(self, kind='change', **params):
        status, run = self.call('POST', params={'kind': kind, **params})
        assert status == 200, run
        return run

    def work(self):
        """Do what a worker would do with the last message."""
        look_through.run_through(self.sent[-1])

    def do(self, kind='change', **params):
        run = self.begin(kind, **params)
        self.work()
        return self.get(run)

    def undo(self, run):
        status, begun = self.call('POST', f'/{run["_id"]}/undo')
        assert status == 200, begun
        self.work()
        return self.get(begun)

    def get(self, run):
        status, found = self.call('GET', f'/{run["_id"]}')
        assert status == 200, found
        return found

    def items(self, run, **params):
        status, found = self.call('GET', f'/{run["_id"]}/item', params)
        assert status == 200, found
        return found

    @staticmethod
    def lose_worker(run):
        """Let the lease of a run that was killed run out."""
        stored = SourceRun().get(run['_id'])
        SourceRun().collection.update_one({'_id': stored['_id']}, {'$set': {'run.beat': EARLIER}})


@pytest.fixture
def runs(api, people, monkeypatch, sources):
    sent = []
    original = celery_json.send

    def send(name, kwargs, **options):
        if 'runId' in kwargs:
            sent.append(kwargs['runId'])
        else:
            original(name, kwargs, **options)

    monkeypatch.setattr(celery_json, 'send', send)
    return Runs(api, people['admin'], sent)
