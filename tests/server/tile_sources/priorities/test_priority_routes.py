"""The routes of priorities: the sources, the setting, and why a source opens an item."""

import json

from girder.models.file import File
from girder.models.folder import Folder
from girder.models.item import Item
from girder.models.setting import Setting
from girder_large_image.models.image_item import ImageItem
from pytest_girder.assertions import assertStatus, assertStatusOk

from support.fake_sources import (
    KEY,
    chosen,
    make_item,
    with_plugin,
)


def get(server, path, user=None, **params):
    return server.request(path=path, method='GET', user=user, params=params)


@with_plugin
def test_listing_the_sources(server, sources, admin, user):
    alpha = {'odd': 'LOW', 'ab': 'off', 'image/odd': 'HIGH'}
    Setting().set(KEY, {'alpha': alpha, 'elsewhere': {'x': 1}, 'gamma': 'off'})
    response = get(server, '/zarr/source', user)
    assertStatusOk(response)
    assert {'name': 'PREFERRED', 'value': 1} in response.json['priorities']
    assert response.json['fixedByEnvironment'] is False
    listed = {source['name']: source for source in response.json['sources']}
    assert list(listed) == ['alpha', 'beta', 'elsewhere', 'gamma']
    rows = {row['extension']: row for row in listed['alpha']['extensions']}
    assert next(iter(rows)) == 'default'
    assert rows['ab'] == {
        'extension': 'ab',
        'default': {'value': 3, 'name': 'HIGH'},
        'effective': None,
        'override': 'off',
    }
    assert rows['odd'] == {
        'extension': 'odd',
        'default': None,
        'effective': {'value': 5, 'name': 'LOW'},
        'override': 'LOW',
    }
    assert 'image/odd' not in rows
    assert listed['alpha']['mimeTypes'] == [
        {
            'mimeType': 'image/odd',
            'default': None,
            'effective': {'value': 3, 'name': 'HIGH'},
            'override': 'HIGH',
        }
    ]
    assert [row['effective'] for row in listed['gamma']['mimeTypes']] == [None]
    assert not listed['elsewhere']['installed']
    assert listed['gamma']['off']
    assertStatus(get(server, '/zarr/source'), 401)
    # large_image's own listing shows the same.
    shown = get(server, '/large_image/sources').json
    assert 'ab' not in shown['alpha']['extensions']
    assert shown['alpha']['extensions']['odd'] == 5


@with_plugin
def test_the_setting_over_rest(server, sources, admin, user, assetstore, folder):
    item = make_item(admin, folder, 'picture.ab')

    def put(value, who):
        return server.request(
            path='/system/setting', method='PUT', user=who, params={'key': KEY, 'value': json.dumps(value)}
        )

    assertStatusOk(put({'beta': {'ab': 1}}, admin))
    assert chosen(*item) == 'beta'
    refused = put({'beta': {'ab': 'BEST'}}, admin)
    assertStatus(refused, 400)
    assert 'found "BEST"' in refused.json['message']
    assertStatus(put({}, user), 403)
    assert get(server, '/system/setting', admin, key=KEY).json == {'beta': {'ab': 'PREFERRED'}}
    assertStatusOk(put(None, admin))
    assert chosen(*item) == 'alpha'


@with_plugin
def test_the_explanation_of_an_item(server, sources, admin, user, assetstore, folder):
    item, file = make_item(admin, folder, 'picture.g.ab', mime_type='image/gamma')
    path = f'/zarr/item/{item["_id"]}/source'
    response = get(server, path)
    assertStatusOk(response)
    answer = response.json
    assert (answer['fileId'], answer['fileName']) == (str(file['_id']), 'picture.g.ab')
    assert (answer['current'], answer['wouldChoose']) == (None, 'alpha')
    gamma, alpha, beta = answer['sources']
    assert gamma['source'] == 'gamma'
    assert (gamma['canRead'], gamma['priorityName'], gamma['matched']) == (False, 'PREFERRED', 'extension .g')
    # The source's own sentence, without the place of the file on the server, which is for administrators.
    assert gamma['reason'] == "gamma expected a file that begins with b'gamma', not picture.g.ab."
    assert File().getLocalFilePath(file) in get(server, path, admin).json['sources'][0]['reason']
    assert (alpha['source'], alpha['canRead'], alpha['wouldChoose']) == ('alpha', True, True)
    assert (beta['source'], beta['canRead'], beta['wouldChoose']) == ('beta', True, False)

    # What is in force now, beside what was frozen when the image was registered.
    ImageItem().createImageItem(item, file, createJob=False)
    Setting().set(KEY, {'alpha': {'ab': 'off', 'default': 'off'}})
    answer = get(server, path, user).json
    assert (answer['current'], answer['wouldChoose']) == ('alpha', 'beta')
    last = answer['sources'][-1]
    assert (last['source'], last['considered'], last['canRead']) == ('alpha', False, None)
    assert last['reason'] == 'The administrator has turned this source off for files like this one.'
    unprobed = get(server, path, user, probe='false').json
    assert {source['canRead'] for source in unprobed['sources']} == {None}


@with_plugin
def test_the_explanation_is_in_plain_words(server, sources, admin, assetstore, folder):
    item, file = make_item(admin, folder, 'picture.g.ab', mime_type='image/gamma')
    path = f'/zarr/item/{item["_id"]}/source'
    assert get(server, path).json['summary'] == [
        'What counts: its extensions .g and .ab and its MIME type image/gamma.',
        'gamma was asked before and cannot read it.',
        'alpha is the first that can, and is asked because it knows the extension .ab (HIGH, 3).',
    ]
    ImageItem().createImageItem(item, file, createJob=False)
    Setting().set(KEY, {'beta': {'ab': 0}, 'gamma': 'off'})
    assert get(server, path).json['summary'][1:] == [
        'beta opens it: it is asked first, because it knows the extension .ab (NAMED, 0), and can read it.',
        'gamma is not asked, because an administrator said so.',
        'The item is registered with alpha, and stays with it until its source is chosen again.',
    ]


@with_plugin
def test_a_name_alone_is_explained(server, sources, admin, user):
    path = '/zarr/source/explanation'
    answer = get(server, path, user, name='folder/Picture.AB', mimeType='image/gamma').json
    assert (answer['fileName'], answer['extensions'], answer['mimeType']) == (
        'Picture.AB', ['ab'], 'image/gamma',
    )  # fmt: skip
    assert [source['source'] for source in answer['sources']] == ['gamma', 'alpha', 'beta']
    assert {source['canRead'] for source in answer['sources']} == {None}
    assert answer['summary'][1:] == [
        'gamma is asked first, because it knows the MIME type image/gamma (PREFERRED, 1).',
        'Where it cannot read the file, the next are asked: alpha and beta.',
        'The first that can read the file opens it.',
    ]
    plain = get(server, path, user, name='plain').json
    assert plain['summary'][:2] == [
        'It has neither an extension nor a MIME type that could count.',
        'alpha is asked first, among those that try any file (FALLBACK, 11).',
    ]
    for params in ({'name': ' '}, {'name': 'x' * 1001}, {'name': 'x', 'mimeType': 'y' * 1001}, {}):
        assertStatus(get(server, path, user, **params), 400)
    assertStatus(get(server, path, name='plain'), 401)


@with_plugin
def test_who_may_ask_about_an_item(server, sources, admin, user, assetstore):
    private = Folder().createFolder(admin, 'mine', parentType='user', public=False)
    item, file = make_item(admin, private, 'picture.ab')
    path = f'/zarr/item/{item["_id"]}/source'
    assertStatus(get(server, path), 401)
    assertStatus(get(server, path, user), 403)
    assertStatusOk(get(server, path, admin))
    assertStatusOk(get(server, path, admin, fileId=str(file['_id'])))

    other, _ = make_item(admin, private, 'other.ab')
    assertStatus(get(server, f'/zarr/item/{other["_id"]}/source', admin, fileId=str(file['_id'])), 404)
    assertStatus(get(server, f'/zarr/item/{file["_id"]}/source', admin), 404)
    unknown = get(server, '/zarr/item/nonsense/source', admin)
    assertStatus(unknown, 404)
    assert 'found "nonsense"' in unknown.json['message']
    empty = Item().createItem('empty', admin, private)
    response = get(server, f'/zarr/item/{empty["_id"]}/source', admin)
    assertStatus(response, 404)
    assert response.json['message'] == 'Expected an item with a file, found one without.'


@with_plugin
def test_a_source_that_breaks_is_named(server, sources, admin, assetstore, folder):
    def broken(*args, **kwargs):
        raise RuntimeError('the library fell over')

    sources['alpha'].canRead = broken
    item, _ = make_item(admin, folder, 'picture.ab')
    answer = get(server, f'/zarr/item/{item["_id"]}/source', admin).json
    assert answer['sources'][0]['reason'] == 'the library fell over'
    assert answer['wouldChoose'] is None
