"""Images of any format by IIIF's Image API: pixels, documents, validators, caches, other sites."""

import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from girder.models.folder import Folder

import girder_zarr.image as gz
from girder_zarr.server.iiif import iiif_answers
from support.server import random_pixels

pytestmark = pytest.mark.plugin('zarr')

WHOLE = 'full/max/0/default.png'


def array(reply):
    assert reply.status == 200, reply.body
    return np.asarray(PIL.Image.open(io.BytesIO(reply.body)))


def png(pixels):
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, 'PNG')
    return stream.getvalue()


def pyramid(pixels):
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        for level in range(3):
            part = np.ascontiguousarray(pixels[:: 2**level, :: 2**level])
            file.write(part, tile=(256, 256), photometric='rgb', subfiletype=int(level > 0))
    return stream.getvalue()


def zarr_zip(tmp_path, pixels):
    source = gz.new()
    source.addTile(pixels, 0, 0)
    source.write(tmp_path / 'image.zarr.zip')
    return (tmp_path / 'image.zarr.zip').read_bytes()


@pytest.mark.parametrize('kind', ['png', 'tiff', 'zarr'])
def test_pixels_of_every_format(web, owner, put, tmp_path, kind):
    pixels = random_pixels(700, 900)
    body = {'png': png, 'tiff': pyramid, 'zarr': lambda one: zarr_zip(tmp_path, one)}[kind](pixels)
    item = put({'png': 'a.png', 'tiff': 'a.tiff', 'zarr': 'a.zarr.zip'}[kind], body)
    base = f'/iiif/item/{item["_id"]}'
    information = web.ask(f'{base}/info.json', headers=owner).json
    assert (information['width'], information['height']) == (900, 700)
    assert (information['type'], information['profile']) == ('ImageService3', 'level2')
    assert information['id'] == f'{web.address}{base}'
    assert 'color' in information['extraQualities']
    assert np.array_equal(array(web.ask(f'{base}/{WHOLE}', headers=owner)), pixels)
    part = array(web.ask(f'{base}/300,200,400,300/max/90/default.png', headers=owner))
    assert np.array_equal(part, np.rot90(pixels[200:500, 300:700], -1))
    # Every tile and size that is announced is there.
    for size in information['sizes']:
        path = f'{base}/full/{size["width"]},{size["height"]}/0/default.jpg'
        assert array(web.ask(path, headers=owner)).shape == (size['height'], size['width'], 3)
    (tile,) = information['tiles']
    side, last = tile['width'], tile['scaleFactors'][-1]
    for factor in tile['scaleFactors']:
        width, height = (min(side * factor, information[one]) for one in ('width', 'height'))
        out = -(-width // factor), -(-height // factor)
        found = web.ask(f'{base}/0,0,{width},{height}/{out[0]},{out[1]}/0/default.jpg', headers=owner)
        assert array(found).shape[:2] == out[::-1], factor
    assert last == 2 ** (len(tile['scaleFactors']) - 1)


def test_frames_have_identifiers_of_their_own(web, owner, put, tmp_path):
    source = gz.new()
    planes = random_pixels(4 * 60, 80, 1).reshape(4, 60, 80, 1)
    for number, plane in enumerate(planes):
        source.addTile(plane, 0, 0, z=number)
    source.write(tmp_path / 'stack.zarr.zip')
    item = put('stack.zarr.zip', (tmp_path / 'stack.zarr.zip').read_bytes())
    base = f'/iiif/item/{item["_id"]}'
    for number, plane in enumerate(planes):
        for name in {f'{base};frame={number}', f'{base}%3Bframe%3D{number}', base if not number else ''} - {
            ''
        }:
            assert np.array_equal(array(web.ask(f'{name}/{WHOLE}', headers=owner)), plane[..., 0])
    information = web.ask(f'{base};frame=2/info.json', headers=owner).json
    assert information['id'] == f'{web.address}{base};frame=2'
    assert 'color' not in information['extraQualities']
    for number in (4, 999_999_999):
        for end in ('info.json', WHOLE):
            found = web.ask(f'{base};frame={number}/{end}', headers=owner)
            assert (found.status, b'4 frames' in found.body) == (404, True)
    for name in (f'{base};frame=-1', f'{base};frame=x', f'{base};frame={"9" * 10}', f'{base};z=1'):
        assert web.ask(f'{name}/info.json', headers=owner).status == 404


@pytest.fixture
def image(put):
    return put('picture.png', png(random_pixels(300, 400)))


def test_the_base_leads_to_the_information(web, owner, image):
    base = f'/iiif/item/{image["_id"]}'
    for path in (base, f'{base}/'):
        found = web.ask(path, headers=owner)
        assert (found.status, found.headers['location']) == (303, f'{web.address}{base}/info.json')
        assert found.body == b''
    folder = f'/iiif/folder/{image["folderId"]}'
    found = web.ask(folder, headers=owner)
    assert (found.status, found.headers['location']) == (303, f'{web.address}{folder}/manifest')


def test_the_address_is_that_of_the_client(web, owner, image):
    """Behind a proxy it is what the proxy says, as for Girder's links; nothing odd comes into documents."""
    path = f'/iiif/item/{image["_id"]}/info.json'

    def site(**headers):
        asked = {name.replace('_', '-'): value for name, value in headers.items()}
        return web.ask(path, headers={**owner, **asked}).json['id'].partition('/iiif/')[0]

    assert site(X_Forwarded_Host='lab.example', X_Forwarded_Proto='https') == 'https://lab.example'
    assert site(X_Forwarded_Proto='javascript') == web.address
    assert site(X_Forwarded_Host='a"><script>') == 'http://localhost'
    from girder.models.setting import Setting
    from girder.settings import SettingKey

    Setting().set(SettingKey.SERVER_ROOT, 'https://girder.example')
    assert site() == 'https://girder.example'


@pytest.mark.parametrize(
    ('accept', 'kind'),
    [
        (None, 'application/ld+json;profile="http://iiif.io/api/image/3/context.json"'),
        ('*/*', 'application/ld+json;profile="http://iiif.io/api/image/3/context.json"'),
        ('application/ld+json', 'application/ld+json;profile="http://iiif.io/api/image/3/context.json"'),
        ('application/json', 'application/json'),
        ('text/html,application/xhtml+xml,*/*;q=0.8', 'application/json'),
    ],
)
def test_media_types(web, owner, image, accept, kind):
    asked = {**owner, **({} if accept is None else {'Accept': accept})}
    found = web.ask(f'/iiif/item/{image["_id"]}/info.json', headers=asked)
    assert found.headers['content-type'] == kind
    assert 'Accept' in found.headers['vary']
    assert next(iter(json.loads(found.body))) == '@context'


def test_links_say_what_is_canonical(web, owner, image):
    base = f'{web.address}/iiif/item/{image["_id"]}'
    for path, canonical in (
        ('full/400,300/360/color.jpg', 'full/max/0/default.jpg'),
        ('pct:0,0,50,50/100,/%210/gray.png', '0,0,200,150/100,75/!0/gray.png'),
        ('0,0,999,999/%5E500,/90.50/default.webp', 'full/^500,375/90.5/default.webp'),
    ):
        found = web.ask(f'/iiif/item/{image["_id"]}/{path}', headers=owner)
        assert f'<{base}/{canonical}>;rel="canonical"' in found.headers['link']
        assert '<http://iiif.io/api/image/3/level2.json>;rel="profile"' in found.headers['link']


def test_a_picture_that_is_known_is_not_made_again(web, owner, image, monkeypatch):
    path = f'/iiif/item/{image["_id"]}/0,0,200,200/100,100/0/default.jpg'
    first = web.ask(path, headers=owner)
    assert (first.status, first.headers['cache-control']) == (200, 'private, no-cache')

    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(iiif_answers.PictureSource, 'picture', fail)
    again = web.ask(path, headers={**owner, 'If-None-Match': first.headers['etag']})
    assert (again.status, again.body, again.headers['etag']) == (304, b'', first.headers['etag'])
    head = web.ask(path, 'HEAD', owner)
    assert (head.status, head.body, head.headers['content-type']) == (200, b'', 'image/jpeg')
    assert head.headers['etag'] == first.headers['etag']
    same = web.ask(path.replace('100,100', 'pct:50'), headers=owner)  # another text for the same picture
    assert same.body == first.body
    other = web.ask(path.replace('default', 'gray'), 'HEAD', owner)
    assert other.headers['etag'] != first.headers['etag']
    for end in ('info.json', 'manifest'):
        place = f'/iiif/item/{image["_id"]}/{end}'
        known = {**owner, 'If-None-Match': web.ask(place, headers=owner).headers['etag']}
        assert web.ask(place, headers=known).status == 304


def test_another_file_has_another_tag(web, owner, put, image):
    path = f'/iiif/item/{image["_id"]}/{WHOLE}'
    first = web.ask(path, headers=owner)
    other = put('other.png', png(random_pixels(300, 400)))
    assert (
        web.ask(path.replace(str(image['_id']), str(other['_id'])), headers=owner).headers['etag']
        != (first.headers['etag'])
    )


def test_public_images_may_be_stored_by_others(web, owner, image, folder):
    Folder().setPublic(folder, True, save=True)
    base = f'/iiif/item/{image["_id"]}'
    assert web.ask(f'{base}/{WHOLE}').headers['cache-control'] == 'public, max-age=60'
    assert web.ask(f'{base}/info.json').headers['cache-control'] == 'public, no-cache'
    assert web.ask(f'{base}/manifest').headers['cache-control'] == 'public, no-cache'


def test_pictures_are_smaller_for_those_who_have_not_signed_in(web, owner, put, link):
    item = put('large.png', png(np.zeros((3000, 3000), np.uint8)))
    key = link(itemId=str(item['_id']))
    theirs, mine = f'/iiif/k/{key}', f'/iiif/item/{item["_id"]}'
    assert web.ask(f'{theirs}/info.json').json['maxArea'] == 2**22
    assert web.ask(f'{mine}/info.json', headers=owner).json['maxArea'] == 2**26
    assert array(web.ask(f'{theirs}/full/max/0/default.png')).shape == (2048, 2048)
    assert array(web.ask(f'{mine}/full/max/0/default.png', headers=owner)).shape == (3000, 3000)
    refused = web.ask(f'{theirs}/full/3000,3000/0/default.png')
    assert (refused.status, b'the limit is 4194304 pixels' in refused.body) == (400, True)
    assert web.ask(f'{theirs}/0,0,10,10/%5E2049,2049/0/default.png').status == 400


def test_what_is_read_is_bounded(web, owner, put, link, monkeypatch):
    item = put('large.png', png(random_pixels(300, 400)))
    monkeypatch.setattr(iiif_answers, 'ANONYMOUS_COST', 1000)
    key = link(itemId=str(item['_id']))
    found = web.ask(f'/iiif/k/{key}/full/10,/0/default.png')
    assert (found.status, b'would have to be read' in found.body) == (400, True)
    assert web.ask(f'/iiif/item/{item["_id"]}/full/10,/0/default.png', headers=owner).status == 200


def test_any_page_may_ask(web, owner, image):
    asked = {'Origin': 'https://viewer.example', 'Access-Control-Request-Method': 'GET'}
    for end in ('info.json', WHOLE, 'manifest', 'nothing'):
        path = f'/iiif/item/{image["_id"]}/{end}'
        before = web.ask(path, 'OPTIONS', asked)
        assert (before.status, before.headers['access-control-allow-origin']) == (204, '*')
        found = web.ask(path, headers={**owner, **asked})
        assert found.headers['access-control-allow-origin'] == '*'
        assert 'access-control-allow-credentials' not in found.headers
        assert 'Link' in found.headers['access-control-expose-headers']
        assert found.headers['x-content-type-options'] == 'nosniff'
        assert 'sandbox' in found.headers['content-security-policy']


def test_rights_of_the_item(web, owner, put):
    address = 'https://creativecommons.org/licenses/by/4.0/'
    item = put('a.png', png(random_pixels(30, 40)), meta={'license': address})
    for end in ('info.json', 'manifest'):
        found = web.ask(f'/iiif/item/{item["_id"]}/{end}', headers=owner).json
        assert found['rights'] == 'http://creativecommons.org/licenses/by/4.0/'


def test_a_damaged_image_is_an_error_without_paths(web, owner, put, tmp_path):
    item = put('a.zarr.zip', zarr_zip(tmp_path, random_pixels(300, 400)))
    from girder.models.file import File

    file = File().load(item['largeImage']['fileId'], force=True)
    path = Path(File().getLocalFilePath(file))
    with path.open('r+b') as stream:
        stream.seek(0)
        stream.write(b'\0' * 50_000)
    found = web.ask(f'/iiif/item/{item["_id"]}/{WHOLE}', headers=owner)
    assert found.status == 500
    assert str(tmp_path).encode() not in found.body
    assert b'assetstore' not in found.body
