"""A folder inside an uploaded hierarchy that fewer people may read than the image: refused, not told of."""

import io
import json
import zipfile

import pytest
from girder.models.folder import Folder

from support.zarr_http import token_of

pytestmark = pytest.mark.plugin('zarr')
HIDDEN = ('1/zarr.json', '1/c/0/0', '1/c/0/nothing', '1/', '1/c/', '1/nothing', '1?list-type=2&prefix=1/')
ROUTES = (
    '', '/zxy/0/0/0', '/fzxy/0/0/0/0', '/dzi.dzi', '/region', '/thumbnail', '/histogram', '/bands', '/pixel',
    '/tile_frames', '/internal_metadata', '/images',
)  # fmt: skip


@pytest.fixture
def image(people, make_image):
    """An image whose second level its readers may not read; its owner may."""
    image = make_image('uploaded')
    level = Folder().findOne({'parentId': image.item['folderId'], 'name': '1'})
    Folder().setUserAccess(level, people['reader'], -1, save=True)
    return image


def listed(web, path, headers):
    found = web.ask(path, headers=headers)
    assert found.status == 200, path
    return found.body.decode()


@pytest.mark.parametrize('who', ['reader', 'owner'])
def test_its_keys_are_as_all_that_may_not_be_read(web, people, image, who):
    signed_in, stranger = token_of(people[who]), token_of(people['stranger'])
    refused = web.ask(f'{image.path}/zarr.json', headers=stranger)
    assert refused.status == 403
    for key in HIDDEN:
        path = f'{image.path}/{key}' if '?' not in key else f'{image.path}{key[1:]}'
        found = web.ask(path, headers=signed_in)
        assert (found.status, found.body) == (403, refused.body), key
        assert web.ask(path, 'HEAD', signed_in).status == 403, key
    for key in ('zarr.json', '0/zarr.json', '0/c/0/0'):
        assert web.ask(f'{image.path}/{key}', headers=signed_in).body == image.snapshot[key]


def test_no_listing_names_it(web, people, image):
    reader = token_of(people['reader'])
    assert 'href="0/"' in listed(web, f'{image.path}/', reader)
    assert 'href="1/"' not in listed(web, f'{image.path}/', reader)
    for query in ('?list-type=2', '?list-type=2&delimiter=/'):
        body = listed(web, image.path + query, reader)
        assert '>0/' in body, query
        assert '>1/' not in body, query


def test_share_links_give_no_more(web, api, people, image):
    for field, target in (('itemId', '_id'), ('folderId', 'folderId')):
        fields = {field: str(image.item[target])}
        status, link = api.call(
            'POST', '/zarr_link', body=json.dumps(fields), content_type='application/json'
        )
        assert status == 200
        base = link['url'][link['url'].index('/zarr/k/') :]
        assert web.ask(f'{base}0/zarr.json').status == 200
        assert web.ask(f'{base}1/zarr.json').status == 403
        assert web.ask(f'{base}1/').status == 403
        assert '>1/' not in listed(web, f'{base[:-1]}?list-type=2', None)


def test_the_routes_of_its_item_say_403(api, people, image):
    for route in ROUTES:
        path = f'/item/{image.item["_id"]}/tiles{route}'
        status, body = api.call('GET', path, user=people['reader'], is_json=False)
        assert status == 403, (route, body[:300])
        assert b'Traceback' not in body, route


def test_chunks_in_a_stricter_folder_are_refused_where_they_are_needed(web, api, people, make_image):
    image = make_image('uploaded')
    level = Folder().findOne({'parentId': image.item['folderId'], 'name': '0'})
    chunks = Folder().findOne({'parentId': level['_id'], 'name': 'c'})
    Folder().setUserAccess(chunks, people['reader'], -1, save=True)
    base = f'/item/{image.item["_id"]}/tiles'
    headers = token_of(people['reader'])
    for key in ('0/c/0/0', '@zstd/0/c/0/0'):
        assert web.ask(f'{image.path}/{key}', headers=headers).status == 403, key
    assert web.ask(f'{image.path}/@zstd/zarr.json', headers=headers).status == 200
    assert api.call('GET', base, user=people['reader'])[0] == 200
    for route in ('/zxy/0/0/0', '/region', '/pixel?left=1&top=1', '/histogram', '/thumbnail?width=200'):
        path, _, query = route.partition('?')
        params = dict(one.split('=') for one in query.split('&') if one)
        status, body = api.call('GET', base + path, params, user=people['reader'], is_json=False)
        assert (route, status) == (route, 403), body[:300]


def test_downloads_hold_what_their_reader_may_read(api, people, image):
    path = f'/folder/{image.item["folderId"]}/download'
    for who, expected in (('reader', False), ('owner', True)):
        status, body = api.call('GET', path, user=people[who], is_json=False)
        assert status == 200
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            names = [name.partition('/')[2] for name in archive.namelist()]
        assert '0/zarr.json/zarr.json' in names or '0/zarr.json' in names
        assert any(name.startswith('1/') for name in names) is expected, who
