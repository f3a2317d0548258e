"""Lists and removals read few patches, however many there are; what they find is what all would say."""

import random

import bson
import pytest

from girder_zarr.server.patches.model import StitchPatch, key_ranges
from girder_zarr.server.sessions.model import LAST_KEY, StitchSession
from support import page_files
from support.queries import documents_read, recorded_queries
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
SIDE = 8


def fill(api, session, placed, shapes=None):
    """Put the first of some patches, and write documents like it for the others; as the server would."""
    (key, place), *others = placed.items()
    assert api.put(session, key, png(random_pixels(SIDE, SIDE)), **place)[0] == 201
    current = StitchSession().get(session['_id'])
    first = StitchPatch().findOne({'sessionId': current['_id'], 'key': key})
    documents, update = [], {'$min': {'keyRange.first': min(placed)}, '$max': {'keyRange.last': max(placed)}}
    for at, (name, where) in enumerate(others, 2):
        shape = (shapes or {}).get(name, first['shape'])
        ids = {'_id': bson.ObjectId(), 'fileId': bson.ObjectId()}
        documents.append({**first, **ids, 'key': name, 'position': where, 'shape': shape, 'arrival': at})
    for axis in place:
        starts = [document['position'][axis] for document in (first, *documents)]
        ends = [
            document['position'][axis] + {'y': document['shape'][0], 'x': document['shape'][1]}.get(axis, 1)
            for document in (first, *documents)
        ]
        update['$min'][f'extent.{axis}0'], update['$max'][f'extent.{axis}1'] = min(starts), max(ends)
    for at, axis in enumerate('yx'):
        update['$max'][f'largest.{axis}'] = max(document['shape'][at] for document in (first, *documents))
    update['$inc'] = {'counts.patches': len(documents), 'revision': len(documents)}
    if documents:
        StitchPatch().collection.insert_many(documents)
    StitchSession().collection.update_one({'_id': current['_id']}, update)


def grid(columns, rows):
    return {
        f'x{column:03}_y{row:03}': {'x': SIDE * column, 'y': SIDE * row}
        for row in range(rows)
        for column in range(columns)
    }


def remove(api, session, key):
    assert api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/{key}')[0] == 200


def expected_bounds(session):
    """What all patches that are left say."""
    current = StitchSession().get(session['_id'])
    documents = list(StitchPatch().find({'sessionId': current['_id']}))
    if not documents:
        return None
    return {
        axis: [
            min(document['position'][axis] for document in documents),
            max(
                document['position'][axis]
                + {'y': document['shape'][0], 'x': document['shape'][1]}.get(axis, 1)
                for document in documents
            ),
        ]
        for axis in documents[0]['position']
    }


def read_of(made, db):
    """How many patches were read by requests."""
    ours = [query for query in made if query.collection == 'stitch_patch']
    ours = [query for query in ours if not query.caller.startswith('preview/')]
    return documents_read(ours, db.get_default_database())


@pytest.mark.parametrize('columns', [6, 24])
def test_a_removal_at_the_edge_reads_the_patches_near_it(api, session, db, columns):
    fill(api, session, grid(columns, 10))
    for row in (9, 4, 0):
        with recorded_queries() as made:
            remove(api, session, f'x{columns - 1:03}_y{row:03}')
        assert read_of(made, db) <= 70
        assert api.get(session)[1]['bounds'] == expected_bounds(session)
    # The last one of its column: the image becomes narrower.
    for row in (1, 2, 3, 5, 6, 7, 8):
        remove(api, session, f'x{columns - 1:03}_y{row:03}')
    assert api.get(session)[1]['bounds']['x'] == [0, SIDE * (columns - 1)]


@pytest.mark.parametrize('seed', range(6))
def test_the_bounds_are_those_of_what_is_left(api, session, seed):
    """Patches of many sizes at random places, removed from the edges one after the other."""
    rng = random.Random(seed)
    placed, shapes = {}, {}
    for at in range(30):
        placed[f'p{at:02}'] = {'x': rng.randrange(-200, 300), 'y': rng.randrange(0, 40 * (1 + seed))}
        shapes[f'p{at:02}'] = [rng.choice([4, 8, 60]), rng.choice([4, 8, 90]), 3]
    shapes['p00'] = [SIDE, SIDE, 3]
    fill(api, session, placed, shapes)
    current = StitchSession().get(session['_id'])
    for _ in range(30):
        documents = list(StitchPatch().find({'sessionId': current['_id']}))
        key = min(documents, key=lambda one: rng.choice([1, -1]) * one['position']['x'])['key']
        StitchPatch().discard(StitchSession().get(session['_id']), key)
        assert api.get(session)[1]['bounds'] == expected_bounds(session)
    assert api.get(session)[1]['dtype'] is None


def test_the_last_plane_of_a_stack_goes(api, session):
    fill(api, session, {f'z{at}': {'x': 0, 'y': 0, 'z': at} for at in range(5)})
    for at in (4, 0):
        remove(api, session, f'z{at}')
        assert api.get(session)[1]['bounds'] == expected_bounds(session)


def test_a_session_of_before_has_its_bounds_from_all_patches(api, session):
    fill(api, session, grid(4, 4))
    StitchSession().collection.update_one(
        {'_id': StitchSession().get(session['_id'])['_id']}, {'$unset': {'largest': '', 'keyRange': ''}}
    )
    remove(api, session, 'x003_y000')
    for row in (1, 2, 3):
        remove(api, session, f'x003_y{row:03}')
    assert api.get(session)[1]['bounds'] == expected_bounds(session)
    assert api.put(session, 'more', png(random_pixels(SIDE, SIDE)), x=800)[0] == 201
    assert keys(api, session, limit=3) == sorted({**grid(3, 4), 'more': None})[:3]


def keys(api, session, **params):
    status, found = api.call('GET', f'/stitch_session/{session["_id"]}/patch', params)
    assert status == 200, found
    return [one['key'] for one in found]


NAMES = {
    'padded': [f'tile_{at:04}' for at in range(180)],
    'not padded': [f'tile_{at}' for at in range(180)],
    'rows and columns': [f'r{at // 12}_c{at % 12}' for at in range(180)],
    'random': [f'{random.Random(at).randrange(16**8):08x}' for at in range(180)],
    'of all characters': [chr(at) for at in map(ord, '+,-.=@_~azAZ09')] + ['~' * 200, '~' * 199, 'a+', 'a~'],
    'one': ['only'],
}


@pytest.mark.parametrize('names', NAMES.values(), ids=NAMES)
def test_pages_are_those_of_the_whole_list(api, session, names):
    fill(api, session, {name: {'x': SIDE * at, 'y': 0} for at, name in enumerate(names)})
    ordered = sorted(names)
    size = 7
    for offset in range(0, len(ordered) + size, size):
        assert keys(api, session, limit=size, offset=offset) == ordered[offset : offset + size]
    assert keys(api, session, limit=0) == ordered
    assert keys(api, session, limit=5, offset=3) == ordered[3:8]
    for at in range(0, len(ordered), 11):
        assert keys(api, session, limit=size, after=ordered[at]) == ordered[at + 1 : at + 1 + size]
        assert keys(api, session, limit=2, after=ordered[at], offset=2) == ordered[at + 3 : at + 5]
    assert keys(api, session, limit=size, after='~' * 200) == []
    assert api.headers['Girder-Total-Count'] == str(len(ordered))


def test_a_patch_that_moves_away_from_the_edge_leaves_it_to_the_others(api, session):
    fill(api, session, grid(4, 4))
    for key, place in (('x003_y001', {'x': 0, 'y': 0}), ('x000_y003', {'x': 500, 'y': -9})):
        assert api.put(session, key, png(random_pixels(SIDE, SIDE, seed=1)), **place, replace=True)[0] == 200
        assert api.get(session)[1]['bounds'] == expected_bounds(session)
    assert api.put(session, 'x000_y003', png(random_pixels(SIDE, SIDE)), replace=True)[0] == 200
    assert api.get(session)[1]['bounds'] == expected_bounds(session) == {'x': [0, 32], 'y': [0, 32]}


def test_pages_of_files_are_listed_one_by_one(api, session):
    file = page_files.KNOWN['ImageJ TZCYX']()
    assert api.put(session, 'scan', file.data, pages='auto')[0] == 201
    assert api.put(session, 'scan-2', file.data, x=100, pages='auto')[0] == 201
    everything = sorted(f'{key}@{page}' for key in ('scan', 'scan-2') for page in range(len(file.pages)))
    found = keys(api, session, limit=1)
    while page := keys(api, session, limit=1, after=found[-1]):
        found += page
    assert found == everything == keys(api, session, limit=0)
    assert api.headers['Girder-Total-Count'] == str(len(everything))
    remove(api, session, 'scan-2')
    assert api.get(session)[1]['bounds'] == expected_bounds(session)
    assert keys(api, session, limit=1, after='scan-') == ['scan@0']
    assert api.headers['Girder-Total-Count'] == str(len(file.pages))


def test_a_patch_that_is_being_stored_is_listed_once_it_is_there(api, session):
    fill(api, session, {f'p{at:02}': {'x': SIDE * at, 'y': 0} for at in range(40)})
    own = {'sessionId': StitchSession().get(session['_id'])['_id'], 'key': 'p01'}
    StitchPatch().collection.update_one(own, {'$set': {'stored': False}})
    assert keys(api, session, limit=3) == ['p00', 'p02', 'p03']
    StitchPatch().collection.update_one(own, {'$set': {'stored': True}})
    assert keys(api, session, limit=3) == ['p00', 'p01', 'p02']
    assert keys(api, session, limit=3, offset=3) == ['p03', 'p04', 'p05']


def test_pages_of_a_session_without_patches(api, session):
    assert keys(api, session, limit=5) == []
    assert keys(api, session, limit=5, after='a') == []
    status, answer = api.call('GET', f'/stitch_session/{session["_id"]}/patch', {'after': '/'})
    assert status == 400, answer


@pytest.mark.parametrize('count', [320, 1280])
@pytest.mark.parametrize('name', ['tile_{:04}', 'tile_{}', '{0:032x}', 'two'])
def test_a_page_reads_the_patches_near_it(api, session, db, count, name):
    names = [name.format(at if '_' in name else random.Random(at).randrange(16**32)) for at in range(count)]
    if name == 'two':
        names = [f'{"scan" if 2 * at > count else "again"}-{at:05}' for at in range(count)]
    fill(api, session, {one: {'x': SIDE * at, 'y': 0} for at, one in enumerate(names)})
    read = []
    after = {}
    for offset in range(0, 80, 10):
        with recorded_queries() as made:
            page = keys(api, session, limit=10, **after)
        assert page == sorted(names)[offset : offset + 10]
        after = {'after': page[-1]}
        read.append(read_of(made, db))
    # Of which at most 21 for those that arrived at the same time, and the one before.
    assert sum(read) / len(read) <= 90, read
    if name == 'tile_{}':
        return  # numbers of all lengths: a page whose first patch was removed reads a part of all
    remove(api, session, min(names))
    with recorded_queries() as made:
        assert keys(api, session, limit=10) == sorted(names)[1:11]
    assert read_of(made, db) <= 120


def test_ranges_of_keys_end_with_all_of_them():
    ends = list(key_ranges('tile_0017', 'tile_0', 100.0))
    assert ends == sorted(ends)
    assert ends[-1] == LAST_KEY
    assert list(key_ranges('a', '', 1.0)) == [LAST_KEY]
