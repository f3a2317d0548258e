"""What readers of images by address ask of the database: an index has all fields of each query."""

import json

import pytest
from girder.models.folder import Folder

from girder_zarr.server.iiif import folder_members
from girder_zarr.server.share import grants
from girder_zarr.server.share.reads import ZarrRead, counts
from support.girder_images import upload_tree, write_zarr
from support.queries import recorded_queries, uncovered
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')

PICTURE = png(random_pixels(20, 30))
#: Queries that find more than one field of them narrows, by collection and function.
ALLOWED = {
    ('item', 'share/folder_tree.py:listed'): 'shows the images of a folder, which has little else',
    ('folder', 'share/folder_tree.py:listed'): 'shows the folders in a folder, and no other thing has its id',
    ('item', 'iiif/folder_members.py:members'): 'the images of a folder, not more than a page',
    ('item', 'iiif/folder_members.py:<lambda>'): 'as seldom as keeps it to a twentieth of a processor',
    ('folder', 'iiif/folder_members.py:members'): 'shows the folders in a folder; asked by Girder',
    ('folder', 'storage/folder_store.py:list_folder'): 'shows the folders in a folder',
    ('file', 'storage/folder_store.py:_file'): 'an item that was uploaded with its folder has one file',
}


@pytest.fixture
def tree(people, folder, put, tmp_path):
    """A folder with an uploaded hierarchy, with a folder of images, and with an image."""
    source = tmp_path / 'image.zarr'
    write_zarr(source, '0.5', random_pixels(50, 70, 1), 'yx')
    upload_tree(source, folder, people['owner'])
    below = Folder().createFolder(folder, 'below', creator=people['owner'])
    return put('one.png', PICTURE, below), put('two.png', PICTURE), below


def test_every_query_has_an_index_with_all_of_its_fields(web, owner, api, folder, tree, link, db):
    one, two, below = tree
    with recorded_queries() as made:
        key = link(folderId=str(folder['_id']))
        for path in (
            '',
            'below/',
            'image.zarr/',
            'image.zarr/zarr.json',
            'image.zarr/0/c/0/0',
            'below/one.png/',
        ):
            web.ask(f'/zarr/k/{key}/{path}')
        web.ask(f'/zarr/item/{two["_id"]}/zarr.json', headers=owner)
        for name in ('', '/below', f'/{below["_id"]}', '/below/one.png', f'/{one["_id"]}', '/image.zarr'):
            web.ask(f'/iiif/k/{key}{name}/manifest')
        web.ask(f'/iiif/folder/{folder["_id"]}/manifest', headers=owner)
        counts.flush()
        api.call('GET', '/zarr_link', {'folderId': str(folder['_id'])})
    assert {one.collection for one in made} >= {'zarr_link', 'zarr_read', 'item', 'folder', 'file'}
    found = uncovered(made, db.get_default_database())
    bad = {one for one in found if (one[0], one[3]) not in ALLOWED}
    bad = {one for one in bad if one[0] not in {'setting', 'assetstore'}}  # there are few
    assert not bad, '\n'.join(map(str, sorted(bad)))


def test_counts_of_reads_know_what_was_read(web, api, folder, tree, link):
    key = link(folderId=str(folder['_id']))
    for _ in range(2):
        assert web.ask(f'/zarr/k/{key}/below/one.png/zarr.json').status == 200
        counts.flush()
    (found,) = ZarrRead().find({'targetId': folder['_id']})
    assert (found['kind'], found['requests']) == ('folder', 2)


def test_only_links_that_can_be_used_count(api, folder, link, monkeypatch):
    monkeypatch.setattr('girder_zarr.server.share.links.MAX_LINKS', 2)
    link(folderId=str(folder['_id']), expires=1)
    link(folderId=str(folder['_id']))
    body = json.dumps({'folderId': str(folder['_id'])})
    assert api.call('POST', '/zarr_link', body=body, content_type='application/json')[0] == 429
    with monkeypatch.context() as patched:
        patched.setattr('girder_zarr.server.share.links._has_expired', lambda one: one['expires'] is not None)
        link(folderId=str(folder['_id']))


def test_a_page_of_a_large_folder_reads_that_page(web, owner, put, folder, monkeypatch):
    monkeypatch.setattr(folder_members, 'PAGE', 2)
    monkeypatch.setattr(folder_members._ids, '_least', 60.0)
    folder_members._counts.forget()
    folder_members._ids.forget()
    for number in range(5):
        put(f'{number}.png', PICTURE)
    path = f'/iiif/folder/{folder["_id"]}'
    assert len(web.ask(f'{path};page=1/manifest', headers=owner).json['items']) == 2
    grants.forget_grants()
    with recorded_queries() as made:
        page = web.ask(f'{path};page=2/manifest', headers=owner).json
    assert [one['label']['none'][0] for one in page['items']] == ['2.png', '3.png']
    pages = [one for one in made if one.caller.startswith('iiif/folder_members')]
    assert [sorted(one.filter) for one in pages] == [['_id']]
