"""Who may read: the rights of Girder, share links, and one answer for all that may not be read."""

import datetime as dt
import http.client
import json
from pathlib import Path

import pytest
from bson import ObjectId
from girder.constants import AccessType, TokenScope
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.item import Item
from girder.models.token import Token
from girder.models.user import User

from girder_zarr.server.share import grants
from girder_zarr.server.share.links import ZarrLink
from girder_zarr.server.share.reads import ZarrRead, counts
from support.girder_images import upload_tree
from support.zarr_http import token_of

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def clock(monkeypatch):
    """The clock by which grants run out."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(grants, 'time', found)
    return found


def make_link(api, user=..., **fields):
    return api.call('POST', '/zarr_link', body=json.dumps(fields), content_type='application/json', user=user)


def refused(web, path, headers=None):
    found = web.ask(path, headers=headers)
    return found.status, found.body


def test_rights_are_those_of_girder(web, people, folder, make_image):
    image = make_image('zip')
    path = f'{image.path}/zarr.json'
    for name in ('owner', 'writer', 'reader', 'admin'):
        assert web.ask(path, headers=token_of(people[name])).status == 200, name
    no = refused(web, path)
    assert no[0] == 403
    for headers in (
        token_of(people['stranger']),
        {'Girder-Token': 'x' * 64},
        {'Girder-Token': 'x' * 5000},
        token_of(people['owner'], days=-1),
        token_of(people['owner'], scope=TokenScope.PLUGINS_READ),
        {'Cookie': 'girderToken'},
    ):
        assert refused(web, path, headers) == no
    assert web.ask(path, headers=token_of(people['reader'], scope=TokenScope.DATA_READ)).status == 200
    cookie = {'Cookie': f'a=b; girderToken={token_of(people["reader"])["Girder-Token"]}'}
    assert web.ask(path, headers=cookie).status == 200
    token = token_of(people['reader'])['Girder-Token']
    assert refused(web, f'{path}?token={token}') == no, 'a token in an address ends in logs'


def test_what_does_not_exist_looks_like_what_may_not_be_read(web, people, make_image):
    image, stranger = make_image('zip'), token_of(people['stranger'])
    no = refused(web, f'{image.path}/zarr.json', stranger)
    for path in (
        f'/zarr/item/{ObjectId()}/zarr.json',
        f'{image.path}/nothing',
        f'{image.path}/',
        f'{image.path}?list-type=2',
        f'/zarr/session/{ObjectId()}/zarr.json',
        '/zarr/item/none/zarr.json',
        f'/zarr/k/{"a" * 32}/zarr.json',
        '/zarr/k/short/zarr.json',
        f'/zarr/k/{"a" * 5000}/zarr.json',
    ):
        assert refused(web, path, stranger) == no, path


def test_public_images_may_be_stored_by_others(web, people, folder, make_image):
    image = make_image('zip')
    Folder().setPublic(folder, True, save=True)
    chunk = next(key for key in image.snapshot if '/c/' in key)
    assert web.ask(f'{image.path}/zarr.json').headers['cache-control'] == 'public, no-cache'
    assert web.ask(f'{image.path}/{chunk}').headers['cache-control'] == 'public, max-age=60'


def test_rights_that_are_taken_end_within_seconds(web, people, folder, make_image, clock):
    image, reader = make_image('zip'), token_of(people['reader'])
    path = f'{image.path}/zarr.json'
    assert web.ask(path, headers=reader).status == 200
    Folder().setUserAccess(folder, people['reader'], -1, save=True)
    clock.now += 5
    assert web.ask(path, headers=reader).status == 403
    Item().remove(image.item)
    owner = token_of(people['owner'])
    clock.now += 5
    assert web.ask(path, headers=owner).status == 403


def test_a_link_lets_anybody_read(web, api, people, make_image, clock):
    image = make_image('zip')
    status, link = make_link(api, itemId=str(image.item['_id']), label='for the paper')
    assert status == 200
    path = link['url'][link['url'].index('/zarr/k/') :]
    assert path == f'/zarr/k/{link["key"]}.zarr/'
    for key, body in image.snapshot.items():
        found = web.ask(path + key)
        assert (found.status, found.body) == (200, body)
        assert found.headers['cache-control'] == 'private, no-cache'
    assert web.ask(path + 'nothing').status == 404
    assert web.ask(path + 'zarr.json', 'PUT').status == 405
    assert web.ask(path + 'zarr.json', 'DELETE').status == 405
    stored = ZarrLink().findOne()
    assert link['key'] not in json.dumps(stored, default=str)
    # The counts: each answered read once, by the hour.
    status, listed = api.call('GET', '/zarr_link')
    assert (status, len(listed), listed[0]['uses']) == (200, 1, len(image.snapshot))
    assert 'key' not in listed[0]
    assert listed[0]['label'] == 'for the paper'
    status, hours = api.call('GET', f'/zarr_link/{link["_id"]}/reads')
    assert status == 200
    assert sum(hour['requests'] for hour in hours) == len(image.snapshot)
    assert sum(hour['bytes'] for hour in hours) == sum(map(len, image.snapshot.values()))
    assert ZarrRead().collection.count_documents({}) == len(hours)
    assert api.call('DELETE', f'/zarr_link/{link["_id"]}')[0] == 200
    assert refused(web, path + 'zarr.json') == refused(web, f'/zarr/k/{"a" * 32}/zarr.json')


def test_a_link_ends_in_other_processes_within_five_seconds(web, api, make_image, clock):
    image = make_image('zip')
    _, link = make_link(api, itemId=str(image.item['_id']))
    path = f'/zarr/k/{link["key"]}/zarr.json'
    assert web.ask(path).status == 200
    ZarrLink().remove(ZarrLink().findOne({'_id': ObjectId(link['_id'])}))  # as another process does
    clock.now += 5
    assert web.ask(path).status == 403


def test_a_link_expires_to_the_second(web, api, make_image, clock):
    image = make_image('zip')
    _, link = make_link(api, itemId=str(image.item['_id']), expires=1)
    path = f'/zarr/k/{link["key"]}/zarr.json'
    assert web.ask(path).status == 200
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    ZarrLink().update({'_id': ObjectId(link['_id'])}, {'$set': {'expires': soon}})
    clock.now += 4.5
    assert web.ask(path).status == 200
    clock.now += 2.1  # less than a grant without an expiry holds
    ZarrLink().update({'_id': ObjectId(link['_id'])}, {'$set': {'expires': dt.datetime.now(dt.UTC)}})
    assert web.ask(path).status == 403


def test_a_link_holds_as_long_as_its_maker_may_read(web, api, people, folder, make_image, clock):
    image = make_image('zip')
    status, link = make_link(api, user=people['reader'], itemId=str(image.item['_id']))
    assert status == 200
    path = f'/zarr/k/{link["key"]}/zarr.json'
    assert web.ask(path).status == 200
    Folder().setUserAccess(folder, people['reader'], -1, save=True)
    clock.now += 5
    assert web.ask(path).status == 403
    Folder().setUserAccess(folder, people['reader'], AccessType.READ, save=True)
    clock.now += 5
    assert web.ask(path).status == 200
    reader = User().load(people['reader']['_id'], force=True)
    reader['status'] = 'disabled'
    User().save(reader)
    clock.now += 5
    assert web.ask(path).status == 403
    User().remove(reader)
    assert ZarrLink().collection.count_documents({}) == 0


def test_a_link_goes_with_its_target_and_follows_it(web, api, people, make_image, clock):
    image = make_image('zip')
    _, link = make_link(api, itemId=str(image.item['_id']))
    path = f'/zarr/k/{link["key"]}/zarr.json'
    hidden = Folder().createFolder(
        people['stranger'], 'hidden', parentType='user', public=False, creator=people['stranger']
    )
    moved = Item().move(image.item, hidden)
    clock.now += 5
    assert web.ask(path).status == 403, 'moved to where its maker may not read'
    Item().remove(moved)
    assert ZarrLink().collection.count_documents({}) == 0


def test_a_name_may_end_as_those_of_images_do(web, api, people, make_image):
    """napari and Fiji go by the end of an address."""
    image = make_image('zip')
    _, link = make_link(api, itemId=str(image.item['_id']))
    for path, headers in (
        (f'/zarr/k/{link["key"]}', {}),
        (f'/zarr/k/{link["key"]}.zarr', {}),
        (f'{image.path}.zarr', token_of(people['owner'])),
    ):
        assert web.ask(f'{path}/zarr.json', headers=headers).body == image.snapshot['zarr.json']
    assert web.ask(f'/zarr/k/{link["key"]}.zarr.zarr/zarr.json').status == 403
    assert web.ask(f'/zarr/k/{link["key"]}.zarr').headers['location'] == f'./{link["key"]}/'


def test_a_folder_link_leads_to_its_images_and_no_further(web, api, people, folder, make_image, tmp_path):
    image, other = make_image('zip'), make_image('directory', name='other')
    below = Folder().createFolder(folder, 'below', creator=people['owner'])
    upload_tree(tmp_path / 'image.zarr', below, people['owner'])
    secret = Folder().createFolder(folder, 'secret', creator=people['owner'], public=False)
    upload_tree(tmp_path / 'other.zarr', secret, people['owner'])
    Folder().setUserAccess(secret, people['reader'], -1, save=True)
    _, link = make_link(api, user=people['reader'], folderId=str(folder['_id']))
    base = f'/zarr/k/{link["key"]}'
    for where, stored in (
        (image.item['name'], image),
        (other.item['name'], other),
        ('below/image.zarr', image),
    ):
        for key, body in stored.snapshot.items():
            found = web.ask(f'{base}/{where}/{key}')
            assert (found.status, found.body) == (200, body), (where, key)
    for key in ('secret/other.zarr/zarr.json', 'nothing/zarr.json', 'zarr.json', '../zarr.json', 'below'):
        assert web.ask(f'{base}/{key}').status == 404, key
    shown = web.ask(f'{base}/').body.decode()
    assert 'below' in shown
    assert image.item['name'] in shown
    assert 'secret' not in shown
    _, link = make_link(api, folderId=str(below['_id']))
    assert web.ask(f'/zarr/k/{link["key"]}/image.zarr/zarr.json').status == 200
    root = Folder().findOne({'parentId': below['_id']})
    _, link = make_link(api, folderId=str(root['_id']))
    assert web.ask(f'/zarr/k/{link["key"]}/zarr.json').body == image.snapshot['zarr.json']


def test_who_may_make_see_and_revoke_links(web, api, people, folder, make_image):
    image = make_image('zip')
    item_id = str(image.item['_id'])
    assert make_link(api, user=None, itemId=item_id)[0] == 401
    assert make_link(api, user=people['stranger'], itemId=item_id)[0] == 404
    assert make_link(api, user=people['stranger'], itemId=str(ObjectId()))[0] == 404
    _, readers = make_link(api, user=people['reader'], itemId=item_id)
    _, owners = make_link(api, itemId=item_id)

    def listed(name, **params):
        status, found = api.call('GET', '/zarr_link', params, user=people[name])
        return status, {link['_id'] for link in found} if status == 200 else None

    assert listed('reader') == (200, {readers['_id']})
    assert listed('reader', itemId=item_id) == (200, {readers['_id']})
    assert listed('owner', itemId=item_id) == (200, {readers['_id'], owners['_id']})
    assert listed('owner', folderId=str(folder['_id'])) == (200, set())
    assert listed('stranger', itemId=item_id) == (404, None)
    for route in (('DELETE', ''), ('GET', '/reads')):
        status, _ = api.call(route[0], f'/zarr_link/{owners["_id"]}{route[1]}', user=people['reader'])
        assert status == 404
    assert api.call('DELETE', f'/zarr_link/{owners["_id"]}', user=people['stranger'])[0] == 404
    assert api.call('DELETE', f'/zarr_link/{readers["_id"]}', user=people['owner'])[0] == 200
    assert api.call('DELETE', f'/zarr_link/{owners["_id"]}', user=people['admin'])[0] == 200
    token = Token().createToken(people['owner'], scope=TokenScope.DATA_READ)
    status, _ = api.call(
        'POST', '/zarr_link', body=json.dumps({'itemId': item_id}), content_type='application/json',
        user=None, headers=[('Girder-Token', str(token['_id']))],
    )  # fmt: skip
    assert status == 401, 'a token for reading makes no link that outlives it'


@pytest.mark.parametrize(
    'fields',
    [
        {},
        {'itemId': 'I', 'folderId': 'F'},
        {'itemId': 'I', 'label': 'x' * 201},
        {'itemId': 'I', 'label': 7},
        {'itemId': 'I', 'expires': 'tomorrow'},
        {'itemId': 'I', 'expires': '2020-01-01T00:00:00+00:00'},
        {'itemId': 'I', 'expires': '2999-01-01T00:00:00'},
        {'itemId': 'I', 'expires': -1},
        {'itemId': 'I', 'expires': True},
        {'itemId': 'I', 'other': 1},
    ],
)
def test_malformed_links_are_refused(api, folder, make_image, fields):
    image = make_image('zip')
    ids = {'I': str(image.item['_id']), 'F': str(folder['_id'])}
    given = {
        name: ids.get(value, value) if isinstance(value, str) else value for name, value in fields.items()
    }
    status, answer = make_link(api, **given)
    assert status == 400, answer
    assert ZarrLink().collection.count_documents({}) == 0


def test_nobody_makes_links_without_end(api, make_image, monkeypatch):
    monkeypatch.setattr('girder_zarr.server.share.links.MAX_LINKS', 2)
    item_id = str(make_image('zip').item['_id'])
    assert [make_link(api, itemId=item_id)[0] for _ in range(3)] == [200, 200, 429]
    assert ZarrLink().collection.count_documents({}) == 2


def test_counts_that_cannot_be_written_are_written_later(web, api, owner, make_image, monkeypatch):
    from pymongo.errors import AutoReconnect

    image = make_image('zip')
    web.ask(f'{image.path}/zarr.json', headers=owner)

    def away(*_):
        raise AutoReconnect

    with monkeypatch.context() as patched:
        patched.setattr(counts, '_write', away)
        counts.flush()
    web.ask(f'{image.path}/zarr.json', headers=owner)
    counts.flush()
    found = ZarrRead().findOne({'targetId': image.item['_id']})
    assert (found['requests'], found['bytes']) == (2, 2 * len(image.snapshot['zarr.json']))


def test_what_is_being_sent_breaks_off_when_the_link_ends(web, api, make_image, tmp_path, clock):
    image = make_image('directory')
    with (tmp_path / 'image.zarr' / 'large').open('wb') as sparse:
        sparse.truncate(256 * 2**20)
    _, link = make_link(api, itemId=str(image.item['_id']))
    connection = http.client.HTTPConnection(web.host, timeout=60)
    connection.request('GET', f'/zarr/k/{link["key"]}/large')
    answer = connection.getresponse()
    answer.read(10_000)
    ZarrLink().remove(ZarrLink().findOne({'_id': ObjectId(link['_id'])}))
    clock.now += 5
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()


def test_a_file_that_is_replaced_is_opened_anew(web, api, owner, make_image):
    """Imported files change under Girder; the next request has the new one, with another validator."""
    image = make_image('zip')
    path = Path(File().getLocalFilePath(File().load(image.item['largeImage']['fileId'], force=True)))
    before = web.ask(f'{image.path}/zarr.json', headers=owner)
    assert web.ask(f'{image.path}/zarr.json', headers=owner).body == before.body
    body = path.read_bytes().replace(b'"test"', b'"best"')
    path.chmod(0o600)
    path.write_bytes(body)
    after = web.ask(f'{image.path}/zarr.json', headers=owner)
    assert after.status == 200
    assert after.body == before.body.replace(b'"test"', b'"best"') != before.body
    assert after.headers['etag'] != before.headers['etag']
