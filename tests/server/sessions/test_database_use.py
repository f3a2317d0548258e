"""What requests, jobs and the reaper ask of the database: few commands, and none that reads all documents."""

import pytest
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.user import User

from girder_zarr.server.common import database
from girder_zarr.server.jobs import distribute
from girder_zarr.server.maintenance import expired, orphans, reaper, removal
from girder_zarr.server.patches import hooks
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions import listing, quota
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.settings import polled, session_limits
from girder_zarr.server.settings.define import SettingKey
from support.queries import recorded_queries, uncovered
from support.server import npy, png, random_pixels, tar

pytestmark = pytest.mark.plugin('zarr')

#: Queries that read a whole collection, by collection and function, and why they may.
READ_ALL = {
    ('upload', 'patches/files.py:remove_uploads'): 'holds only what is being uploaded now',
    ('upload', 'leases/part_lease.py:discard'): 'holds only what is being uploaded now',
    ('upload', 'jobs/cleanup.py:remove_item'): 'holds only what is being uploaded now',
    ('assetstore', 'storage/durable_files.py:remove_temporary'): 'there are few',
    ('assetstore', 'storage/durable_files.py:remove_unnamed'): 'there are few',
    ('assetstore', 'storage/durable_files.py:remove_locks'): 'there are few',
    ('assetstore', 'storage/target.py:_current'): 'there are few; Girder asks for the current one',
    ('assetstore', 'jobs/publish.py:publish'): 'there are few; Girder asks for the current one',
    ('assetstore', 'leases/part_lease.py:store'): 'there are few; Girder asks for the current one',
    ('upload', 'patches/model.py:remove_all'): 'holds only what is being uploaded now; asked by Girder',
    (
        'upload',
        'storage/durable_files.py:remove_file',
    ): 'holds only what is being uploaded now; asked by Girder',
    ('upload', 'storage/durable_files.py:drop_contents'): 'holds only what is being uploaded now',
    ('folder', 'jobs/publish.py:publish'): 'Girder makes sure that no folder has the name of the item',
    ('stitch_preview_block', 'preview/block_store.py:remove_lost'): 'once a day',
    (
        'stitch_part',
        'leases/part_lease.py:_list_attempts',
    ): 'a twentieth of a processor at most',
}


def put_row(api, session, count, start=0):
    """Put patches of 8 x 8 pixels beside each other; return their keys."""
    keys = [f'p{start + at}' for at in range(count)]
    for at, key in enumerate(keys, start):
        body = png(random_pixels(8, 8, seed=at))
        assert api.put(session, key, body, x=8 * at)[0] in {200, 201}
    return keys


def of_request(made):
    """Return what was asked by the request itself: not what is read once a second, no previews."""
    return [
        query
        for query in made
        if query.collection not in {'setting', 'assetstore'}
        and not query.caller.startswith('preview/')
        and not query.caller.startswith(('patches/reader', 'storage/file_bytes'))
        and query.caller not in {'sessions/quota.py:_ask', 'storage/target.py:_chosen_for'}
        and not (query.collection == 'token' and query.is_write)  # made by the test
    ]


def test_a_patch_costs_nine_commands_of_which_four_write(api, session, monkeypatch):
    monkeypatch.setattr(hooks, 'stored', [])  # nobody makes overviews meanwhile
    put_row(api, session, 2)
    with recorded_queries() as made:
        put_row(api, session, 1, start=2)
    asked = of_request(made)
    names = [f'{query.collection}.{query.operation}' for query in asked]
    assert len(asked) <= 9, names
    assert sum(query.is_write for query in asked) <= 4, names
    # Of each field besides the id the embedded database looks for an index, which costs more than the update.
    updates = [query for query in asked if query.operation == 'update_one']
    assert [list(query.filter) for query in updates] == [['_id']] * 2, updates


def test_limits_are_not_read_for_each_patch(api, session, monkeypatch):
    monkeypatch.setattr(polled, 'MAX_AGE', 600.0)
    session_limits.forget()
    with recorded_queries() as made:
        put_row(api, session, 3)
    assert [query.filter for query in made].count({'key': SettingKey.STITCH_LIMITS}) == 1


def test_sizes_are_counted_a_moment_later_for_all_that_was_stored(api, session, folder):
    with recorded_queries() as made:
        put_row(api, session, 5)
        quota.flush()
    files = list(File().find({'attachedToId': StitchSession().get(session['_id'])['_id']}))
    nbytes = sum(file['size'] for file in files)
    assert Folder().load(folder['_id'], force=True)['size'] == nbytes
    assert User().load(folder['baseParentId'], force=True)['size'] == nbytes
    assert sum(query.collection == 'folder' and query.is_write for query in made) <= 5
    assert api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/p0')[0] == 200
    left = nbytes - next(
        file['size'] for file in files if file['name'] and not File().load(file['_id'], force=True)
    )
    assert Folder().load(folder['_id'], force=True)['size'] == left


def test_a_file_that_goes_before_it_is_counted_is_never_counted(api, session, folder):
    put_row(api, session, 1)
    assert api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/p0')[0] == 200
    quota.flush()
    assert Folder().load(folder['_id'], force=True)['size'] == 0


def test_the_sweep_counts_what_a_dead_server_has_not(api, session, folder):
    put_row(api, session, 2)
    quota.drop_pending()
    orphans.sweep_orphans(StitchSession().get(session['_id']), older_than=0)
    quota.flush()
    nbytes = sum(
        file['size'] for file in File().find({'attachedToId': StitchSession().get(session['_id'])['_id']})
    )
    assert nbytes
    assert Folder().load(folder['_id'], force=True)['size'] == nbytes


def test_patches_of_two_requests_at_once_have_different_revisions(api, session):
    """A request that read the session before another's commit takes the longer way."""
    put_row(api, session, 1)
    before = StitchSession().get(session['_id'])
    put_row(api, session, 1, start=1)
    changed = StitchPatch().commit(before, [], 0, 1)
    assert changed['revision'] == before['revision'] + 2
    assert changed['counts']['patches'] == 2
    assert changed == StitchSession().get(session['_id'])


def test_a_change_without_another_read_returns_what_is_stored(api, session):
    put_row(api, session, 1)
    before = StitchSession().get(session['_id'])
    changed = StitchPatch().commit(before, [], 0, 7)
    stored = StitchSession().get(session['_id'])
    for moment in (changed, stored):
        moment.pop('updated')
    assert changed == stored
    assert stored['counts']['bytes'] == before['counts']['bytes'] + 7


def work_through(api, folder, dispatched, monkeypatch):
    """Do once whatever requests, workers and the reaper do with a session."""
    session = api.create(folder)[1]
    path = f'/stitch_session/{session["_id"]}'
    put_row(api, session, 4)
    put_row(api, session, 1)
    api.put(session, 'p1', png(random_pixels(8, 8, seed=77)), x=8, replace=True)
    files = [(f'b{at}.npy', npy(random_pixels(8, 8, seed=at))) for at in range(3)]
    pax = {name: {'key': name, 'x': 8 * at, 'y': 8} for at, (name, _) in enumerate(files)}
    assert (
        api.call('POST', f'{path}/patches', body=tar(files, pax), content_type='application/x-tar')[0] == 200
    )
    for keys in ({'keys': ['p0', 'nowhere']}, {'keys': [f'k{at}' for at in range(50)]}):
        import json

        answer = api.call('POST', f'{path}/missing', body=json.dumps(keys), content_type='application/json')
        assert answer[0] == 200, answer
    api.call('GET', f'{path}/patch', {'limit': 2, 'offset': 1})
    api.call('GET', f'{path}/patch/p0')
    api.call('DELETE', f'{path}/patch/p3')
    api.call('GET', '/stitch_session')
    api.call('GET', '/stitch_session', {'folderId': str(folder['_id']), 'limit': 1})
    api.call('GET', '/stitch_session', {'folderId': str(folder['_id']), 'name': 's', 'state': 'open'})
    api.call('GET', '/stitch_session', {'name': 's', 'since': '2020-01-01T00:00:00Z'})
    api.call('GET', '/stitch_session', {'folderId': str(folder['_id']), 'since': '2020-01-01T00:00:00Z'})
    api.call('GET', f'{path}/tiles')
    api.call('GET', f'{path}/tiles/zxy/0/0/0', is_json=False)
    reaper.scan()
    assert api.finalize(session)[0] == 200
    reaper.scan()
    monkeypatch.setattr(distribute, '_PAUSE', 0.01)
    dispatched.run()
    assert api.get(session)[1]['state'] == 'complete'
    expired.sweep()
    orphans.sweep_all(older_than=0)
    reaper.scan()
    cancelled = api.create(folder)[1]
    put_row(api, cancelled, 1)
    api.finalize(cancelled)
    api.cancel(cancelled)
    reaper.scan()
    removal.delete_session(cancelled['_id'])
    item = api.get(session)[1]['itemId']
    assert len(api.call('GET', '/stitch_session', {'itemId': item})[1]) == 1
    assert api.call('DELETE', f'/item/{item}')[0] == 200
    removal.remove_in_folder(folder['_id'])


@pytest.mark.parametrize('parts', [False, True])
def test_every_query_has_an_index_with_all_of_its_fields(api, folder, dispatched, monkeypatch, db, parts):
    from girder.models.setting import Setting

    if parts:
        monkeypatch.setattr('girder_zarr.server.jobs.distribute.MAX_PARTS_ALONE', 0)
        Setting().set(SettingKey.STITCH_PART_VALUES, 4096)
    Setting().set(SettingKey.STITCH_EXPIRES_HOURS, 1000)
    monkeypatch.setattr(database, 'MAX_NAMED', 2)
    with recorded_queries() as made:
        work_through(api, folder, dispatched, monkeypatch)
    named = {
        (query.collection, query.caller): len(value['$in'])
        for query in made
        for field, value in query.filter.items()
        if query.caller and field not in ('state', 'status') and isinstance(value, dict) and '$in' in value
    }
    # The names of metadata are always the same few.
    many = {where for where, count in named.items() if count > 2} - {
        ('item', 'storage/folder_store.py:has_metadata')
    }
    assert named
    assert not many
    ours = [query for query in made if query.caller and query.operation not in ('insert_one', 'insert_many')]
    assert {query.collection for query in ours} >= {
        'stitch_session',
        'stitch_patch',
        'file',
        'job',
        'stitch_part',
    }
    bad = {
        (collection, operation, fields, caller)
        for collection, operation, fields, caller in uncovered(ours, db.get_default_database())
        if (collection, caller) not in READ_ALL
        # Girder's own loading of a document, whatever it asks, is not for us to change.
        and not caller.startswith('api/strict_resource')
    }
    assert not bad, '\n'.join(map(str, sorted(bad)))


def test_missing_keys_of_small_and_large_questions(api, session, monkeypatch):
    """Few keys are looked up one by one, many are compared with all of the session: the answer is one."""
    keys = put_row(api, session, 20)
    current = StitchSession().get(session['_id'])
    digests = {one['key']: one['digest'] for one in StitchPatch().list_session(current)}
    asked = {'nowhere': None, keys[3]: digests[keys[3]]}
    few = StitchPatch().compare(current, asked)
    assert few == {'missing': ['nowhere'], 'different': [], 'present': 1}
    many = {**digests, 'nowhere': None, keys[4]: digests[keys[5]]}
    assert StitchPatch().compare(current, many) == {
        'missing': ['nowhere'], 'different': [keys[4]], 'present': 19,
    }  # fmt: skip
    assert StitchPatch().compare(current, {}) == {'missing': [], 'different': [], 'present': 0}


def test_a_page_of_a_long_list_is_that_of_the_whole_list(api, folder, monkeypatch):
    import datetime as dt

    from girder_zarr.server.common.names import now

    ids = [api.create(folder, name=f's{at}')[1]['_id'] for at in range(12)]
    for at, one in enumerate(ids):
        moment = now() - dt.timedelta(hours=at**3)
        StitchSession().collection.update_one(
            {'_id': StitchSession().get(one)['_id']}, {'$set': {'updated': moment}}
        )
    for offset in range(12):
        found = api.call('GET', '/stitch_session', {'limit': 3, 'offset': offset})[1]
        assert [one['_id'] for one in found] == ids[offset : offset + 3]
        assert api.headers['Girder-Total-Count'] == '12'
    query = {'folderId': folder['_id'], 'deleting': False}
    with recorded_queries() as made:
        listing.find(query, None, [('updated', -1)], 1, 0)
    assert [set(one.filter) for one in made if one.operation == 'find'] == [{*query, 'updated'}]
