"""Whatever is sent to the routes of sessions, the answer is a sentence and no server error.

GIRDER_ZARR_HOSTILE_EXAMPLES asks for more than are tried by default, and for others.
"""

import contextlib
import json
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from girder_zarr.client import Patch
from girder_zarr.client.patch import tar_of
from girder_zarr.stitch.spec.model import StitchSpec
from support.server import check_answer, png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
GOOD = png(random_pixels(8, 8))
TAR = tar_of([(Patch(key, GOOD, 8 * at, 0), GOOD) for at, key in enumerate('abc')])
BIG = 10**7
EXAMPLES = int(os.environ.get('GIRDER_ZARR_HOSTILE_EXAMPLES', '0'))
FUZZ = settings(
    max_examples=EXAMPLES or 100,
    deadline=None,
    derandomize=not EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# What clients may get wrong on purpose.
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            '',
            ' ',
            '\0',
            'a\nb',
            '../../etc/passwd',
            '/etc/passwd',
            'C:\\x',
            '..',
            '$where',
            'a.b',
            '\ud800',
            '\u202e',
            'null',
            'NaN',
            'inf',
            '-1',
            '1e400',
            '9' * 400,
            '9' * 5000,
            '0x10',
            '1_000',
            '٣',
            'x' * 3000,
            '{',
            '[' * 2000,
        ]
    ),
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**400, -1, 0, 1e308, float('nan'), float('inf')]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)
SPEC = StitchSpec.from_json(None).to_json()


def dumps(value):
    with contextlib.suppress(ValueError):
        return json.dumps(value)
    return '{}'  # an integer of more digits than Python writes


@FUZZ
@given(
    body=st.one_of(
        VALUES,
        st.fixed_dictionaries({'spec': VALUES}, optional={'name': VALUES, 'folderId': VALUES}),
        st.fixed_dictionaries(
            {'name': st.just('a'), 'spec': st.dictionaries(st.sampled_from(sorted(SPEC)), VALUES, max_size=3)}
        ),
    ),
    route=st.sampled_from(['create', 'edit', 'files', 'missing']),
)
@example(body={'9' * 5000: 1}, route='create')
@example(body={'folderId': ['9' * 5000]}, route='create')
def test_any_json(api, folder, session, stored, body, route):
    if route == 'create' and isinstance(body, dict):
        body = {'folderId': str(folder['_id']), **body}
    base = f'/stitch_session/{session["_id"]}'
    method, path = {
        'create': ('POST', '/stitch_session'),
        'edit': ('PUT', base),
        'files': ('POST', f'{base}/files'),
        'missing': ('POST', f'{base}/missing'),
    }[route]
    before = stored()
    status, answer = api.call(method, path, body=dumps(body), content_type='application/json')
    check_answer(status, answer)
    if route == 'create' and status == 200:
        assert api.delete(answer)[0] == 200
    assert stored() == before
    assert api.get(session)[0] == 200


NAMES = [
    'x',
    'y',
    'z',
    'c',
    't',
    'row',
    'column',
    'unit',
    'order',
    'weight',
    'mask',
    'maskKey',
    'shape',
    'dtype',
]
NAMES += ['compression', 'replace', 'limit', 'offset', 'sort', 'sortdir', 'fields', 'force', 'key', 'overlap']
PARAMS = st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=3)
TILES = [
    'encoding',
    'jpegQuality',
    'jpegSubsampling',
    'tiffCompression',
    'edge',
    'style',
    'frame',
    'left',
    'top',
]
TILES += [
    'right',
    'bottom',
    'regionWidth',
    'regionHeight',
    'units',
    'width',
    'height',
    'magnification',
    'mm_x',
]
TILES += ['mm_y', 'exact', 'fill']


def encodable(params):
    return {name: value.encode('utf-8', 'replace').decode() for name, value in params.items()}


@FUZZ
@given(
    params=PARAMS,
    key=TEXTS,
    body=st.one_of(
        st.just(GOOD),
        st.binary(max_size=300),
        st.integers(0, len(GOOD)).map(lambda at: GOOD[:at]),
        st.tuples(st.integers(0, len(GOOD)), st.binary(min_size=1, max_size=4)).map(
            lambda cut: GOOD[: cut[0]] + cut[1] + GOOD[cut[0] + len(cut[1]) :]
        ),
    ),
    digest=st.one_of(
        st.none(), st.text(st.characters(codec='latin-1', exclude_characters='\r\n\0'), max_size=80)
    ),
    kind=st.sampled_from(
        ['image/png', 'application/json', 'application/x-www-form-urlencoded', 'multipart/form-data']
    ),
    route=st.sampled_from(['patch', 'reference', 'get', 'remove']),
)
def test_any_patch(api, session, stored, params, key, body, digest, kind, route):
    from urllib.parse import quote

    name = quote(key.encode('utf-8', 'replace').decode(), safe='')
    path = f'/stitch_session/{session["_id"]}/{"reference" if route == "reference" else "patch"}/{name}'
    method = {'get': 'GET', 'remove': 'DELETE'}.get(route, 'PUT')
    before, seen = stored(), api.get(session)[1]
    headers = [('Content-Digest', digest)] if digest is not None else None
    with_body = {'body': body, 'content_type': kind, 'headers': headers} if method == 'PUT' else {}
    status, answer = api.call(method, path, {'x': '0', 'y': '0', **encodable(params)}, **with_body)
    check_answer(status, answer)
    if method == 'PUT' and status in {200, 201}:
        assert api.call('DELETE', path)[0] == 200
    assert stored() == before
    assert api.get(session)[1]['counts'] == seen['counts']


@FUZZ
@given(
    params=st.dictionaries(st.sampled_from(TILES), TEXTS, max_size=3),
    route=st.sampled_from(
        ['tiles', 'tiles/region', 'tiles/thumbnail', 'tiles/zxy/0/0/0', 'coverage', 'patch']
    ),
)
def test_any_view(api, session, params, route):
    if not api.get(session)[1]['counts']['patches']:
        assert api.put(session, 'a', GOOD)[0] == 201
    path = f'/stitch_session/{session["_id"]}/{route}'
    response = api.server.request(path=path, params=encodable(params), user=api.user, isJson=False)
    status, answer = int(response.output_status.split()[0]), b''.join(response.body)
    check_answer(status, json.loads(answer) if status >= 400 else None)


@FUZZ
@given(
    cuts=st.lists(
        st.tuples(st.integers(0, len(TAR)), st.binary(max_size=8), st.integers(0, 600)),
        min_size=1,
        max_size=3,
    ),
    kind=st.one_of(
        st.sampled_from(
            ['application/x-tar', 'multipart/form-data; boundary=a', 'multipart/mixed', 'text/plain']
        ),
        st.text(st.characters(codec='ascii', exclude_characters='\r\n\0'), max_size=40),
    ),
)
def test_any_stream_of_patches(api, session, stored, cuts, kind):
    body = TAR
    for at, put, length in cuts:
        body = body[:at] + put + body[at + length :]
    status, answer = api.call(
        'POST', f'/stitch_session/{session["_id"]}/patches', body=body, content_type=kind or 'a/b'
    )
    check_answer(status, answer)
    for patch in answer.get('patches', ()):
        assert 200 <= patch['code'] < 500, patch
    counts = api.get(session)[1]['counts']
    assert stored()['StitchPatch'] == counts['patches']


@pytest.mark.parametrize('text', ['\ud800', 'a\ud800b'])
@pytest.mark.parametrize('where', ['name', 'channel', 'axis value'])
def test_half_of_a_character(api, folder, stored, text, where):
    """JSON may hold halves of surrogate pairs, which no database takes."""
    spec = {'channels': [{'name': text}]} if where == 'channel' else {}
    name = text if where == 'name' else 'a'
    before = stored()
    body = json.dumps(
        {'folderId': str(folder['_id']), 'name': name, 'spec': spec, **({text: 1} if not spec else {})}
    )
    status, answer = api.call('POST', '/stitch_session', body=body, content_type='application/json')
    assert status == 400, answer
    assert stored() == before


@pytest.mark.parametrize(
    ('body', 'words'),
    [
        ('[' * 100_000, 'JSON'),
        ('{"a":' * 100_000, 'JSON'),
        ('{"name": "' + 'x' * 2**20 + '"}', '1048576'),
        ('{"name": 1' + '0' * 5000 + '}', 'JSON'),
        ('{"name": NaN}', 'NaN'),
        ('{"name": -Infinity}', 'Infinity'),
        ('{"name": "a"} x', 'JSON'),
        ('', 'JSON'),
    ],
    ids=lambda value: value[:12],
)
@pytest.mark.parametrize('method', ['POST', 'PUT'])
def test_json_of_any_depth_and_size(api, session, stored, method, body, words):
    before = stored()
    path = '/stitch_session' if method == 'POST' else f'/stitch_session/{session["_id"]}'
    status, answer = api.call(method, path, body=body, content_type='application/json')
    check_answer(status, answer)
    assert status in {400, 413}
    assert words in answer['message']
    assert stored() == before


@pytest.mark.parametrize(
    'digest',
    [
        'sha-256',
        'sha-256=',
        'sha-256=::',
        'sha-256=:AAAA:',
        'md5=:AAAA:',
        'sha-256=:' + 'A' * 10_000 + ':',
        ',,,',
        'sha-256=:é:',
        'sha-256=:' + 'A' * 43 + '=:, sha-256=:' + 'B' * 43 + '=:',
    ],
)
def test_a_malformed_digest(api, session, stored, digest):
    before = stored()
    status, answer = api.put(session, 'a', GOOD, headers=[('Content-Digest', digest)])
    check_answer(status, answer)
    if status == 201:
        assert 'sha-256' not in digest  # RFC 9530: what is not known is passed over
        return
    assert status == 400, answer
    assert stored() == before


@pytest.mark.parametrize(
    ('method', 'part'), [('GET', 'id'), ('DELETE', 'id'), ('GET', 'key'), ('DELETE', 'key')]
)
def test_a_query_does_not_take_the_place_of_the_path(api, folder, session, method, part):
    """What lies before a server may decide by the path who comes through."""
    _, other = api.create(folder)
    for key in 'ab':
        api.put(session, key, GOOD, x=8 * ord(key))
    path = f'/stitch_session/{session["_id"]}' + ('/patch/a' if part == 'key' else '')
    status, answer = api.call(method, path, {part: 'b' if part == 'key' else other['_id']})
    assert (status, 'path' in answer['message']) == (400, True), answer
    assert api.get(session)[1]['counts']['patches'] == 2
    assert api.get(other)[0] == 200
