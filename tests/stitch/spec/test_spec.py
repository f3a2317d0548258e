"""What a client may ask for, and what it is told when it asks for something else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.errors import ConflictError, InvalidInputError
from girder_zarr.stitch.patch import Placement, check_key, check_order, format_digest, parse_digest
from girder_zarr.stitch.spec.model import StitchSpec


def test_nothing_said_is_every_default() -> None:
    for nothing in (None, {}, dict.fromkeys(StitchSpec().to_json())):
        assert StitchSpec.from_json(nothing) == StitchSpec()


def test_a_spec_survives_its_own_document() -> None:
    document: dict[str, Any] = {
        'output': 'ozx',
        'ngffVersion': '0.5',
        'overlap': 'mean',
        'background': -1.5,
        'pixelSize': {'x': 0.5, 'y': 0.25, 'unit': 'nanometer'},
        'channelNames': ['DAPI', 'GFP'],
        'channelColors': ['0000FF', '00ff00'],
        'expected': 12,
        'size': None,
        'crop': {'x': -10, 'y': 0, 'width': 100, 'height': 200},
        'grid': {'tile': {'x': 512.0, 'y': 512.0}, 'overlap': {'x': 51.2, 'y': 0.0}},
        'flatField': ['flat', None],
        'darkField': None,
        'illumination': {'tiles': 40},
        'registration': {
            'maxShift': 8,
            'minOverlap': 10,
            'minCorrelation': 0.5,
            'maxPairs': 100,
            'channel': None,
            'planes': 4,
            'subpixel': True,
        },
        'overlapBy': 'arrival',
        'chunk': 256,
        'shard': 1024,
        'codec': {'name': 'zstd', 'level': 3, 'shuffle': 'auto'},
        'lossy': False,
        'quality': 80,
        'channelWindows': [{'start': 1.0, 'end': 99.0, 'min': None, 'max': 255.0}, None],
        'axes': {
            'angle': {'size': None, 'step': None, 'unit': 'degree', 'values': ['left', 90, None]},
            't': {'size': 3, 'step': 1.5, 'unit': 'minute', 'values': [0, 1.5, 3.25]},
            'z': {'size': 2, 'step': None, 'unit': None, 'values': None},
        },
        'resample': 'PIL_LANCZOS',
        'keepPatches': False,
        'origin': 'absolute',
        'indexBase': 0,
    }
    spec = StitchSpec.from_json(document)
    assert spec.to_json() == document
    assert StitchSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ('document', 'field'),
    [
        ([], 'spec'),
        ({'colour': 1}, 'spec.colour'),
        ({'output': 'tif'}, 'spec.output'),
        ({'output': 'tiff', 'codec': {'name': 'zstd'}}, 'spec.codec'),
        ({'output': 'tiff', 'shard': 1024}, 'spec.shard'),
        ({'lossy': 'yes'}, 'spec.lossy'),
        ({'lossy': True, 'codec': {'name': 'zstd'}}, 'spec.codec'),
        ({'quality': 0}, 'spec.quality'),
        ({'channelWindows': {'start': 0, 'end': 1}}, 'spec.channelWindows'),
        ({'channelWindows': [{'start': 0}]}, r'spec.channelWindows\[0\]'),
        ({'channelWindows': [None, {'start': 5, 'end': 5}]}, r'spec.channelWindows\[1\]'),
        ({'channelWindows': [{'start': 0, 'end': 9, 'max': 8}]}, r'spec.channelWindows\[0\]'),
        ({'channelWindows': [{'start': 0, 'end': 'high'}]}, r'spec.channelWindows\[0\].end'),
        ({'axes': ['z']}, 'spec.axes'),
        ({'axes': {'x': {'size': 5}}}, 'spec.axes'),
        ({'axes': {'Z': {}}}, 'spec.axes'),
        ({'axes': dict.fromkeys('abdef')}, 'spec.axes'),
        ({'axes': {'z': 5}}, 'spec.axes.z'),
        ({'axes': {'z': {'length': 5}}}, 'spec.axes.z'),
        ({'axes': {'z': {'size': 0}}}, 'spec.axes.z.size'),
        ({'axes': {'z': {'step': -1}}}, 'spec.axes.z.step'),
        ({'axes': {'c': {'step': 1}}}, 'spec.axes.c.step'),
        ({'axes': {'z': {'unit': 'second'}}}, 'spec.axes.z.unit'),
        ({'axes': {'t': {'unit': 'micrometer'}}}, 'spec.axes.t.unit'),
        ({'axes': {'angle': {'unit': ''}}}, 'spec.axes.angle.unit'),
        ({'axes': {'z': {'values': 'a'}}}, 'spec.axes.z.values'),
        ({'axes': {'z': {'size': 2, 'values': [1]}}}, 'spec.axes.z.values'),
        ({'axes': {'z': {'values': [1, [2]]}}}, r'spec.axes.z.values\[1\]'),
        ({'axes': {'c': {'size': 1}}, 'channelNames': ['DAPI', 'GFP']}, 'spec.channelNames'),
        ({'axes': {'z': {'size': 2**20}}, 'size': {'x': 2**20, 'y': 2}}, 'spec.axes'),
        ({'ngffVersion': 0.5}, 'spec.ngffVersion'),
        ({'output': 'ozx', 'ngffVersion': '0.4'}, 'spec.ngffVersion'),
        ({'overlap': 'median'}, 'spec.overlap'),
        ({'overlap': ['last']}, 'spec.overlap'),
        ({'background': 'black'}, 'spec.background'),
        ({'background': float('nan')}, 'spec.background'),
        ({'background': True}, 'spec.background'),
        ({'background': 2**70}, 'spec.background'),
        ({'pixelSize': 0.5}, 'spec.pixelSize'),
        ({'pixelSize': {'x': 1}}, 'spec.pixelSize'),
        ({'pixelSize': {'x': 1, 'y': 0}}, 'spec.pixelSize.y'),
        ({'pixelSize': {'x': 1, 'y': 1, 'unit': 'um'}}, 'spec.pixelSize.unit'),
        ({'channelNames': 'DAPI'}, 'spec.channelNames'),
        ({'channelNames': ['DAPI', 7]}, r'spec.channelNames\[1\]'),
        ({'channelColors': ['#0000FF']}, r'spec.channelColors\[0\]'),
        ({'expected': 0}, 'spec.expected'),
        ({'expected': 2.0}, 'spec.expected'),
        ({'size': {'x': 10}}, 'spec.size'),
        ({'size': {'x': 10, 'y': -1}}, 'spec.size.y'),
        ({'chunk': 500}, 'spec.chunk'),
        ({'overlapBy': 'time'}, 'spec.overlapBy'),
        ({'crop': {'x': 0, 'y': 0, 'width': 5}}, 'spec.crop'),
        ({'crop': {'x': 0, 'y': 0, 'width': 5, 'height': 0}}, 'spec.crop.height'),
        ({'crop': {'x': 0, 'y': 0, 'width': 5, 'height': 5}, 'size': {'x': 5, 'y': 5}}, 'spec.crop'),
        ({'grid': {'overlap': {'x': 1, 'y': 1}}}, 'spec.grid'),
        ({'grid': {'tile': {'x': 0, 'y': 1}}}, 'spec.grid.tile.x'),
        ({'grid': {'tile': {'x': 9, 'y': 9}, 'overlap': {'x': 0, 'y': 9}}}, 'spec.grid.overlap.y'),
        ({'flatField': 'flat'}, 'spec.flatField'),
        ({'flatField': ['a/b']}, r'spec.flatField\[0\]'),
        ({'darkField': [None, 3]}, r'spec.darkField\[1\]'),
        ({'illumination': []}, 'spec.illumination'),
        ({'illumination': {'tiles': 1}}, 'spec.illumination.tiles'),
        ({'registration': True}, 'spec.registration'),
        ({'registration': {'planes': 0}}, 'spec.registration.planes'),
        ({'registration': {'subpixel': 1}}, 'spec.registration.subpixel'),
        ({'registration': {'maxShift': 0}}, 'spec.registration.maxShift'),
        ({'registration': {'minCorrelation': 2}}, 'spec.registration.minCorrelation'),
        ({'shard': 700}, 'spec.shard'),
        ({'shard': 512, 'chunk': 512}, 'spec.shard'),
        ({'shard': 1024, 'ngffVersion': '0.4'}, 'spec.shard'),
        ({'codec': 'zstd'}, 'spec.codec'),
        ({'codec': {'name': 'jpeg'}}, 'spec.codec.name'),
        ({'codec': {'name': 'blosc', 'level': 10}}, 'spec.codec.level'),
        ({'resample': 'lanczos'}, 'spec.resample'),
        ({'keepPatches': 1}, 'spec.keepPatches'),
    ],
)
def test_the_refusal_names_the_field(document: Any, field: str) -> None:
    with pytest.raises(InvalidInputError, match=f'^{field}: expected '):
        StitchSpec.from_json(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(document=st.dictionaries(st.sampled_from(sorted(StitchSpec().to_json())), JSON, max_size=4) | JSON)
def test_any_json_is_a_spec_or_one_sentence(document: Any) -> None:
    try:
        spec = StitchSpec.from_json(document)
    except InvalidInputError as error:
        assert str(error).endswith('.')  # noqa: PT017 - either is right
    else:
        assert StitchSpec.from_json(spec.to_json()) == spec


def test_the_background_is_a_value_of_the_pixels() -> None:
    StitchSpec(background=-1).check_dtype('int8')
    StitchSpec(background=0.5).check_dtype('float32')
    for background, dtype in ((-1, 'uint8'), (256, 'uint8'), (0.5, 'uint16'), (1e39, 'float32')):
        with pytest.raises(ConflictError, match=str(background).replace('+', r'\+')):
            StitchSpec(background=background).check_dtype(dtype)


@pytest.mark.parametrize(
    'key', ['', 'a/b', 'a b', 'ä', 'x' * 201, 'a\n', '%2e', 'a\\b', 'a?b', 'a#b', '.', '..']
)
def test_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(InvalidInputError, match=r'^key: expected '):
        check_key(key)


@pytest.mark.parametrize('key', ['a', 'x' * 200, '...', 'r0_c1.png', 'x=-5,y=7', 'A~@+'])
def test_a_key_is_kept_as_it_is(key: str) -> None:
    assert check_key(key) == key


@given(digest=st.binary(min_size=32, max_size=32))
def test_a_digest_survives_its_header(digest: bytes) -> None:
    text = format_digest(digest)
    assert parse_digest(text) == text
    assert parse_digest(f'sha-512=:abcd:, {text}') == text


def test_digests_of_other_kinds() -> None:
    assert parse_digest('') is None
    assert parse_digest('sha-512=:abcd:') is None
    for header in ('sha-256=abc', 'sha-256=:abc:', 'sha-256=:!:', 'sha-256'):
        with pytest.raises(InvalidInputError, match=r'^Content-Digest: expected'):
            parse_digest(header)


def test_positions_are_bounded() -> None:
    with pytest.raises(InvalidInputError, match=r'^x: expected'):
        Placement.make(2**31, 0)
    with pytest.raises(InvalidInputError, match=r'^z: expected'):
        Placement.make(0, 0, {'z': -1})
    with pytest.raises(InvalidInputError, match=r'^order: expected'):
        check_order(2**31)
    placed = Placement.make(-3, 4, {'z': 1, 't': None, 'c': 0})
    assert placed.as_dict() == {'x': -3, 'y': 4, 'c': 0, 'z': 1}
    assert Placement.from_dict(placed.as_dict()) == placed


def test_a_method_that_would_round_the_patches_is_refused_with_the_first_of_them() -> None:
    spec = StitchSpec.from_json({'resample': 'PIL_LANCZOS'})
    spec.check_dtype('uint16', 1)
    with pytest.raises(ConflictError, match=r'spec\.resample: PIL_LANCZOS would round float64.*have float64'):
        spec.check_dtype('float64', 1)
