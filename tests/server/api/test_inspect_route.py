"""``POST stitch_session/inspect`` and plans of files with pages: what files would be, by their headers."""

import base64
import io
import json

import pytest
import tifffile
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.item import Item
from girder.models.upload import Upload

from girder_zarr.server.ingest import file_headers
from girder_zarr.stitch.positions.recognise import recognise
from support import page_files
from support.girder_images import upload
from support.microscopes import PROGRAMS
from support.server import png, random_pixels
from support.tile_folders import TILE

pytestmark = pytest.mark.plugin('zarr')


def inspect(api, folder, files, user=..., **body):
    document = json.dumps({'folderId': str(folder['_id']), 'files': files, **body})
    path = '/stitch_session/inspect'
    return api.call('POST', path, body=document, content_type='application/json', user=user)


def item_of(folder, user, name, data):
    item, file = upload(folder, user, name, data)
    return str(item['_id']), str(file['_id'])


def test_items_say_what_they_are(api, folder, people, stored):
    owner = people['owner']
    picture, file = item_of(folder, owner, 'a.png', png(random_pixels(8, 12)))
    stack, _ = item_of(folder, owner, 'b.ome.tif', page_files.ome('zc').data)
    text, _ = item_of(folder, owner, 'c.txt', b'no picture at all, whatever follows')
    before = stored()
    status, answer = inspect(api, folder, [{'itemId': one} for one in (stack, picture, text)])
    assert status == 200, answer
    first, second, third = answer['files']
    assert second == {
        'itemId': picture, 'fileId': file, 'name': 'a.png', 'size': len(png(random_pixels(8, 12))),
        'format': 'png', 'width': 12, 'height': 8, 'bands': 3, 'dtype': 'uint8',
    }  # fmt: skip
    assert (first['width'], first['dtype'], len(first['pages'])) == (24, 'uint16', 6)
    assert [page['index'] for page in first['pages']] == page_files.ome('zc').index
    assert (third['itemId'], third['code']) == (text, 415)
    assert stored() == before


@pytest.mark.parametrize('name', sorted(page_files.KNOWN))
def test_the_pages_of_a_tiff_that_is_not_here(api, folder, name):
    made = page_files.KNOWN[name]()
    _, answer = inspect(api, folder, [{'tiff': base64.b64encode(made.data).decode()}])
    (found,) = answer['files']
    assert {page['page']: page['index'] for page in found['pages']} == dict(enumerate(made.index))


def test_pages_of_which_a_file_says_nothing(api, folder):
    tiff = base64.b64encode(page_files.plain(3).data).decode()
    _, answer = inspect(api, folder, [{'tiff': tiff}, {'tiff': 'AAAA'}, {'tiff': '#'}])
    assert [one['code'] for one in answer['files']] == [415, 415, 400]
    assert 'does not say along which axis' in answer['files'][0]['message']
    _, answer = inspect(api, folder, [{'tiff': tiff}], pages='t')
    assert [page['index'] for page in answer['files'][0]['pages']] == [{'t': 0}, {'t': 1}, {'t': 2}]


def test_who_may_not_read_an_item_learns_nothing_of_it(api, people, folder):
    theirs = Folder().createFolder(
        people['stranger'], 'theirs', parentType='user', public=False, creator=people['stranger']
    )
    hidden, _ = item_of(theirs, people['stranger'], 'a.png', png(random_pixels(8, 8)))
    _, answer = inspect(api, folder, [{'itemId': hidden}, {'itemId': '0' * 24}])
    assert [(one['code'], sorted(one)) for one in answer['files']] == [
        (404, ['code', 'itemId', 'message'])
    ] * 2
    assert inspect(api, folder, [{'itemId': hidden}], user=people['reader'])[0] == 403
    assert inspect(api, folder, [{'itemId': hidden}], user=None)[0] == 401


def test_an_item_of_several_files_or_none(api, folder, people):
    owner = people['owner']
    item, _ = upload(folder, owner, 'a.png', png(random_pixels(8, 8)))
    data = png(random_pixels(8, 8, seed=1))
    Upload().uploadFromFile(io.BytesIO(data), len(data), 'b.png', 'item', item, owner)
    empty = Item().createItem('empty', owner, folder)
    _, answer = inspect(api, folder, [{'itemId': str(item['_id'])}, {'itemId': str(empty['_id'])}])
    assert [one['code'] for one in answer['files']] == [400, 404]
    assert 'an item of one file' in answer['files'][0]['message']
    assert File().find({'itemId': item['_id']}).count() == 2


@pytest.mark.parametrize(
    ('body', 'status', 'words'),
    [
        ({'files': []}, 400, 'a list of files'),
        ({'files': [{'itemId': 'x', 'tiff': 'x'}]}, 400, 'itemId or tiff'),
        ({'files': [{'itemId': 3}]}, 400, 'expected a text'),
        ({'files': [{'itemId': 'x', 'name': 'x'}]}, 400, 'itemId or tiff'),
        ({'files': [{'tiff': 'x', 'name': 3}]}, 400, 'files[0].name: expected a text'),
        ({'files': [{'tiff': 'x', 'name': 'n' * 1025}]}, 400, 'files[0].name: expected at most 1024'),
        ({'files': [{'itemId': 'nothing'}]}, 404, 'no item'),
        ({'files': [{'tiff': 'AAAA'}], 'pages': 'q'}, 400, 'pages: expected one of'),
        ({'files': [{'tiff': 'AAAA'}], 'more': 1}, 400, 'more: expected'),
        ({'files': [{'tiff': 'AAAA'}] * (file_headers.MAX_FILES + 1)}, 413, 'at most 200'),
        ({'files': [{'tiff': 'AAAA'}], 'folderId': '0' * 24}, 404, 'no folder'),
        ({'files': [{'tiff': 'AAAA'}], 'folderId': 3}, 400, 'the id of a folder'),
    ],
)
def test_a_bad_request_is_refused(api, folder, body, status, words):
    found, answer = inspect(api, folder, **body)
    assert found == status, answer
    assert words in answer['message']


@pytest.mark.parametrize('program', ['ome_tiffs', 'metaxpress', 'mmstack', 'mmstack_together'])
def test_files_that_say_where_they_lie(api, folder, people, tmp_path, program):
    made = PROGRAMS[program](tmp_path)
    paths = sorted(path for path in tmp_path.iterdir() if path.suffix.lower() == '.tif')
    tiffs = [
        {'tiff': base64.b64encode(path.read_bytes()).decode(), 'name': f'scan/{path.name}'} for path in paths
    ]
    _, answer = inspect(api, folder, tiffs)
    items = [item_of(folder, people['owner'], path.name, path.read_bytes())[0] for path in paths]
    _, of_items = inspect(api, folder, [{'itemId': one} for one in items])
    assert [one['places'] for one in of_items['files']] == [one['places'] for one in answer['files']]
    assert {(one['width'], one['height']) for one in of_items['files']} == {(TILE[1], TILE[0])}
    # these have one image a page by their OME-XML: they are patches only by their places
    assert {one.get('code') for one in of_items['files']} == {415 if program.startswith('mmstack') else None}
    files = [
        {'name': path.name, 'width': TILE[1], 'height': TILE[0], 'places': one['places']}
        for path, one in zip(paths, answer['files'], strict=True)
    ]
    status, found = plan(api, folder, files=files)
    assert status == 200, found
    line = recognise(made.source).positions
    pixels = {
        (
            one.key,
            one.page,
            round(one.x / made.pixel) - made.place[1],
            round(one.y / made.pixel) - made.place[0],
        )
        for one in line.entries
    }
    left = {axis: found['origin'][axis] for axis in 'xy'}
    assert {
        (one['key'], one.get('page'), one['x'] - left['x'], one['y'] - left['y'])
        for one in found['placements']
    } == pixels
    assert (found['program'], found['placedBy']) == (line.program, 'position')
    _, unnamed = inspect(api, folder, [{'tiff': tiffs[0]['tiff']}])
    assert 'places' not in unnamed['files'][0]


def test_planes_of_all_files_are_bounded(api, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(file_headers, 'MAX_PAGES', 3)
    PROGRAMS['ome_tiffs'](tmp_path)
    data = base64.b64encode((tmp_path / 'tile_0.ome.tif').read_bytes()).decode()
    _, answer = inspect(api, folder, [{'tiff': data, 'name': 'tile_0.ome.tif'}] * 2)
    first, second = answer['files']
    assert len(first['places']['planes']) == 2
    assert (second['code'], 'places' in second) == (413, False)


def test_tags_of_too_many_bytes_are_not_looked_at(api, folder):
    stream = io.BytesIO()
    tifffile.imwrite(stream, random_pixels(8, 8), metadata=None, description='<MetaData>' + ' ' * 100)
    data = bytearray(stream.getvalue())
    at = data.index((270).to_bytes(2, 'little') + (2).to_bytes(2, 'little'))
    data[at + 4 : at + 8] = (2**31 - 1).to_bytes(4, 'little')
    _, answer = inspect(api, folder, [{'tiff': base64.b64encode(data).decode(), 'name': 'a.tif'}])
    assert answer['files'][0]['code'] == 415


def plan(api, folder, **body):
    document = json.dumps({'folderId': str(folder['_id']), **body})
    return api.call('POST', '/stitch_session/plan', body=document, content_type='application/json')


def test_each_page_of_a_file_is_placed(api, folder):
    pages = [{'page': at, 'index': {'c': at}} for at in range(2)]
    files = [
        {'name': 'a/x0_y0.tif', 'width': 10, 'height': 8, 'pages': pages},
        {'name': 'a/x9_y0.tif', 'width': 10, 'height': 8, 'pages': pages},
        {'name': 'a/x18_y0.tif', 'width': 10, 'height': 8},
    ]
    status, found = plan(api, folder, files=files[:2])
    assert status == 200, found
    places = [(one['key'], one.get('page'), one['x'], one['index']) for one in found['placements']]
    assert places[:2] == [('a_x0_y0.tif@0', 0, 0, {'c': 0}), ('a_x0_y0.tif@1', 1, 0, {'c': 1})]
    assert [place[:3] for place in places[2:]] == [('a_x9_y0.tif@0', 0, 9), ('a_x9_y0.tif@1', 1, 9)]
    status, found = plan(api, folder, files=files)
    assert (status, 'expected the axes c' in found['message']) == (400, True)
    _, found = plan(api, folder, files=[{**files[0], 'pages': pages[:1]}, files[2]])
    assert 'page' not in found['placements'][0]
    text = 'file,x,y,c\na/x0_y0.tif,0,0,3\n'
    status, found = plan(api, folder, files=files, positions={'name': 'p.csv', 'text': text})
    assert (status, 'because c is given for the file' in found['message']) == (400, True)


@pytest.mark.parametrize(
    ('pages', 'status', 'words'),
    [
        ([], 400, 'a list of objects'),
        ([{'index': {'c': 0}}], 400, 'files[0].pages[0].page: expected an integer'),
        ([{'page': 0, 'index': {'x': 0}}], 400, 'index with c, z and t'),
        ([{'page': 0, 'index': {'c': -1}}], 400, 'index.c: expected an integer'),
        ([{'page': at} for at in range(20_001)], 413, 'at most 20000'),
    ],
)
def test_pages_are_checked(api, folder, pages, status, words):
    files = [{'name': 'x0_y0.tif', 'width': 10, 'height': 8, 'pages': pages}]
    found, answer = plan(api, folder, files=files)
    assert found == status, answer
    assert words in answer['message']


def test_an_ome_tiff_that_only_names_its_companion_says_so(api, folder, people, tmp_path):
    made = PROGRAMS['ome_companion'](tmp_path)
    paths = sorted(made.source.glob('*.tif'))
    one = {'tiff': base64.b64encode(paths[0].read_bytes()).decode(), 'name': paths[0].name}
    item, _ = item_of(folder, people['owner'], paths[1].name, paths[1].read_bytes())
    in_girder = {'itemId': item}
    _, answer = inspect(api, folder, [one, in_girder])
    for found in answer['files']:
        assert found['describedBy'] == 'scan.companion.ome'
        assert found['message'].startswith('What its pages are stands in scan.companion.ome, ')
        assert 'pages' not in found
    # Who says what the pages are needs no companion for that.
    _, answer = inspect(api, folder, [one], pages='c')
    (found,) = answer['files']
    assert (len(found['pages']), found['describedBy']) == (2, 'scan.companion.ome')
    assert 'message' not in found
    # One that describes itself names no other, and describes no other.
    (tmp_path / 'own').mkdir()
    own = PROGRAMS['ome_tiffs'](tmp_path / 'own')
    path = min(own.source.glob('*.tif'))
    tiff = base64.b64encode(path.read_bytes()).decode()
    _, answer = inspect(api, folder, [{'tiff': tiff, 'name': path.name}])
    assert {'describedBy', 'describes'}.isdisjoint(answer['files'][0])


def test_an_ome_tiff_that_describes_others_is_their_positions(api, folder, people, tmp_path):
    made = PROGRAMS['ome_in_one'](tmp_path)
    paths = sorted(made.source.glob('*.tif'))
    asked = [{'tiff': base64.b64encode(path.read_bytes()).decode(), 'name': path.name} for path in paths]
    item, _ = item_of(folder, people['owner'], paths[2].name, paths[2].read_bytes())
    _, answer = inspect(api, folder, [*asked, {'itemId': item}])
    assert [found.get('describes') for found in answer['files']] == [None, None, 5, None, None, None, 5]
    assert answer['files'][3]['describedBy'] == paths[2].name
    with tifffile.TiffFile(paths[2]) as tiff:
        positions = {'name': f'scan/{paths[2].name}', 'text': tiff.ome_metadata}
    files = [{'name': f'scan/{path.name}', 'width': TILE[1], 'height': TILE[0]} for path in paths[:5]]
    status, found = plan(api, folder, files=files, positions=positions)
    assert status == 200, found
    assert (len(found['placements']), found['program']) == (10, 'OME')
    assert found['notes'] == ['1 file is described and is not here: tile_5.ome.tif.']
    # Of a document that is none of the files, all that it names has to be there.
    status, found = plan(api, folder, files=files, positions={**positions, 'name': 'scan.companion.ome'})
    assert status == 400
    assert "expected the name of a file, found 'tile_5.ome.tif'" in found['message']
