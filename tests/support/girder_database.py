"""Databases for the tests in Girder: the mock one mended, and a real one that is emptied for each test."""

from __future__ import annotations

import datetime as dt
import os

import mongomock.aggregate
import mongomock.codec_options
import mongomock.collection
import mongomock.command_cursor
import pymongo
import pytest


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


def mend_mongomock():
    """Let mongomock 4.3 take the codec options that Girder 5 asks for, count as a cursor, merge objects."""
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

    parser = mongomock.aggregate._Parser
    project = parser._handle_projection_operator

    def merge_objects(self, operator, value):
        if operator != '$mergeObjects':
            return project(self, operator, value)
        return {name: held for part in value for name, held in self.parse(part).items()}

    mongomock.aggregate.projection_operators.append('$mergeObjects')
    parser._handle_projection_operator = merge_objects
    mongomock.codec_options.CodecOptions.__new__ = without_utc
    # Its own calls datetime.utcnow, of which Python warns from 3.12 on.
    mongomock.utcnow = lambda: dt.datetime.now(dt.UTC).replace(tzinfo=None)
    mongomock.collection.Cursor.count = count
    import girder.api.rest

    girder.api.rest._MONGO_CURSOR_TYPES += (
        mongomock.collection.Cursor,
        mongomock.command_cursor.CommandCursor,
    )
