"""Updates of one document whose condition is a part of the update, and writes that another one syncs."""

import bson
import pymongo
import pytest
from girder.models.folder import Folder
from pymongo.write_concern import WriteConcern

from girder_zarr.server.common.database import set_if, unsynced

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def collection(db):
    """A collection with one document."""
    del db
    made = Folder().collection.database['conditional']
    made.delete_many({})
    made.insert_one({'_id': 1, 'revision': 3, 'lock': None, 'held': {'a.b': 1, '$c': 2}, 'other': 'kept'})
    return made


def test_fields_are_set_where_others_have_the_values(collection):
    text, moving = '$other', {'x': [1, 2], 'y': None}
    demanded = {'revision': 3, 'lock': None, 'absent': None, 'held': {'a.b': 1, '$c': 2}}
    assert set_if(collection, 1, demanded, {'lock': text, 'moving': moving, 'revision': 4})
    expected = {'revision': 4, 'lock': text, 'held': {'a.b': 1, '$c': 2}, 'other': 'kept', 'moving': moving}
    assert collection.find_one() == {'_id': 1, **expected}


@pytest.mark.parametrize('demanded', [{'revision': 4}, {'revision': None}, {'lock': 'a'}, {'absent': 0}])
def test_nothing_is_set_where_one_of_them_has_another(collection, demanded):
    before = collection.find_one()
    assert not set_if(collection, 1, {'other': 'kept', **demanded}, {'revision': 9, 'new': 1})
    assert collection.find_one() == before


def test_a_document_that_is_not_there_is_not_made(collection):
    assert not set_if(collection, bson.ObjectId(), {'lock': None}, {'revision': 9})
    assert collection.count_documents({}) == 1


@pytest.mark.parametrize(
    ('concern', 'expected'),
    [({'j': True}, {}), ({'w': 2, 'j': True}, {'w': 2}), ({'w': 1}, {'w': 1}), ({}, {})],
)
def test_only_the_wait_for_the_journal_is_left_out(concern, expected):
    client = pymongo.MongoClient(connect=False)
    collection = client.one.two.with_options(write_concern=WriteConcern(**concern))
    left = unsynced(collection)
    assert left.write_concern.document == expected
    assert left.full_name == 'one.two'
    client.close()
