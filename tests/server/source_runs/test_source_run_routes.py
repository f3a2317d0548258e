"""The routes over the sources of items: scopes, refusals, permissions, and what they ask of the database."""

import pytest
from bson import ObjectId
from girder.models.collection import Collection
from girder.models.folder import Folder
from girder.models.setting import Setting
from girder.models.user import User
from girder_jobs.constants import JobStatus
from girder_jobs.models.job import Job

from girder_zarr.server.jobs import celery_json
from girder_zarr.server.maintenance import reaper
from girder_zarr.server.source_runs import look_through, source_jobs
from girder_zarr.server.source_runs.source_change import SourceChange
from support.fake_sources import KEY
from support.queries import recorded_queries, uncovered

pytestmark = pytest.mark.plugin('zarr')
BETA_FIRST = {'beta': {'ab': 'NAMED'}}


def test_a_run_keeps_to_its_folder_collection_or_user(runs, images, people):
    Setting().set(KEY, BETA_FIRST)
    collection = Collection().createCollection('c', people['admin'])
    top = Folder().createFolder(collection, 'top', parentType='collection', creator=people['admin'])
    below = Folder().createFolder(top, 'below', creator=people['admin'])
    for folder in (top, below):
        images.add('deep.ab', folder=folder)
    for scope, name, found in (
        ({'folderId': below['_id']}, 'below', 1),
        ({'folderId': top['_id']}, 'top', 2),
        ({'collectionId': collection['_id']}, 'c', 2),
        ({'userId': people['owner']['_id']}, people['owner']['login'], 4),
        ({}, None, 6),
    ):
        run = runs.do('count', **{key: str(value) for key, value in scope.items()})
        assert (run['scope']['name'], run['total'], run['counts']) == (name, found, {'found': found})
    runs.do(folderId=str(top['_id']))
    assert images.sources() == ['alpha'] * 4 + ['beta'] * 2


def test_what_cannot_be_begun(runs, images, folder, people):
    nowhere = '0' * 24
    assert runs.call('POST', params={'kind': 'undo'})[0] == 400
    both = {'kind': 'count', 'folderId': str(folder['_id']), 'userId': str(people['owner']['_id'])}
    assert runs.call('POST', params=both)[0] == 400
    for name in ('folderId', 'collectionId', 'userId'):
        for value in (nowhere, 'nonsense'):
            assert runs.call('POST', params={'kind': 'count', name: value})[0] == 404
    for method, path in (('GET', ''), ('GET', '/item'), ('POST', '/cancel'), ('POST', '/undo')):
        for run_id in (nowhere, 'nonsense'):
            assert runs.call(method, f'/{run_id}{path}')[0] == 404
    assert runs.sent == []
    run = runs.begin('count')
    status, answer = runs.call('POST', params={'kind': 'change'})
    assert (status, answer['message'].split(';')[0]) == (409, 'Items are being looked through already')
    assert len(runs.call('GET')[1]) == 1
    assert runs.call('POST', f'/{run["_id"]}/undo')[0] == 409
    assert runs.call('GET', f'/{run["_id"]}/item', {'limit': 0})[0] == 400
    assert runs.call('GET', f'/{run["_id"]}/item', {'state': 'lost'})[0] == 400
    assert runs.call('POST', f'/{run["_id"]}/cancel')[0] == 200
    change = runs.begin('change')
    status, answer = runs.call('POST', f'/{change["_id"]}/undo')
    assert (status, answer['message']) == (409, 'The run has not ended; cancel it first.')


def test_only_administrators(runs, images, people):
    Setting().set(KEY, BETA_FIRST)
    run = runs.begin()
    routes = [
        ('POST', ''), ('GET', ''), ('GET', f'/{run["_id"]}'), ('GET', f'/{run["_id"]}/item'),
        ('POST', f'/{run["_id"]}/cancel'), ('POST', f'/{run["_id"]}/undo'),
    ]  # fmt: skip
    for name in ('owner', 'writer', 'stranger', 'nobody'):
        for method, path in routes:
            params = {'kind': 'change'} if (method, path) == ('POST', '') else None
            assert runs.call(method, path, params, user=people[name])[0] in {401, 403}
        assert runs.api.call('GET', '/zarr/use', user=people[name])[0] in {401, 403}
    # Whoever has asked for it has to be one when it is done, too.
    admin = User().load(people['admin']['_id'], force=True)
    User().update({'_id': admin['_id']}, {'$set': {'admin': False}})
    with pytest.raises(Exception, match='not an administrator any more'):
        runs.work()
    User().update({'_id': admin['_id']}, {'$set': {'admin': True}})
    done = runs.get(run)
    assert (done['state'], done['error']) == (
        'error', 'The user who asked for it is not an administrator any more.',
    )  # fmt: skip
    assert images.sources() == ['alpha'] * 4
    assert Job().load(done['jobId'], force=True)['status'] == JobStatus.ERROR


def test_without_a_queue_it_says_so(runs, images, monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionRefusedError('no broker')

    monkeypatch.setattr(celery_json, 'send', unreachable)
    for _ in range(3):
        assert runs.call('POST', params={'kind': 'change'})[0] == 503
    # However often it is tried: what was changed before can be undone for as long as it is kept.
    (run,) = runs.call('GET')[1]
    assert run['state'] == 'error'
    assert [job['_id'] for job in Job().find({'type': source_jobs.JOB_TYPE})] == [ObjectId(run['jobId'])]
    assert Job().load(run['jobId'], force=True)['status'] == JobStatus.ERROR


def test_old_runs_go_with_what_they_have_recorded(runs, images, monkeypatch):
    monkeypatch.setattr('girder_zarr.server.source_runs.source_run.MAX_KEPT', 2)
    Setting().set(KEY, BETA_FIRST)
    for _ in range(3):
        runs.do('count')
    assert len(runs.call('GET')[1]) == 2
    assert SourceChange().collection.count_documents({}) == 8


def test_every_query_has_an_index_with_all_of_its_fields(runs, images, db, monkeypatch):
    monkeypatch.setattr(look_through, 'REPORT_SECONDS', -1)
    Setting().set(KEY, BETA_FIRST)
    with recorded_queries() as made:
        run = runs.do(folderId=str(images.folder['_id']))
        runs.items(run, state='changed')
        runs.items(run, after=images.items[0].binary.hex())
        runs.undo(run)
        runs.do('count')
        runs.call('GET')
        reaper.scan()
    ours = [one for one in made if one.caller.startswith('source_runs') and one.operation != 'insert_one']
    assert {one.collection for one in ours} >= {'source_run', 'source_change', 'item', 'folder', 'file'}
    bad = uncovered(ours, db.get_default_database())
    assert not bad, '\n'.join(map(str, sorted(bad)))
