"""Who may see by IIIF: the rights of Girder and share links, and one answer for all that may not be read."""

import io

import PIL.Image
import pytest
from bson import ObjectId
from girder.constants import AccessType, TokenScope
from girder.models.folder import Folder
from girder.models.item import Item

from girder_zarr.server.iiif import iiif_target
from girder_zarr.server.share import grants
from girder_zarr.server.share.reads import ZarrRead, counts
from support.server import random_pixels
from support.zarr_http import token_of

pytestmark = pytest.mark.plugin('zarr')

ENDS = ('', '/info.json', '/manifest', '/manifest.json', '/full/max/0/default.jpg')


def png():
    stream = io.BytesIO()
    PIL.Image.fromarray(random_pixels(30, 40)).save(stream, 'PNG')
    return stream.getvalue()


@pytest.fixture
def image(put):
    return put('picture.png', png())


def told(web, path, headers=None):
    found = web.ask(path, headers=headers)
    return found.status, found.body, found.headers.get('etag')


def test_rights_are_those_of_girder(web, people, image):
    for end in ENDS:
        path = f'/iiif/item/{image["_id"]}{end}'
        for name in ('owner', 'writer', 'reader', 'admin'):
            assert web.ask(path, headers=token_of(people[name])).status in (200, 303), (name, end)
        no = told(web, path)
        assert no == (404, b'There is nothing here that you may read.\n', None)
        token = token_of(people['reader'])['Girder-Token']
        for headers in (
            token_of(people['stranger']),
            {'Girder-Token': 'x' * 5000},
            token_of(people['owner'], days=-1),
            token_of(people['owner'], scope=TokenScope.PLUGINS_READ),
        ):
            assert told(web, path, headers) == no
        assert told(web, f'{path}?token={token}') == no, 'a token in an address ends in logs'
        assert web.ask(path, headers={'Cookie': f'girderToken={token}'}).status in (200, 303)


def test_what_does_not_exist_looks_like_what_may_not_be_read(web, people, image, folder, api):
    stranger = token_of(people['stranger'])
    no = told(web, f'/iiif/item/{image["_id"]}/info.json', stranger)
    plain = Item().createItem('plain', people['owner'], folder)
    for name in (
        f'item/{image["_id"]}', f'item/{ObjectId()}', f'folder/{folder["_id"]}', f'folder/{ObjectId()}',
        f'item/{folder["_id"]}', f'item/{plain["_id"]}', 'item/none', 'folder/none', f'session/{ObjectId()}',
        f'k/{"a" * 32}', 'k/short', f'k/{"a" * 5000}', f'k/{"a" * 32}/{image["_id"]}', 'other/x',
        f'item/{image["_id"]};frame=1', f'item/{image["_id"]};frame=99999', f'folder/{folder["_id"]};page=3',
    ):  # fmt: skip
        for end in ENDS:
            assert told(web, f'/iiif/{name}{end}', stranger) == no, (name, end)
        # Nor does a malformed request tell that the image is there.
        assert told(web, f'/iiif/{name}/nothing/nothing/nothing/nothing', stranger) == no
    assert told(web, f'/iiif/item/{plain["_id"]}/info.json', token_of(people['owner'])) == no


def test_a_link_to_an_item(web, image, link, api, people):
    key = link(itemId=str(image['_id']))
    base = f'{web.address}/iiif/k/{key}'
    information = web.ask(f'/iiif/k/{key}/info.json').json
    assert information['id'] == base
    manifest = web.ask(f'/iiif/k/{key}/manifest').json
    assert manifest['items'][0]['items'][0]['items'][0]['body']['service'][0]['id'] == base
    assert str(image['_id']) not in str(manifest)
    assert web.ask(f'/iiif/k/{key}/full/max/0/default.jpg').headers['cache-control'] == 'private, no-cache'
    # It leads to nothing else, whoever asks.
    for below in (image['_id'], image['folderId'], 'picture.png'):
        for headers in ({}, token_of(people['owner'])):
            assert web.ask(f'/iiif/k/{key}/{below}/info.json', headers=headers).status == 404
    counts.flush()
    read = ZarrRead().findOne({'targetId': image['_id'], 'linkId': {'$ne': None}})
    assert read['requests'] == 3
    assert read['bytes'] > 1000


def test_a_link_to_a_folder(web, put, link, people, folder):
    owner = people['owner']
    below = Folder().createFolder(folder, 'deep er', parentType='folder', creator=owner)
    private = Folder().createFolder(folder, 'other', parentType='folder', creator=owner)
    top, deep = put('top.png', png()), put('ä b?.png', png(), into=below)
    outside = Folder().createFolder(owner, 'outside', parentType='user', creator=owner, public=False)
    foreign, hidden = put('foreign.png', png(), into=outside), put('hidden.png', png(), into=private)
    key = link(folderId=str(folder['_id']))
    members = web.ask(f'/iiif/k/{key}/manifest').json['items']
    base = f'{web.address}/iiif/k/{key}'
    expected = [f'{base}/{one["_id"]}/manifest' for one in (below, private, top)]
    assert sorted(one['id'] for one in members) == sorted(expected)
    for one in members:
        assert web.ask(one['id'].removeprefix(web.address)).status == 200
    # By id or by the path of names in one segment: the same image, and ids in its document.
    for name in (deep['_id'], 'deep%20er%2F%C3%A4%20b%3F.png'):
        found = web.ask(f'/iiif/k/{key}/{name}/info.json')
        assert (found.status, found.json['id']) == (200, f'{base}/{deep["_id"]}')
        assert web.ask(f'/iiif/k/{key}/{name}/full/10,/0/default.jpg').status == 200
    assert web.ask(f'/iiif/k/{key}/top.png').headers['location'] == f'{base}/{top["_id"]}/info.json'
    assert web.ask(f'/iiif/k/{key}/{deep["_id"]};frame=0/info.json').status == 200
    # Nothing outside of it, though its maker may read that.
    for name in (
        foreign['_id'],
        outside['_id'],
        folder['parentId'],
        owner['_id'],
        'none.png',
        'deep%20er%2F',
    ):
        assert web.ask(f'/iiif/k/{key}/{name}/info.json').status == 404, name
        assert web.ask(f'/iiif/k/{key}/{name}/manifest').status == 404, name
    assert web.ask(f'/iiif/k/{key};page=1/{top["_id"]}/info.json').status == 404
    # Nor what its maker may no longer read on the way.
    assert web.ask(f'/iiif/k/{key}/{hidden["_id"]}/info.json').status == 200
    Folder().setUserAccess(private, owner, None, save=True)
    iiif_target.forget_rights()
    assert web.ask(f'/iiif/k/{key}/{hidden["_id"]}/info.json').status == 404
    listed = [one['id'] for one in web.ask(f'/iiif/k/{key}/manifest').json['items']]
    assert f'{base}/{private["_id"]}/manifest' not in listed


def test_rights_that_are_taken_end_within_seconds(web, api, people, image, folder, link, monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(grants, 'time', clock)
    monkeypatch.setattr(iiif_target, 'time', clock)
    reader, path = token_of(people['reader']), f'/iiif/item/{image["_id"]}/info.json'
    key = link(itemId=str(image['_id']))
    assert web.ask(path, headers=reader).status == 200
    assert web.ask(f'/iiif/k/{key}/info.json').status == 200
    Folder().setUserAccess(folder, people['reader'], -1, save=True)
    Folder().setUserAccess(folder, people['owner'], -1, save=True)
    clock.now += 5
    assert web.ask(path, headers=reader).status == 404
    assert web.ask(f'/iiif/k/{key}/info.json').status == 404
    Folder().setUserAccess(folder, people['owner'], AccessType.ADMIN, save=True)
    clock.now += 5
    _, links = api.call('GET', '/zarr_link')
    assert web.ask(f'/iiif/k/{key}/info.json').status == 200
    assert api.call('DELETE', f'/zarr_link/{links[0]["_id"]}')[0] == 200
    clock.now += 5
    assert web.ask(f'/iiif/k/{key}/info.json').status == 404


def test_a_link_to_a_session_is_none_for_iiif(web, session, link):
    key = link(sessionId=session['_id'])
    for end in ENDS:
        assert web.ask(f'/iiif/k/{key}{end}').status == 404
