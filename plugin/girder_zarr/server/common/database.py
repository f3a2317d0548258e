"""Ids of documents, updates of single documents, and how it is noticed that the database went away."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from bson.errors import InvalidId
from pymongo.errors import ConnectionFailure, CursorNotFound
from pymongo.write_concern import WriteConcern

from girder_zarr.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .names import Document

#: What calls raise while the database is away, and after it has come back without the cursors of before.
CONNECTION_ERRORS = (ConnectionFailure, CursorNotFound)
#: How many values of a field a query names. The embedded database compares each document that it finds with
#: all of them, one after the other: thirty cost it some 0.05 ms a document, four thousand 5 ms.
MAX_NAMED = 32


def was_lost(error: BaseException | None) -> bool:
    """Return True if the error or any in its chain of causes is a lost connection to the database."""
    while error is not None and not isinstance(error, CONNECTION_ERRORS):
        error = error.__cause__ or error.__context__
    return error is not None


def object_id(value: Any, what: str) -> ObjectId:
    """Return an id.

    :raises NotFoundError: the text cannot be the id of anything.
    """
    try:
        return ObjectId(value)
    except (InvalidId, TypeError):
        msg = f'There is no {what} {str(value)[:80]}.'
        raise NotFoundError(msg) from None


def update_and_find(collection: Any, query: Document, update: Document) -> Document | None:
    """Update the document of an id if it matches the query; return it afterwards, or None if it did not.

    MongoDB's ``find_one_and_update`` does both in one command, but the embedded database reads the whole
    collection for it, where an update by ``_id`` reads one document. So the document is read after the
    update: it has what the update has set, and in other fields what others may have changed since.

    :param query: with an ``_id`` and without ``$or``, for which the embedded database reads everything too.
    """
    if not collection.update_one(query, update).matched_count:
        return None
    found: Document | None = collection.find_one({'_id': query['_id']})
    return None if found is None else updated(found, {'$set': update.get('$set', {})})


def set_if(collection: Any, document_id: Any, demanded: Document, fields: Document) -> bool:
    """Set fields of the document of an id if others of its fields have some values; return whether they had.

    One command, and as good as a query for those values: the condition is a part of the update. The embedded
    database looks through its indexes for each field of a query that has more than ``_id``, which takes it
    longer than the update.

    :param demanded: values by names; None: the field is None or is not there.
    :param fields: values by names without dots; at least one differs from what the document has.
    """
    asked = demanded.items()
    same = [{'$eq': [{'$ifNull': [f'${name}', None]}, {'$literal': value}]} for name, value in asked]
    changes = {'$cond': [{'$and': same}, {'$literal': fields}, {'$literal': {}}]}
    new = {'$mergeObjects': ['$$ROOT', changes]}
    result = collection.update_one({'_id': document_id}, [{'$replaceRoot': {'newRoot': new}}])
    return bool(result.modified_count)


def unsynced(collection: Any) -> Any:
    """Return a collection for writes that need not be on the disk when they are answered.

    Another write of the same request follows, which waits until the database's journal is on the disk. The
    journal is written in order: what was written before is on the disk by then as well.
    """
    concern = collection.write_concern.document
    if not concern.get('j'):
        return collection
    left = {name: value for name, value in concern.items() if name != 'j'}
    return collection.with_options(write_concern=WriteConcern(**left))


def find_named(
    find: Callable[..., Iterable[Document]], field: str, values: Iterable[Any], **options: Any
) -> Iterator[Document]:
    """Yield the documents of which a field has one of some values, in no order.

    :param find: of a model, or another function that takes a query.
    :param options: for ``find``, beside the query.
    """
    for some in in_parts(values):
        yield from find({field: {'$in': some}}, **options)


def in_parts(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield different values in lists of `MAX_NAMED`."""
    left = iter(dict.fromkeys(values))
    while some := list(itertools.islice(left, MAX_NAMED)):
        yield some


def updated(document: Document, update: Document) -> Document:
    """Return what an update makes of a document; of its operators those that are used here are known.

    :param update: of ``$set``, ``$unset``, ``$inc``, ``$min`` and ``$max``, with dotted names.
    :returns: a new document that shares what the update does not name with the one before it.
    """
    made, own = dict(document), set()
    for operator, fields in update.items():
        for path, value in fields.items():
            *above, name = path.split('.')
            place, at = made, ''
            for step in above:
                at = f'{at}.{step}'
                if at not in own:  # else it is still that of the document
                    place[step] = dict(place.get(step, {}))
                    own.add(at)
                place = place[step]
            _apply(operator, place, name, value)
    return made


def _apply(operator: str, place: Document, name: str, value: Any) -> None:
    if operator == '$unset':
        place.pop(name, None)
    elif operator == '$set' or name not in place:
        place[name] = value
    elif operator == '$inc':
        place[name] += value
    elif operator == '$min':
        place[name] = min(place[name], value)
    elif operator == '$max':
        place[name] = max(place[name], value)
    else:
        msg = f'{operator} is not known here.'
        raise NotImplementedError(msg)
