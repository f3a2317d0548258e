"""docs/rest.md against the routes themselves: each is there with its statuses and parameters."""

import re
from pathlib import Path

import pytest

from girder_zarr.server.api.sessions import StitchSessionResource
from girder_zarr.server.common.strict_resource import COMMON_RESPONSES
from girder_zarr.server.sessions.states import EDITABLE
from girder_zarr.stitch.spec.model import StitchSpec

PAGE = (Path(__file__).parents[3] / 'docs' / 'rest.md').read_text(encoding='utf-8')
ROW = re.compile(r'^\| `(GET|POST|PUT|DELETE) (/stitch_session[^`?]*)[^`]*` \|.*\| ([^|]*) \|$', re.MULTILINE)


@pytest.fixture
def routes(zarr_server):
    """The routes: {(method, path): the description on Girder's API page}."""
    found = {}
    for method, by_length in StitchSessionResource()._routes.items():
        for listed in by_length.values():
            for parts, handler in listed:
                path = '/'.join(['/stitch_session', *parts])
                found[method.upper(), path] = handler.description
    return found


@pytest.mark.plugin('zarr')
def test_every_route_is_described_with_its_statuses(routes):
    documented = {(method, path): set(codes.split(', ')) for method, path, codes in ROW.findall(PAGE)}
    described = {
        route: {code for code in description._responses if code != '200'}
        for route, description in routes.items()
    }
    common = {str(code) for code in COMMON_RESPONSES}
    assert all(common <= codes for codes in described.values())
    assert {route: codes | common for route, codes in documented.items()} == described


ADMIN_ROW = re.compile(r'^\| `(GET|POST|PUT|DELETE) (/zarr/[^`?]*)[^`]*` \|.*\| ([^|]*) \|$', re.MULTILINE)


@pytest.mark.plugin('zarr')
def test_every_route_of_administrators_is_described(api, people):
    status, described = api.call('GET', '/describe', user=people['admin'])
    assert status == 200
    common = {str(code) for code in COMMON_RESPONSES}
    found = {}
    for path, operations in described['paths'].items():
        if path.startswith('/zarr/'):
            for method, operation in operations.items():
                route = method.upper(), re.sub(r'\{(\w+)\}', r':\1', path)
                found[route] = set(operation['responses']) - {'200'}
                for parameter in operation.get('parameters', ()):
                    name = parameter['name']
                    assert f':{name}' in path.replace('{', ':') or re.search(rf'[`?&]{name}[`=]', PAGE), (
                        route, name,
                    )  # fmt: skip
    documented = {
        (method, path): set(codes.split(', ')) | common for method, path, codes in ADMIN_ROW.findall(PAGE)
    }
    assert len(found) == 17
    assert documented == found


@pytest.mark.plugin('zarr')
def test_every_parameter_is_described(routes):
    for (method, path), description in routes.items():
        for parameter in description._params:
            name = parameter['name']
            named = f':{name}' in path or re.search(rf'[`?&]{name}[`=]', PAGE) or name == 'body'
            assert named, f'{method} {path}: {name}'


def test_every_field_of_the_spec_and_every_state_is_described():
    for name in StitchSpec().to_json():
        assert re.search(rf'^\| `?[^|]*`{name}`', PAGE, re.MULTILINE), name
    for state in (*EDITABLE, 'finalizing', 'complete'):
        assert f'    {state} --> ' in PAGE, state
