"""Items are given the source that is first today, by a job that may die, be cancelled, and be undone."""

import io

import pytest
from girder.models.file import File
from girder.models.item import Item
from girder.models.setting import Setting
from girder.models.upload import Upload
from girder_jobs.constants import JobStatus
from girder_jobs.models.job import Job
from large_image.exceptions import TileSourceError
from pymongo.errors import AutoReconnect

from girder_zarr.errors import GirderZarrError
from girder_zarr.server.jobs import girder_job
from girder_zarr.server.maintenance import reaper
from girder_zarr.server.source_runs import look_through, source_jobs
from girder_zarr.server.source_runs.scope import scope_of
from girder_zarr.server.source_runs.source_change import CHANGING, SourceChange
from girder_zarr.server.source_runs.source_run import SourceRun
from support.fake_sources import KEY, make_item, make_source

from .conftest import EARLIER

pytestmark = pytest.mark.plugin('zarr')
BETA_FIRST = {'beta': {'ab': 'NAMED'}}


class Killed(BaseException):
    """What no handler catches, as no handler catches SIGKILL."""


def test_items_are_counted_changed_and_put_back(runs, images):
    images.add('other.b', source='beta')
    assert runs.do()['counts'] == {}
    Setting().set(KEY, BETA_FIRST)
    counted = runs.do('count')
    assert (counted['state'], counted['examined'], counted['total']) == ('complete', 5, 5)
    assert counted['counts'] == {'found': 4}
    assert images.sources() == ['alpha'] * 4 + ['beta']
    assert not counted['canUndo']

    run = runs.do()
    assert images.sources() == ['beta'] * 5
    assert (run['counts'], run['canUndo'], run['userLogin']) == ({'changed': 4}, True, 'admin')
    entries = runs.items(run)
    assert [(one['before'], one['after'], one['state']) for one in entries] == [
        ('alpha', 'beta', 'changed')
    ] * 4
    assert [one['itemName'] for one in entries] == ['p.ab', 'q.ab', 'r.ab', 's.ab']
    assert runs.items(run, limit=2, after=entries[1]['itemId']) == entries[2:]
    assert runs.items(run, state='failed') == []

    undone = runs.undo(run)
    assert (undone['state'], undone['counts'], undone['of']) == ('complete', {'undone': 4}, run['_id'])
    assert images.sources() == ['alpha'] * 4 + ['beta']
    again = runs.get(run)
    assert (again['counts'], again['canUndo']) == ({'undone': 4}, False)
    assert runs.call('POST', f'/{run["_id"]}/undo')[0] == 409
    listed = runs.call('GET')[1]
    assert [one['kind'] for one in listed] == ['undo', 'change', 'count', 'change']
    job = Job().load(undone['jobId'], force=True)
    assert job['status'] == JobStatus.SUCCESS
    assert '4 put back' in job['progress']['message']


def test_thumbnails_of_the_source_before_are_forgotten(runs, images):
    item = Item().load(images.items[0], force=True)
    before = item['updated']
    file = Upload().uploadFromFile(
        io.BytesIO(b'abc'), 3, 'thumb', 'item', item, runs.admin, attachParent=True, mimeType='image/jpeg'
    )
    File().update(
        {'_id': file['_id']},
        {'$set': {'attachedToType': 'item', 'attachedToId': item['_id'], 'isLargeImageThumbnail': True}},
    )
    Setting().set(KEY, BETA_FIRST)
    runs.do()
    assert File().load(file['_id'], force=True) is None
    assert Item().load(item['_id'], force=True)['updated'] > before


def test_a_message_that_comes_twice_does_nothing_twice(runs, images, monkeypatch):
    Setting().set(KEY, BETA_FIRST)
    run = runs.begin()
    inside = []
    original = look_through.first_choice

    def meanwhile(item, file, sources):
        if not inside:
            inside.append(True)
            runs.work()  # the same message, in another worker
            assert images.sources() == ['alpha'] * 4
        return original(item, file, sources)

    monkeypatch.setattr(look_through, 'first_choice', meanwhile)
    runs.work()
    done = runs.get(run)
    assert done['counts'] == {'changed': 4}
    runs.work()
    assert runs.get(run) == done


@pytest.mark.parametrize('step', ['change_source', 'forget_pictures', 'first_choice'])
def test_a_worker_that_dies_between_two_steps_leaves_nothing_unknown(runs, images, monkeypatch, step):
    Setting().set(KEY, BETA_FIRST)
    run = runs.begin()
    original, calls = getattr(look_through, step), []

    def dying(*args):
        calls.append(args)
        if len(calls) == 2:
            raise Killed
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(look_through, step, dying)
        patch.setattr(look_through, '_clean_up', lambda _: None)
        with pytest.raises(Killed):
            runs.work()
    runs.work()  # the lease still holds
    assert len(SourceChange().in_state(SourceRun().get(run['_id'])['_id'], 'changed')) == 1
    runs.lose_worker(run)
    runs.work()
    assert images.sources() == ['beta'] * 4
    done = runs.get(run)
    assert (done['state'], done['examined'], done['counts']) == ('complete', 4, {'changed': 4})
    assert runs.undo(run)['counts'] == {'undone': 4}
    assert images.sources() == ['alpha'] * 4


def test_a_worker_that_loses_the_database_hands_over(runs, images, monkeypatch):
    Setting().set(KEY, BETA_FIRST)
    run = runs.begin()
    original, calls = look_through.first_choice, []

    def losing(item, file, sources):
        calls.append(item['_id'])
        if len(calls) == 3:
            raise AutoReconnect('gone')
        return original(item, file, sources)

    monkeypatch.setattr(look_through, 'first_choice', losing)
    runs.work()
    assert (runs.get(run)['state'], images.sources()) == ('running', ['beta', 'beta', 'alpha', 'alpha'])
    reaper.scan()  # sends it again, since nobody has it
    assert len(runs.sent) == 2
    runs.work()
    done = runs.get(run)
    assert (done['state'], done['examined'], done['counts']) == ('complete', 4, {'changed': 4})


def test_an_undoing_whose_worker_dies_goes_on(runs, images, monkeypatch):
    Setting().set(KEY, BETA_FIRST)
    run = runs.do()
    begun = runs.call('POST', f'/{run["_id"]}/undo')[1]

    def dying(item_id):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(look_through, 'forget_pictures', dying)
        patch.setattr(look_through, '_clean_up', lambda _: None)
        with pytest.raises(Killed):
            runs.work()
    runs.lose_worker(begun)
    runs.work()
    assert runs.get(begun)['counts'] == {'undone': 4}
    assert images.sources() == ['alpha'] * 4


def test_an_item_that_kills_its_worker_is_listed_and_left(runs, images, monkeypatch):
    Setting().set(KEY, BETA_FIRST)
    run = runs.begin()
    original = look_through.first_choice

    def dying(item, file, sources):
        if item['_id'] == images.items[2]:
            raise Killed
        return original(item, file, sources)

    monkeypatch.setattr(look_through, 'first_choice', dying)
    clean_up = look_through._clean_up
    for _ in range(look_through.MAX_TRIES):
        monkeypatch.setattr(look_through, '_clean_up', lambda _: None)
        with pytest.raises(Killed):
            runs.work()
        runs.lose_worker(run)
    monkeypatch.setattr(look_through, '_clean_up', clean_up)
    runs.work()
    assert images.sources() == ['beta', 'beta', 'alpha', 'beta']
    done = runs.get(run)
    assert done['counts'] == {'changed': 3, 'failed': 1}
    (failed,) = runs.items(run, state='failed')
    assert failed['reason'] == '2 workers died while the item was opened.'


def test_a_run_that_is_cancelled_midway_stops_and_can_be_undone(runs, images, monkeypatch):
    monkeypatch.setattr(look_through, 'REPORT_SECONDS', -1)
    Setting().set(KEY, BETA_FIRST)
    run = runs.begin()
    original, seen = look_through.first_choice, []

    def cancelling(item, file, sources):
        seen.append(item['_id'])
        if len(seen) == 2:
            status, answer = runs.call('POST', f'/{run["_id"]}/cancel')
            assert (status, answer['state']) == (200, 'cancelled')
        return original(item, file, sources)

    monkeypatch.setattr(look_through, 'first_choice', cancelling)
    runs.work()
    assert len(seen) == 2
    done = runs.get(run)
    assert (done['state'], done['canUndo']) == ('cancelled', True)
    assert images.sources() == ['beta', 'beta', 'alpha', 'alpha']
    assert Job().load(done['jobId'], force=True)['status'] == JobStatus.CANCELED
    assert runs.call('POST', f'/{run["_id"]}/cancel')[0] == 409
    assert runs.undo(run)['counts'] == {'undone': 2}
    assert images.sources() == ['alpha'] * 4


def test_the_job_page_cancels_as_well(runs, images):
    run = runs.begin()
    Job().cancelJob(Job().load(run['jobId'], force=True))
    assert runs.get(run)['state'] == 'cancelled'
    runs.work()
    reaper.scan()
    assert Job().load(run['jobId'], force=True)['status'] == JobStatus.CANCELED


def test_items_that_change_or_go_meanwhile_are_left(runs, images, monkeypatch):
    Setting().set(KEY, BETA_FIRST)
    original = look_through.first_choice

    def meanwhile(item, file, sources):
        choice = original(item, file, sources)
        if item['_id'] == images.items[0]:
            Item().remove(Item().load(item['_id'], force=True))
        if item['_id'] == images.items[1]:
            Item().update({'_id': item['_id']}, {'$set': {'largeImage.sourceName': 'gamma'}})
        return choice

    monkeypatch.setattr(look_through, 'first_choice', meanwhile)
    run = runs.do()
    assert images.sources() == [None, 'gamma', 'beta', 'beta']
    assert run['counts'] == {'changed': 2, 'kept': 2}
    assert [one['reason'] for one in runs.items(run, state='kept')] == [
        'The item has been deleted.',
        'The item was given the source gamma by now.',
    ]


def test_an_undoing_leaves_what_was_changed_since(runs, images, people):
    Setting().set(KEY, BETA_FIRST)
    run = runs.do()
    first, second, third, _ = images.items
    Item().remove(Item().load(first, force=True))
    Item().update({'_id': second}, {'$set': {'largeImage.sourceName': 'gamma'}})
    item = Item().load(third, force=True)
    _, other = make_item(people['admin'], images.folder, 'x.ab')
    item['largeImage']['fileId'] = other['_id']
    Item().save(item)
    undone = runs.undo(run)
    assert undone['counts'] == {'kept': 3, 'undone': 1}
    assert images.sources() == [None, 'gamma', 'beta', 'alpha']
    assert [one['reason'] for one in runs.items(undone, state='kept')] == [
        'The item has been deleted.',
        'The item was given the source gamma by now.',
        'The item has another image by now.',
    ]


def test_a_source_that_is_gone_is_not_put_back(runs, images, sources):
    Setting().set(KEY, BETA_FIRST)
    run = runs.do()
    del sources['alpha']
    assert runs.undo(run)['counts'] == {'kept': 4}
    assert images.sources() == ['beta'] * 4


def test_a_worker_chooses_among_the_sources_of_the_server(runs, images, sources):
    Setting().set(KEY, {'delta': {'ab': 'NAMED'}, 'beta': {'ab': 'PREFERRED'}})
    run = runs.begin()
    # A worker that has more than the servers, and one that has less.
    sources['delta'] = make_source('delta', {'ab': 0})
    runs.work()
    assert images.sources() == ['beta'] * 4
    assert runs.get(run)['state'] == 'complete'
    run = runs.begin()
    del sources['delta'], sources['gamma']
    with pytest.raises(GirderZarrError):
        runs.work()
    assert runs.get(run)['error'] == (
        'The worker lacks tile sources that the server has, so it cannot choose: delta, gamma.'
    )


def test_sources_that_fail_are_listed_with_the_reason(runs, images, sources, monkeypatch):
    Setting().set(KEY, BETA_FIRST)

    def no_tile(self, *args, **kwargs):
        raise TileSourceError('the tile is torn')

    with monkeypatch.context() as patch:
        patch.setattr(sources['beta'], 'getTile', no_tile)
        run = runs.do()
    assert (run['state'], run['counts'], images.sources()) == ('complete', {'failed': 4}, ['alpha'] * 4)
    assert runs.items(run)[0]['reason'] == 'beta would be the first and fails: the tile is torn'
    assert runs.items(run)[0]['after'] == 'beta'

    def broken(*args, **kwargs):
        raise RuntimeError('the library fell over')

    with monkeypatch.context() as patch:
        patch.setattr(sources['beta'], 'canRead', broken)
        run = runs.do()
    assert runs.items(run)[0]['reason'] == 'beta broke when it was asked: the library fell over'

    # What cannot read a file is passed over, as when an image is registered.
    Setting().set(KEY, {'gamma': {'ab': 'NAMED'}})
    assert runs.do()['counts'] == {}
    Setting().set(KEY, {'gamma': {'ab': 'NAMED'}, 'alpha': 'off', 'beta': 'off'})
    images.add('good.ab', b'gamma rays')
    run = runs.do()
    assert run['counts'] == {'failed': 4, 'changed': 1}
    assert images.sources() == ['alpha'] * 4 + ['gamma']
    reason = 'No source that may be asked can read it; alpha is not asked any more.'
    assert {one['reason'] for one in runs.items(run, state='failed')} == {reason}


@pytest.mark.parametrize('made', [False, True])
def test_a_run_whose_server_died_before_it_had_a_job_gets_one(runs, images, monkeypatch, made):
    Setting().set(KEY, BETA_FIRST)
    create = Job.createJob

    def dying(*args, **kwargs):
        if made:
            create(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Job, 'createJob', dying)
        with pytest.raises(Killed):
            source_jobs.begin(runs.admin, 'change', scope_of({}))
    (stored,) = SourceRun().newest(1)
    assert (stored['state'], stored['jobId'], runs.sent) == ('running', None, [])
    SourceRun().collection.update_one({'_id': stored['_id']}, {'$set': {'sent.at': EARLIER}})
    reaper.scan()
    job = Job().load(SourceRun().get(stored['_id'])['jobId'], force=True)
    assert (job['meta']['sourceRunId'], job['userId']) == (str(stored['_id']), runs.admin['_id'])
    assert runs.sent == [str(stored['_id'])]
    assert [one['_id'] for one in girder_job.list_open(source_jobs.JOB_TYPE)] == [job['_id']]
    runs.work()
    assert runs.get({'_id': str(stored['_id'])})['state'] == 'complete'
    assert Job().load(job['_id'], force=True)['status'] == JobStatus.SUCCESS


def test_the_reaper_sends_again_and_finishes(runs, images, monkeypatch):
    Setting().set(KEY, BETA_FIRST)
    run = runs.begin()
    reaper.scan()
    assert len(runs.sent) == 1
    stored = SourceRun().get(run['_id'])
    SourceRun().collection.update_one({'_id': stored['_id']}, {'$set': {'sent.at': EARLIER}})
    reaper.scan()
    reaper.scan()
    assert len(runs.sent) == 2

    # A worker that dies with an item half changed, in a run that is cancelled then.
    def dying(*args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(look_through, 'forget_pictures', dying)
        patch.setattr(look_through, '_clean_up', lambda _: None)
        with pytest.raises(Killed):
            runs.work()
    runs.call('POST', f'/{run["_id"]}/cancel')
    assert len(SourceChange().in_state(stored['_id'], CHANGING)) == 1
    runs.lose_worker(run)
    reaper.scan()
    assert SourceRun().get(run['_id'])['run'] is None
    done = runs.get(run)
    assert (done['state'], done['counts']) == ('cancelled', {'changed': 1})
    assert Job().load(done['jobId'], force=True)['status'] == JobStatus.CANCELED
