"""Metadata that is made to do harm gives one clear error, and allocates nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from large_image.exceptions import TileSourceError

import girder_zarr.image as gz
from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.limits import Limits, check_relative_path, follow, load_json, parse_limits

if TYPE_CHECKING:
    from pathlib import Path

V2: dict[str, Any] = {
    'zarr_format': 2, 'shape': [64, 64], 'chunks': [32, 32], 'dtype': '|u1', 'order': 'C', 'fill_value': 0,
    'compressor': None, 'filters': None,
}  # fmt: skip
V3: dict[str, Any] = {
    'zarr_format': 3, 'node_type': 'array', 'shape': [64, 64], 'data_type': 'uint8', 'fill_value': 0,
    'chunk_grid': {'name': 'regular', 'configuration': {'chunk_shape': [32, 32]}},
    'chunk_key_encoding': {'name': 'default', 'configuration': {'separator': '/'}},
    'codecs': [{'name': 'bytes', 'configuration': {'endian': 'little'}}],
}  # fmt: skip


def sharded(**change: Any) -> dict[str, Any]:
    configuration = {
        'chunk_shape': [16, 16], 'codecs': V3['codecs'], 'index_codecs': V3['codecs'], **change,
    }  # fmt: skip
    return {'codecs': [{'name': 'sharding_indexed', 'configuration': configuration}]}


BAD_V2: list[dict[str, Any]] = [
    {'shape': [2**62, 2**62]},
    {'shape': [-1, 5]},
    {'shape': [5.5, 5]},
    {'shape': 'large'},
    {'shape': [2] * 40, 'chunks': [2] * 40},
    {'shape': [True, 5]},
    {'chunks': [0, 32]},
    {'chunks': [32]},
    {'shape': [10**6, 10**6], 'chunks': [10**6, 10**6]},
    {'dtype': '|O'},
    {'dtype': '|V8'},
    {'dtype': '<U10'},
    {'dtype': '<M8[ns]'},
    {'dtype': '<c16'},
    {'dtype': [['a', '<i4']]},
    {'dtype': 'import os'},
    {'compressor': {'id': 'pickle'}},
    {'compressor': 'pickle'},
    {'compressor': {'id': ['zstd']}},
    {'compressor': 5},
    {'filters': [{'id': 'vlen-utf8'}]},
    {'filters': [{'id': 'zstd'}, {'id': 'json2'}]},
    {'filters': [{'id': 'msgpack2'}]},
    {'filters': {'id': 'zlib'}},
    {'order': 'K'},
    {'dimension_separator': '../'},
    {'fill_value': 'x' * 1000},
]
BAD_V3: list[dict[str, Any]] = [
    {'shape': [2**62, 2**62]},
    {'data_type': 'string'},
    {'data_type': {'name': 'struct', 'configuration': {}}},
    {'data_type': 'complex128'},
    {'chunk_grid': {'name': 'rectangular', 'configuration': {}}},
    {'chunk_grid': 5},
    {'chunk_grid': {'name': 'regular', 'configuration': {'chunk_shape': [10**6, 10**6]}}},
    {'chunk_key_encoding': {'name': 'script'}},
    {'codecs': []},
    {'codecs': [{'name': 'vlen-utf8'}]},
    {'codecs': [{'name': 'numcodecs.pickle'}]},
    {'codecs': [*V3['codecs'], {'name': 'numcodecs.vlen-bytes'}]},
    {'codecs': [{'name': 'imagecodecs_nothing'}]},
    {'codecs': [{'name': 'transpose', 'configuration': {'order': [0, 0]}}, *V3['codecs']]},
    {'codecs': [{'name': 'transpose', 'configuration': {'order': [0, 1]}}]},
    {'storage_transformers': [{'name': 'x'}]},
    sharded(chunk_shape=[5, 5]),
    sharded(chunk_shape=[0, 16]),
    sharded(codecs=[{'name': 'pickle'}]),
    sharded(index_codecs=[*V3['codecs'], {'name': 'zstd'}]),
    sharded(codecs=sharded()['codecs']),
    {'shape': [10**7] * 2, 'chunk_grid': {'name': 'regular', 'configuration': {'chunk_shape': [8192, 8192]}},
     **sharded(chunk_shape=[1, 1])},
]  # fmt: skip


@pytest.mark.parametrize('change', BAD_V2, ids=lambda change: json.dumps(change)[:60])
def test_hostile_v2_arrays(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / '.zarray').write_text(json.dumps({**V2, **change}))
    assert not gz.canRead(tmp_path)
    with pytest.raises(UnreadableImageError) as caught:
        gz.open(tmp_path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize('change', BAD_V3, ids=lambda change: json.dumps(change)[:60])
def test_hostile_v3_arrays(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / 'zarr.json').write_text(json.dumps({**V3, **change}))
    assert not gz.canRead(tmp_path)
    with pytest.raises(UnreadableImageError) as caught:
        gz.open(tmp_path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    'text',
    [
        '[' * 100_000,
        '{"a":' * 100_000,
        '{"attributes":' + '[' * 200 + ']' * 200 + '}',
        '[]',
        '"text"',
        '{"shape": [' + '9' * 10_000 + ']}',
        '{',
        '',
        '\ufeff{}',
        '{"zarr_format": 3, "node_type": "group"}',
    ],
    ids=range(10),
)
@pytest.mark.parametrize('name', ['zarr.json', '.zattrs', '.zarray'])
def test_hostile_json(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_text(text)
    assert not gz.canRead(tmp_path)
    with pytest.raises(TileSourceError):
        gz.open(tmp_path)


def test_bounds_of_json() -> None:
    with pytest.raises(UnreadableImageError, match='at most 10'):
        load_json(b'{"a": 12345678}', 'x', Limits(json_bytes=10))
    assert load_json(b'{"a": [[1]]}', 'x', Limits(json_depth=3)) == {'a': [[1]]}
    with pytest.raises(UnreadableImageError, match='deep'):
        load_json(b'{"a": [[1]]}', 'x', Limits(json_depth=2))


@pytest.mark.parametrize(
    'path', ['../x', '/x', 'a/../../b', 'a\\b', 'a\0', 'http://host/x', None, True, 1.5, ['a']]
)
def test_paths_that_lead_out(path: object) -> None:
    with pytest.raises(UnreadableImageError):
        check_relative_path(path, 'A path')


@pytest.mark.parametrize(
    ('path', 'clean'), [('0', '0'), ('a//b/', 'a/b'), ('./s0', 's0'), ('', ''), (3, '3')]
)
def test_paths_that_stay_inside(path: object, clean: str) -> None:
    assert check_relative_path(path, 'A path') == clean


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(
    key=st.sampled_from([*V3, *V2, 'attributes', 'dimension_names']),
    value=JSON | st.just({'ome': {'multiscales': [{}]}}),
    version=st.sampled_from([2, 3]),
)
def test_any_json_at_any_place_gives_our_errors_alone(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object, version: int
) -> None:
    folder = tmp_path_factory.mktemp('any')
    document = {**(V2 if version == 2 else V3), key: value}
    (folder / ('.zarray' if version == 2 else 'zarr.json')).write_text(json.dumps(document))
    try:
        source = gz.open(folder, noCache=True)
        source.getMetadata()
        source.getInternalMetadata()
    except TileSourceError:
        pass


PLACES: list[Any] = [
    0, 'axes', 'bioformats2raw.layout', 'channels', 'coordinateSystems', 'coordinateTransformations',
    'datasets', 'labels', 'metadata', 'multiscales', 'name', 'omero', 'path', 'plate', 'scale', 'series',
    'well', 'window',
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    path=st.lists(st.sampled_from(PLACES), max_size=6),
    value=JSON,
)
def test_any_attributes_give_our_errors_alone(
    tmp_path_factory: pytest.TempPathFactory, path: list[Any], value: object
) -> None:
    folder = tmp_path_factory.mktemp('attributes')
    attributes: Any = {
        'multiscales': [
            {
                'axes': [{'name': 'y', 'type': 'space'}, {'name': 'x', 'type': 'space'}],
                'datasets': [
                    {'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': [1.0, 1.0]}]}
                ],
            }
        ],
        'omero': {'channels': [{'label': 'a', 'window': {'start': 0, 'end': 5, 'min': 0, 'max': 9}}]},
    }
    place = attributes
    for step in path[:-1]:
        try:
            place = place[step]
        except (KeyError, IndexError, TypeError):
            break
    if isinstance(place, dict):
        place[str(path[-1]) if path else 'multiscales'] = value
    elif isinstance(place, list) and place:
        place[0] = value
    (folder / '.zgroup').write_text('{"zarr_format": 2}')
    (folder / '.zattrs').write_text(json.dumps(attributes))
    (folder / '0').mkdir()
    (folder / '0' / '.zarray').write_text(json.dumps(V2))
    try:
        source = gz.open(folder, noCache=True)
        source.getMetadata()
        source.getInternalMetadata()
        source.getThumbnail()
    except TileSourceError:
        pass


def test_limits_that_are_set(tmp_path: Path) -> None:
    own = Limits()
    assert parse_limits(None) == parse_limits({}) == own
    changed = parse_limits({'chunk_bytes': 512, 'frames': 7})
    assert (changed.chunk_bytes, changed.frames, changed.levels) == (512, 7, own.levels)
    bad = [[], 5, {'chunk_byte': 1}, {'frames': 0}, {'frames': -1}, {'frames': 2.5}, {'frames': True},
           {'frames': '7'}, {'frames': 2**60}, {5: 1}]  # fmt: skip
    for value in bad:
        with pytest.raises(ValueError, match='expected'):
            parse_limits(value)
    (tmp_path / '.zarray').write_text(json.dumps(V2))
    assert gz.canRead(tmp_path, noCache=True)
    try:
        follow(lambda: changed)
        with pytest.raises(TileSourceError, match='at most 512 are read'):
            gz.open(tmp_path, noCache=True)
    finally:
        follow(lambda: own)
    assert gz.canRead(tmp_path, noCache=True)
