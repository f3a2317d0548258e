"""Every route of the plugin knows its query parameters, and says what its answers are."""

import pytest

from girder_zarr.server.api.sessions import StitchSessionResource
from girder_zarr.server.api.tile_sources import ZarrResource
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
BODY = png(random_pixels(8, 8))


def routes():
    for root, resource in (('stitch_session', StitchSessionResource()), ('zarr', ZarrResource())):
        for method, by_length in resource._routes.items():
            for listed in by_length.values():
                for parts, _handler in listed:
                    yield method.upper(), '/'.join(['', root, *parts])


@pytest.mark.parametrize('name', ['ch', 'C', 'Replace', 'x ', 'channel'])
def test_a_misspelt_parameter_of_a_patch_stores_nothing(api, session, stored, name):
    before = stored()
    status, answer = api.put(session, 'a', BODY, **{name: 1})
    assert (status, answer['message'].startswith(f'{name}: expected')) == (400, True), answer
    assert stored() == before
    assert api.put(session, 'a', BODY, c=0, revision=7)[0] == 201


def test_no_route_passes_over_a_parameter(api, people, session, stored):
    api.put(session, 'a', BODY)
    before = stored()
    for method, route in routes():
        path = route
        for part, value in (('id', session['_id']), ('key', 'a'), ('frame', 0), ('z', 0), ('x', 0), ('y', 0)):
            path = path.replace(f':{part}', str(value))
        for name in ('no_such_parameter', 'Limit'):
            body = {'body': b'{}', 'content_type': 'application/json'} if method != 'GET' else {}
            params = {name: 1, 'folderId': session['folderId']} if path == '/stitch_session' else {name: 1}
            status, answer = api.call(
                method, path, params, user=people['admin'], is_json='tiles/' not in path, **body
            )
            found = answer.decode() if isinstance(answer, bytes) else answer['message']
            assert (status, name in found or 'folderId' in found) == (400, True), (method, path, answer)
    assert stored() == before


def test_answers_are_data_for_a_browser(api, session):
    api.put(session, 'a', BODY)
    base = f'/stitch_session/{session["_id"]}'
    for path, is_json in ((base, True), (f'{base}/tiles/thumbnail', False), (f'{base}/none', True)):
        api.call('GET', path, is_json=is_json)
        assert api.headers['X-Content-Type-Options'] == 'nosniff', path
        assert "default-src 'none'" in api.headers['Content-Security-Policy'], path
