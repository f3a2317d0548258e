"""Text search without text indexes: what stands for ``$text``."""

from girder_zarr.stack.child.textsearch import TextCollection, text_filter, without_score


def matches(document, query):
    """Evaluate the operators that `text_filter` uses, by the book."""
    import re

    def holds(key, value):
        if key == '$and':
            return all(matches(document, one) for one in value)
        if key == '$or':
            return any(matches(document, one) for one in value)
        if key == '$nor':
            return not any(matches(document, one) for one in value)
        if '$in' in value:
            return document.get(key) in value['$in']
        return re.search(value['$regex'], document.get(key, ''), re.IGNORECASE) is not None

    return all(holds(key, value) for key, value in query.items())


def test_any_word_every_phrase_nothing_unwanted():
    def found(search, name):
        return matches({'_id': 1, 'name': name}, text_filter(search, ['name', 'description']))

    assert found('liver kidney', 'Kidney 7')
    assert not found('liver kidney', 'heart')
    assert found('"section one"', 'a section one b')
    assert not found('"section one"', 'one section')
    assert not found('liver -left', 'liver left')
    assert not found('', 'anything')
    assert not found('-left', 'right')
    assert found('a.c', 'a.c')
    assert not found('a.c', 'abc')


def test_text_inside_other_filters_is_translated():
    collection = object.__new__(TextCollection)
    collection.__dict__['text_fields'] = ['name']
    query = {'$or': [{'$text': {'$search': 'a'}}, {'folder': {'$in': [1]}}], 'public': True}
    translated = collection.translated(query)
    assert translated['public'] is True
    assert translated['$or'][0] == text_filter('a', ['name'])
    assert translated['$or'][1] == {'folder': {'$in': [1]}}


def test_the_score_is_left_out_and_nothing_else():
    score = {'$meta': 'textScore'}
    assert without_score({'_textScore': score}) is None
    assert without_score({'name': 1, '_textScore': score}) == {'name': 1}
    assert without_score([('_textScore', score)]) is None
    assert without_score([('name', 1), ('_textScore', score)]) == [('name', 1)]
    assert without_score(['name', 'size']) == ['name', 'size']
    assert without_score(None) is None
