"""Manifests and collections, read by models that are made of the specification's schema."""

import io

import PIL.Image
import pytest
from girder.models.folder import Folder
from girder.models.item import Item

import girder_zarr.image as gz
from girder_zarr.server.iiif import folder_members
from support.girder_images import upload_tree, write_zarr
from support.iiif_validation import read_presentation
from support.server import random_pixels

pytestmark = pytest.mark.plugin('zarr')


def png():
    stream = io.BytesIO()
    PIL.Image.fromarray(random_pixels(30, 40)).save(stream, 'PNG')
    return stream.getvalue()


def below(address, web):
    """Return the path of an address of this server."""
    assert address.startswith(web.address)
    return address.removeprefix(web.address)


def addresses_in(document):
    """Yield the addresses of pictures and services in a document."""
    if isinstance(document, dict):
        if document.get('type') == 'Image':
            yield document['id']
        if document.get('type') == 'ImageService3':
            yield f'{document["id"]}/info.json'
        document = list(document.values())
    if isinstance(document, list):
        for one in document:
            yield from addresses_in(one)


def test_the_manifest_of_a_stack(web, owner, put, tmp_path):
    source = gz.new()
    for number in range(6):
        source.addTile(random_pixels(50, 70, 1), 0, 0, c=number % 2, z=number // 2)
    source.channelNames = ['DAPI', 'GFP']
    source.mm_x = source.mm_y = 0.00025
    source.write(tmp_path / 'stack.zarr.zip')
    terms = 'https://creativecommons.org/publicdomain/zero/1.0/'
    item = put('stack.zarr.zip', (tmp_path / 'stack.zarr.zip').read_bytes(), meta={'rights': terms})
    Item().updateItem({**item, 'description': '<script>alert(1)</script>'})
    for end in ('manifest', 'manifest.json'):
        found = web.ask(f'/iiif/item/{item["_id"]}/{end}', headers=owner)
        read_presentation(found.json)
    assert found.headers['content-type'].endswith('profile="http://iiif.io/api/presentation/3/context.json"')
    document = found.json
    assert document['rights'] == 'http://creativecommons.org/publicdomain/zero/1.0/'
    labels = sorted(one['label']['none'][0] for one in document['items'])
    assert labels == sorted(f'{channel}, z {z}' for channel in ('DAPI', 'GFP') for z in range(3))
    assert document['items'][0]['service'][0]['physicalScale'] == pytest.approx(0.00025)
    assert '<script' not in str(document)
    # All that it names is there, in the size that it says.
    shown = set(addresses_in(document))
    assert len(shown) == 6 + 6
    for address in shown:
        assert web.ask(below(address, web), headers=owner).status == 200
    for canvas in document['items']:
        body = canvas['items'][0]['items'][0]['body']
        picture = PIL.Image.open(io.BytesIO(web.ask(below(body['id'], web), headers=owner).body))
        assert picture.size == (body['width'], body['height']) == (70, 50)


def test_the_collection_of_a_folder(web, owner, put, folder, people):
    inner = Folder().createFolder(folder, 'inner', parentType='folder', creator=people['owner'])
    secret = Folder().createFolder(folder, 'secret', parentType='folder', creator=people['admin'])
    secret = Folder().setAccessList(secret, {'users': [], 'groups': []}, save=True)
    for name in ('b.png', 'A.png'):
        put(name, png())
    Item().createItem('no image', people['owner'], folder)
    document = web.ask(f'/iiif/folder/{folder["_id"]}/manifest', headers=owner).json
    read_presentation(document)
    assert [(one['type'], one['label']['none'][0]) for one in document['items']] == [
        ('Collection', 'inner'), ('Manifest', 'A.png'), ('Manifest', 'b.png'),
    ]  # fmt: skip
    for one in document['items']:
        read_presentation(web.ask(below(one['id'], web), headers=owner).json)
    for address in addresses_in(document):
        assert web.ask(below(address, web), headers=owner).status == 200
    assert document['items'][0]['id'] == f'{web.address}/iiif/folder/{inner["_id"]}/manifest'
    empty = web.ask(f'/iiif/folder/{inner["_id"]}/manifest', headers=owner).json
    assert empty['items'] == []


def test_an_image_that_was_uploaded_as_a_folder(web, owner, folder, people, link, tmp_path):
    write_zarr(tmp_path / 'image.zarr', '0.5', random_pixels(50, 70, 1), 'yx')
    made = upload_tree(tmp_path / 'image.zarr', folder, people['owner'])
    (one,) = web.ask(f'/iiif/folder/{folder["_id"]}/manifest', headers=owner).json['items']
    assert (one['type'], one['label']) == ('Manifest', {'none': ['image.zarr']})
    document = web.ask(below(one['id'], web), headers=owner).json
    read_presentation(document)
    assert (document['id'], document['label']) == (one['id'], one['label'])
    for address in addresses_in(document):
        assert web.ask(below(address, web), headers=owner).status == 200
    # The folder's own address is that of the image, as by `/zarr`.
    for base in (f'/iiif/folder/{made["_id"]}', f'/iiif/k/{link(folderId=str(made["_id"]))}'):
        assert web.ask(f'{base}/manifest', headers=owner).json['type'] == 'Manifest'
        information = web.ask(f'{base}/info.json', headers=owner).json
        assert (information['width'], information['height']) == (70, 50)
        assert information['id'] == f'{web.address}{base}'


def test_large_folders_come_in_pages(web, owner, put, folder, monkeypatch, link):
    monkeypatch.setattr(folder_members, 'PAGE', 3)
    folder_members._counts.forget()
    folder_members._ids.forget()
    names = [f'{number}.png' for number in range(7)]
    for name in names:
        put(name, png())
    key = link(folderId=str(folder['_id']))
    for base in (f'/iiif/folder/{folder["_id"]}', f'/iiif/k/{key}', f'/iiif/k/{key}/{folder["_id"]}'):
        if base.endswith(f'{key}/{folder["_id"]}'):
            assert web.ask(f'{base}/manifest').status == 404  # the link's own folder is not below itself
            continue
        document = web.ask(f'{base}/manifest', headers=owner).json
        pages = document['items']
        assert [one['label']['none'][0] for one in pages] == ['1 to 3', '4 to 6', '7 to 7']
        found = []
        for one in pages:
            page = web.ask(below(one['id'], web), headers=owner).json
            read_presentation(page)
            assert page['id'] == one['id']
            found += [item['label']['none'][0] for item in page['items']]
        assert found == names
        for number in (0, 4, 1001, 999_999_999):
            assert web.ask(f'{base};page={number}/manifest', headers=owner).status == 404
