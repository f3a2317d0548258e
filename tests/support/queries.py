"""What is asked of the database, by the mock's or pymongo's collections, and whether an index has it all."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from dataclasses import dataclass, field
from unittest import mock

import mongomock.collection
import pymongo.collection

WRITES = {
    'insert_one', 'insert_many', 'update_one', 'update_many', 'replace_one', 'delete_one', 'delete_many',
    'find_one_and_update', 'find_one_and_replace', 'find_one_and_delete',
}  # fmt: skip
READS = {'find', 'find_one', 'count_documents', 'distinct', 'aggregate'}


@dataclass(frozen=True)
class Query:
    """One command, with the function of ours that led to it."""

    collection: str
    operation: str
    filter: dict = field(hash=False)
    caller: str

    @property
    def is_write(self):
        return self.operation in WRITES


def _caller():
    """Return the nearest function of the server on the stack, besides the helpers of its database."""
    frame = sys._getframe(2)
    while frame is not None:
        path = frame.f_code.co_filename
        if '/girder_zarr/server/' in path and not path.endswith('common/database.py'):
            return f'{path.partition("/girder_zarr/server/")[2]}:{frame.f_code.co_name}'
        frame = frame.f_back
    return ''


@contextlib.contextmanager
def wrapped_operations(wrap):
    """Put ``wrap(original, name)`` in the place of every operation on a collection."""
    with contextlib.ExitStack() as patches:
        for kind in (mongomock.collection.Collection, pymongo.collection.Collection):
            for operation in sorted(WRITES | READS):
                wrapped = wrap(getattr(kind, operation), operation)
                patches.enter_context(mock.patch.object(kind, operation, wrapped))
        yield


@contextlib.contextmanager
def recorded_queries():
    """Yield a list of the queries that are made meanwhile, by whichever thread."""
    made, inside = [], threading.local()

    def wrap(original, operation):
        @functools.wraps(original)
        def method(self, *args, **kwargs):
            if getattr(inside, 'depth', 0):
                return original(self, *args, **kwargs)
            given = {}
            if operation == 'distinct':
                given = args[1] if len(args) > 1 else kwargs.get('filter')
            elif not operation.startswith('insert') and operation != 'aggregate':
                given = args[0] if args else kwargs.get('filter')
            made.append(Query(self.name, operation, dict(given or {}), _caller()))
            inside.depth = 1
            try:
                return original(self, *args, **kwargs)
            finally:
                inside.depth = 0

        return method

    with wrapped_operations(wrap):
        yield made


def is_covered(query, indexes):
    """Return whether an index holds all fields of a query: the embedded database reads all documents else.

    :param indexes: what ``index_information`` returns.
    """
    asked = query.filter
    if not asked:
        return False
    operators = {name for name in asked if name.startswith('$')}
    if '_id' in asked:
        # One document, or some, whatever else is asked of them; but not with `$or`.
        return not operators and not _is_open(asked['_id'])
    if operators or any(_is_exclusion(value) for value in asked.values()):
        return False
    return any(
        {name for name, _ in index['key'][: len(asked)]} == set(asked)
        and not any(_is_open(asked[name]) for name, _ in index['key'][: len(asked) - 1])
        for index in indexes.values()
    )


def uncovered(made, database):
    """Return which queries of ours no index has all fields of: collection, operation, fields, function."""
    ours = [one for one in made if one.caller and one.operation not in ('insert_one', 'insert_many')]
    indexes = {name: database[name].index_information() for name in {one.collection for one in ours}}
    return {
        (one.collection, one.operation, str(sorted(one.filter)), one.caller)
        for one in ours
        if not is_covered(one, indexes[one.collection])
    }


def _is_open(value):
    """Whether a value is a range, after which no other field of an index narrows anything."""
    return isinstance(value, dict) and any(
        name in {'$gt', '$gte', '$lt', '$lte', '$ne', '$nin', '$exists', '$regex'} for name in value
    )


def _is_exclusion(value):
    """Whether an index does not answer it."""
    return isinstance(value, dict) and any(name in {'$ne', '$nin', '$exists', '$regex'} for name in value)


def documents_read(made, database):
    """Return how many documents the embedded database reads for queries: all that they find."""
    return sum(
        database[query.collection].count_documents(query.filter)
        for query in made
        if query.operation in READS and query.operation != 'aggregate'
    )


@contextlib.contextmanager
def interrupted(step, work):
    """Do some work between two commands that a thread sends to the database: before the one of that number.

    Yields a list that has the names of the thread's commands afterwards.
    """
    made, thread = [], threading.get_ident()

    def wrap(original, operation):
        @functools.wraps(original)
        def method(self, *args, **kwargs):
            if threading.get_ident() == thread and not is_busy:
                is_busy.append(True)
                try:
                    made.append(f'{self.name}.{operation}')
                    if len(made) == step + 1:
                        work()
                    return original(self, *args, **kwargs)
                finally:
                    is_busy.clear()
            return original(self, *args, **kwargs)

        return method

    is_busy = []
    with wrapped_operations(wrap):
        yield made
