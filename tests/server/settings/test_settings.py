"""The value of `zarr.source_priorities`: what is taken, and what is said about the rest."""

import pytest
from girder.exceptions import ValidationException
from girder.models.setting import Setting
from hypothesis import given
from hypothesis import strategies as st
from large_image.constants import SourcePriority

from girder_zarr.server.settings.define import SettingKey
from girder_zarr.server.settings.source_priorities import normalise_source_priorities

KEY = SettingKey.SOURCE_PRIORITIES


def test_what_an_administrator_may_write():
    assert normalise_source_priorities(
        {
            'zarr': {'.ZIP': 'preferred', 'ozx': 1, '': 'Off', 'zarr': '4'},
            'pil': 'OFF',
            'not_installed_here': {'default': 'FALLBACK'},
            'nothing_said': {},
        }
    ) == {
        'zarr': {'zip': 'PREFERRED', 'ozx': 'PREFERRED', 'default': 'off', 'zarr': 'MEDIUM'},
        'pil': 'off',
        'not_installed_here': {'default': 'FALLBACK'},
    }
    assert normalise_source_priorities(None) == {}


@pytest.mark.parametrize(
    ('value', 'expected', 'found'),
    [
        ('zarr', 'a JSON object of source names', '"zarr"'),
        (['zarr'], 'a JSON object of source names', 'a list'),
        (3, 'a JSON object of source names', '3'),
        ({'': {}}, 'the name of a tile source', '""'),
        ({'a.b': {}}, 'the name of a tile source', '"a.b"'),
        ({'$set': {}}, 'the name of a tile source', '"$set"'),
        ({'zarr': 'on'}, '"off" or a JSON object of extensions', '"on"'),
        ({'zarr': None}, '"off" or a JSON object of extensions', 'None'),
        ({'zarr': {'ome.zarr': 1}}, 'a file extension of one part', '"ome.zarr"'),
        ({'zarr': {'a b': 1}}, 'a file extension of one part', '"a b"'),
        ({'zarr': {'$x': 1}}, 'a file extension of one part', '"$x"'),
        ({'zarr': {'z' * 100: 1}}, 'a file extension of one part', 'zzz...'),
        ({'zarr': {'zip': 'BEST'}}, 'PREFERRED', '"BEST"'),
        ({'zarr': {'zip': 13}}, 'a number from 0 to 12', '13'),
        ({'zarr': {'zip': -1}}, 'a number from 0 to 12', '-1'),
        ({'zarr': {'zip': 1.5}}, 'a number from 0 to 12', '1.5'),
        ({'zarr': {'zip': True}}, 'a number from 0 to 12', 'True'),
        ({'zarr': {'zip': None}}, 'or "off"', 'None'),
        ({'zarr': {'zip': {}}}, 'or "off"', 'an object'),
        ({'zarr': {'zip': 1, '.ZIP': 2}}, 'expected one priority', 'PREFERRED and HIGHER'),
        ({'zarr': {'image/': 1}}, 'expected a MIME type', '"image/"'),
        ({'zarr': {'a/b/c': 1}}, 'expected a MIME type', '"a/b/c"'),
        ({'zarr': {'image/$x': 1}}, 'expected a MIME type', '"image/$x"'),
        ({'zarr': {'image/x': 'BEST'}}, 'MIME type "image/x"', '"BEST"'),
        ({f's{n}': {} for n in range(201)}, 'at most 200 sources', '201'),
        ({'zarr': {f'e{n}': 1 for n in range(501)}}, 'at most 500 extensions', '501'),
    ],
)
def test_what_is_refused_says_what_was_expected_and_found(value, expected, found):
    with pytest.raises(ValidationException) as caught:
        normalise_source_priorities(value)
    message = str(caught.value)
    assert message.startswith(KEY)
    before, after = message.rsplit('found', 1)
    assert expected in before
    assert found in after


names = st.sampled_from([*SourcePriority.__members__, 'off', *range(13)])
extensions = st.sampled_from(['default', '.zip', 'OZX', 'tif', '.SVS'])
changes = st.one_of(st.just('off'), st.dictionaries(extensions, names))


@given(st.dictionaries(st.sampled_from(['zarr', 'tiff', 'pil']), changes))
def test_a_normalised_value_stays_as_it_is(value):
    normalised = normalise_source_priorities(value)
    assert normalise_source_priorities(normalised) == normalised


def test_it_is_an_ordinary_girder_setting(db):
    assert Setting().get(KEY) == {}
    Setting().set(KEY, {'zarr': {'.Zip': 1}})
    assert Setting().get(KEY) == {'zarr': {'zip': 'PREFERRED'}}
    with pytest.raises(ValidationException, match='expected NAMED, PREFERRED'):
        Setting().set(KEY, {'zarr': {'zip': 'BEST'}})
    assert Setting().get(KEY) == {'zarr': {'zip': 'PREFERRED'}}
    Setting().unset(KEY)
    assert Setting().get(KEY) == {}
