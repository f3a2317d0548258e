"""Text search for Girder on a database without MongoDB's ``$text`` operator: words are sought as they stand.

Everything that Girder sends to the database passes `TextCollection`, which turns ``$text`` into regular
expressions. What is missing next to MongoDB: word stems, and an order by relevance. It reads every document
it may, so it suits the sizes that an embedded database suits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo.collection import Collection
from pymongo.cursor import Cursor
from pymongo.errors import OperationFailure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A phrase or a word, either with a minus sign before it.
TERM = re.compile(r'(-?)(?:"([^"]+)"|(\S+))')
#: What MongoDB answers where it knows the operator but the collection has no text index.
INDEX_NOT_FOUND = 27


def lacks_text_search(uri: str) -> bool:
    """Whether the database at `uri` does not know ``$text``."""
    client: pymongo.MongoClient[dict[str, Any]]
    with pymongo.MongoClient(uri, serverSelectionTimeoutMS=20000) as client:
        try:
            client.get_default_database('girder')['girder_zarr_probe'].find_one(
                {'$text': {'$search': 'probe'}}
            )
        except OperationFailure as error:
            return error.code != INDEX_NOT_FOUND
    return False


def install_if_needed() -> bool:
    """Install the stand-in where Girder's database needs it; call before any of Girder's models is used."""
    from girder.utility.config import getConfig

    needed = lacks_text_search(getConfig()['database']['uri'])
    if needed:
        install()
    return needed


def install() -> None:
    """Give every model of Girder that connects from now on a `TextCollection`."""
    from girder.models.model_base import Model

    connect = Model.reconnect

    def reconnect(self: Any) -> None:
        index, self._textIndex = self._textIndex, None
        try:
            connect(self)
        finally:
            self._textIndex = index
        fields = list(index) if isinstance(index, dict) else ['name']
        self.collection = TextCollection(self.collection, fields)

    Model.reconnect = reconnect


def text_filter(search: str, fields: Iterable[str]) -> dict[str, Any]:
    """Return the filter that stands for ``{'$text': {'$search': search}}`` over some fields.

    As in MongoDB: any of the words has to be there, each of the phrases has to be there, and what has a minus
    sign must not be there; without a word or phrase nothing is found.
    """
    fields = list(fields)

    def somewhere(term: str) -> dict[str, Any]:
        return {'$or': [{field: {'$regex': re.escape(term), '$options': 'i'}} for field in fields]}

    found = [(minus, phrase, word) for minus, phrase, word in TERM.findall(search)]
    phrases = [somewhere(phrase) for minus, phrase, _ in found if phrase and not minus]
    words = [somewhere(word) for minus, _, word in found if word and not minus]
    unwanted = [somewhere(phrase or word) for minus, phrase, word in found if minus]
    if not phrases and not words:
        return {'_id': {'$in': []}}
    clauses = phrases or [{'$or': words}]
    return {'$and': [*clauses, *([{'$nor': unwanted}] if unwanted else [])]}


class TextCollection(Collection[Any]):
    """A collection that answers ``$text`` with `text_filter` and leaves out the text score."""

    text_fields: list[str]

    def __init__(self, original: Collection[Any], fields: Iterable[str]) -> None:
        super().__init__(
            original.database,
            original.name,
            codec_options=original.codec_options,
            read_preference=original.read_preference,
            write_concern=original.write_concern,
            read_concern=original.read_concern,
        )
        # Collection takes unknown attributes for the names of collections below it.
        self.__dict__['text_fields'] = list(fields)

    def translated(self, query: Any) -> Any:
        """Return a filter without ``$text``."""
        if not isinstance(query, dict):
            return query
        rest = {key: self.translated_part(key, value) for key, value in query.items() if key != '$text'}
        if '$text' not in query:
            return rest
        text = text_filter(str(query['$text'].get('$search', '')), self.text_fields)
        return {'$and': [rest, text]} if rest else text

    def translated_part(self, key: str, value: Any) -> Any:
        """Return the value of one key of a filter without ``$text``."""
        return [self.translated(part) for part in value] if key in ('$and', '$or', '$nor') else value

    def find(
        self,
        filter: Any = None,  # noqa: A002 - pymongo's name
        projection: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> TextCursor:
        """Find as `Collection.find` does."""
        kwargs['sort'] = without_score(kwargs.get('sort'))
        return TextCursor(self, self.translated(filter), without_score(projection), *args, **kwargs)

    def find_one(self, filter: Any = None, *args: Any, **kwargs: Any) -> Any:  # noqa: A002 - pymongo's name
        """Find one as `Collection.find_one` does."""
        if filter is not None and not isinstance(filter, dict):
            filter = {'_id': filter}  # noqa: A001
        return next(iter(self.find(filter, *args, **kwargs).limit(-1)), None)

    def count_documents(self, filter: Any, *args: Any, **kwargs: Any) -> int:  # noqa: A002 - pymongo's name
        """Count as `Collection.count_documents` does."""
        return super().count_documents(self.translated(filter), *args, **kwargs)

    def aggregate(self, pipeline: Iterable[Mapping[str, Any]], *args: Any, **kwargs: Any) -> Any:
        """Aggregate as `Collection.aggregate` does."""
        stages = [stage for stage in map(self.translated_stage, pipeline) if stage]
        return super().aggregate(stages, *args, **kwargs)

    def translated_stage(self, stage: Mapping[str, Any]) -> dict[str, Any]:
        """Return a stage of a pipeline without text search; empty where nothing is left of it."""
        (operator, value), *_ = stage.items()
        if operator == '$match':
            return {operator: self.translated(value)}
        if operator in ('$sort', '$addFields', '$project') and isinstance(value, dict):
            kept = without_score(value)
            return {operator: kept} if kept else {}
        return dict(stage)


class TextCursor(Cursor[Any]):
    """A cursor that cannot be sorted by the text score."""

    def sort(self, key_or_list: Any, direction: Any = None) -> TextCursor:
        """Sort as `Cursor.sort` does, but for the text score."""
        if direction is None and not isinstance(key_or_list, str):
            key_or_list = without_score(key_or_list)
            if not key_or_list:
                return self
        super().sort(key_or_list, direction)
        return self


def without_score(value: Any) -> Any:
    """Return a projection or sort order without the text score; None where nothing is left."""
    if isinstance(value, dict):
        return {key: part for key, part in value.items() if not is_score(part)} or None
    if isinstance(value, list):
        return [part for part in value if not (isinstance(part, tuple) and is_score(part[1]))] or None
    return value


def is_score(part: Any) -> bool:
    """Whether this stands for the text score."""
    return isinstance(part, dict) and part.get('$meta') == 'textScore'
