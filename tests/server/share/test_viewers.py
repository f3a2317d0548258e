"""The list of programs that open an image by its address."""

import json
from urllib.parse import unquote, urlsplit

import pytest
from girder.exceptions import ValidationException
from girder.models.setting import Setting

from girder_zarr.server.settings import viewers

pytestmark = pytest.mark.plugin('zarr')
URL = 'https://girder.example/zarr/k/abc/'


def test_each_has_the_address(api):
    status, found = api.call('GET', '/zarr_link/viewers', {'url': URL}, user=None)
    assert status == 200
    names = ' '.join(one['name'] for one in found)
    for name in (
        'neuroglancer',
        'vizarr',
        'avivator',
        'napari',
        'QuPath',
        'Fiji',
        'tensorstore',
        'ngff-zarr',
    ):
        assert name in names
    for one in found:
        assert 'girder.example' in one['text']
        assert '{url}' not in one['text']
        assert '{encoded}' not in one['text']
        if one['kind'] == 'python':
            compile(one['text'], one['name'], 'exec')
    encoded = next(one for one in found if one['name'] == 'vizarr')
    assert encoded['text'].endswith('?source=https%3A%2F%2Fgirder.example%2Fzarr%2Fk%2Fabc')
    layers = json.loads(
        unquote(next(one for one in found if one['name'] == 'neuroglancer')['text'].partition('#!')[2])
    )
    assert layers['layers'][0]['source'] == 'https://girder.example/zarr/k/abc/|zarr:'


def key_of(api, **target):
    """The key of a new share link."""
    status, link = api.call('POST', '/zarr_link', body=json.dumps(target), content_type='application/json')
    assert status == 200, link
    return link['key']


def addresses_of_iiif(api, url):
    """The texts of the two viewers that read IIIF; they are in the list where there is such an address."""
    status, found = api.call('GET', '/zarr_link/viewers', {'url': url}, user=None)
    assert status == 200
    return [one['text'] for one in found if one['name'].startswith('IIIF')]


@pytest.mark.parametrize('behind', ['', '/', '.zarr', '.zarr/@zstd', '/@v2/@zstd/'])
def test_addresses_of_iiif_lead_to_the_image(api, web, owner, make_image, behind):
    item = make_image('zip').item['_id']
    key = key_of(api, itemId=str(item))
    for door, headers in ((f'item/{item}', owner), (f'k/{key}', {})):
        manifest, info = addresses_of_iiif(api, f'https://girder.example/zarr/{door}{behind}')
        assert [manifest, info] == [
            f'https://girder.example/iiif/{door}/{one}' for one in ('manifest', 'info.json')
        ]
        for address in (manifest, info):
            answer = web.ask(address.removeprefix('https://girder.example'), headers=headers)
            assert answer.status == 200, address
            expected = urlsplit(address).path.removesuffix('/info.json')
            assert urlsplit(answer.json['id']).path == expected


def test_what_has_no_address_of_iiif_has_no_such_viewer(api, web, folder, session):
    folder_key = key_of(api, folderId=str(folder['_id']))
    assert addresses_of_iiif(api, f'https://girder.example/zarr/k/{folder_key}/') == [
        f'https://girder.example/iiif/k/{folder_key}/manifest'
    ]
    key = key_of(api, sessionId=str(session['_id']))
    for url in (f'zarr/k/{key}/', f'zarr/session/{session["_id"]}', 'zarr/k/none', 'zarr/k', 'image.zarr'):
        assert addresses_of_iiif(api, f'https://girder.example/{url}') == [], url


@pytest.mark.parametrize(
    'url',
    ['', 'abc', 'javascript:alert(1)', "https://x/';import os", 'https://x/$(rm)', 'file:///etc/passwd'],
)
def test_what_is_no_address_is_refused(api, url):
    assert api.call('GET', '/zarr_link/viewers', {'url': url})[0] == 400


def test_a_lab_names_its_own(api):
    own = {'name': 'ours', 'kind': 'link', 'text': 'https://viewer.lab.example/#{url}'}
    Setting().set(viewers.KEY, [own])
    _, found = api.call('GET', '/zarr_link/viewers', {'url': URL})
    assert found == [{**own, 'text': 'https://viewer.lab.example/#https://girder.example/zarr/k/abc'}]
    for wrong in (
        'x', [1], [{}], [{**own, 'kind': 'x'}], [{**own, 'name': ''}], [{**own, 'text': 'https://x'}],
        [{**own, 'text': 'javascript:{url}'}], [{**own, 'more': 1}], [own] * 51,
    ):  # fmt: skip
        with pytest.raises(ValidationException, match=r'zarr\.viewers'):
            Setting().set(viewers.KEY, wrong)
