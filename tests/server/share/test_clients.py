"""Other people's clients read images pixel for pixel by nothing but an address."""

import json

import fsspec
import numpy as np
import obstore.store
import pytest
import s3fs
import tensorstore
import zarr
from zarr.core.sync import sync
from zarr.storage import FsspecStore, ObjectStore

from support.server import random_pixels

pytestmark = pytest.mark.plugin('zarr')
KINDS = ['directory', 'zip', 'deflated', 'database', 'uploaded', 's3 zip', 's3 prefix']


@pytest.fixture(params=KINDS)
def stored(request, make_image):
    return make_image(request.param, '0.4' if request.param in ('database', 'directory') else '0.5')


@pytest.fixture
def key(api, stored):
    body = json.dumps({'itemId': str(stored.item['_id'])})
    status, link = api.call('POST', '/zarr_link', body=body, content_type='application/json')
    assert status == 200
    return link['key']


def check(group, image):
    for level in range(2):
        assert np.array_equal(group[str(level)][...], image.pixels[:: 2**level, :: 2**level])


def test_zarr_python_over_fsspec(web, stored, key):
    store = FsspecStore.from_url(f'{web.address}/zarr/k/{key}', read_only=True)
    check(zarr.open_group(store, mode='r'), stored)


def test_zarr_python_over_obstore(web, stored, key):
    options = {'allow_http': True}
    store = obstore.store.HTTPStore.from_url(f'{web.address}/zarr/k/{key}', client_options=options)
    check(zarr.open_group(ObjectStore(store, read_only=True), mode='r'), stored)


def test_tensorstore(web, stored, key):
    driver = 'zarr3' if stored.version == '0.5' else 'zarr'
    for level in range(2):
        spec = {'driver': driver, 'kvstore': f'{web.address}/zarr/k/{key}/{level}/'}
        found = tensorstore.open(spec, read=True).result()
        assert np.array_equal(found.read().result(), stored.pixels[:: 2**level, :: 2**level])


def test_tensorstore_with_a_token(web, stored, owner):
    driver = 'zarr3' if stored.version == '0.5' else 'zarr'
    ((name, token),) = owner.items()
    kvstore = {'driver': 'http', 'base_url': web.address, 'path': f'{stored.path}/0/'}
    kvstore['headers'] = [f'{name}: {token}']
    found = tensorstore.open({'driver': driver, 'kvstore': kvstore}, read=True).result()
    assert np.array_equal(found.read().result(), stored.pixels)


def s3_of(web):
    return s3fs.S3FileSystem(
        anon=True,
        endpoint_url=f'{web.address}/zarr/k',
        config_kwargs={'s3': {'addressing_style': 'path'}},
        skip_instance_cache=True,
        use_listings_cache=False,
    )


def test_s3fs_lists_and_reads(web, stored, key):
    files = s3_of(web)
    found = {name.removeprefix(f'{key}/'): size for name, size in files.du(key, total=False).items()}
    assert found == {name: len(body) for name, body in stored.snapshot.items()}
    top = {name.partition('/')[0] for name in stored.snapshot}
    assert {name.removeprefix(f'{key}/') for name in files.ls(key)} == top
    for name, body in stored.snapshot.items():
        assert files.cat_file(f'{key}/{name}') == body
        assert files.info(f'{key}/{name}')['size'] == len(body)
    name, body = max(stored.snapshot.items(), key=lambda one: len(one[1]))
    assert files.cat_file(f'{key}/{name}', start=-7) == body[-7:]
    assert not files.exists(f'{key}/nothing')
    with pytest.raises(FileNotFoundError):
        files.cat_file(f'{key}/nothing')


def test_zarr_python_over_s3fs(web, stored, key):
    files = s3fs.S3FileSystem(
        anon=True,
        endpoint_url=f'{web.address}/zarr/k',
        config_kwargs={'s3': {'addressing_style': 'path'}},
        asynchronous=True,
        skip_instance_cache=True,
    )
    group = zarr.open_group(FsspecStore(files, read_only=True, path=key), mode='r', use_consolidated=False)
    try:
        check(group, stored)
        assert sorted(group.array_keys()) == ['0', '1'], 'found by the listing, since no metadata names them'
    finally:
        sync(files._s3creator.__aexit__(None, None, None))  # s3fs closes nothing in another loop by itself


def test_obstore_lists_as_s3(web, stored, key):
    store = obstore.store.S3Store(
        key,
        endpoint=f'{web.address}/zarr/k',
        region='us-east-1',
        skip_signature=True,
        virtual_hosted_style_request=False,
        client_options={'allow_http': True},
    )
    found = {one['path']: (one['size'], one['e_tag']) for page in store.list() for one in page}
    assert {name: size for name, (size, _) in found.items()} == {
        name: len(body) for name, body in stored.snapshot.items()
    }
    for name, body in stored.snapshot.items():
        answer = store.get(name)
        assert bytes(answer.bytes()) == body
        assert answer.meta['e_tag'] == found[name][1]
    below = store.list_with_delimiter('0')
    inside = {name.split('/')[1] for name in stored.snapshot if name.startswith('0/')}
    names = [*below['common_prefixes'], *(one['path'] for one in below['objects'])]
    assert {name.split('/')[1] for name in names} == inside


def test_pages_of_a_listing_are_the_whole(web, stored, key):
    """However short the pages, and with either delimiter, each key comes once and in S3's order."""
    import boto3
    import botocore
    from botocore.config import Config

    config = Config(signature_version=botocore.UNSIGNED, s3={'addressing_style': 'path'})
    client = boto3.client('s3', endpoint_url=f'{web.address}/zarr/k', region_name='us-east-1', config=config)
    names = sorted(stored.snapshot)
    for size in (1, 3, 1000):
        pages = list(
            client.get_paginator('list_objects_v2').paginate(Bucket=key, PaginationConfig={'PageSize': size})
        )
        assert [one['Key'] for page in pages for one in page.get('Contents', ())] == names
        assert all(page['KeyCount'] <= size for page in pages)
        for prefix in ('', '0/', '0', '1/c/', 'nothing', '0/zarr.json'):
            pages = client.get_paginator('list_objects_v2').paginate(
                Bucket=key, Prefix=prefix, Delimiter='/', PaginationConfig={'PageSize': size}
            )
            found = []
            for page in pages:
                found += [one['Key'] for one in page.get('Contents', ())]
                found += [one['Prefix'] for one in page.get('CommonPrefixes', ())]
            inside = [name[len(prefix) :] for name in names if name.startswith(prefix)]
            expected = {prefix + rest.split('/')[0] + ('/' if '/' in rest else '') for rest in inside}
            assert sorted(found) == sorted(expected), (prefix, size)
            assert len(found) == len(set(found))
    after = client.list_objects_v2(Bucket=key, StartAfter=names[2])
    assert [one['Key'] for one in after['Contents']] == names[3:]
    client.head_bucket(Bucket=key)
    client.close()


def test_the_page_of_a_folder_leads_to_its_values(web, stored, key):
    files = fsspec.filesystem('http', skip_instance_cache=True, use_listings_cache=False)
    base = f'{web.address}/zarr/k/{key}/'
    seen, pending = set(), [base]
    while pending:
        for name in files.ls(pending.pop(), detail=False):
            if not name.startswith(base) or '..' in name:
                continue
            if name.endswith('/'):
                pending.append(name)
            else:
                seen.add(name.removeprefix(base))
    assert seen == set(stored.snapshot)


def test_names_with_spaces_and_signs(web, api, owner, people, folder, make_image):
    """Keys need not be tame; each client encodes them in its own way."""
    import io
    import zipfile

    from support.girder_images import upload

    image = make_image('zip', pixels=random_pixels(70, 70, 1))
    odd = ['a b/c+d', 'ä/ü%41', 'x&y=z', "q'uote", 'plus+plus', 'hash#tag', 'question?mark', '100%']
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        for name, body in image.snapshot.items():
            archive.writestr(name, body)
        for name in odd:
            archive.writestr(name, name)
    item, _ = upload(folder, people['owner'], 'odd.zip', stream.getvalue())
    body = json.dumps({'itemId': str(item['_id'])})
    _, link = api.call('POST', '/zarr_link', body=body, content_type='application/json')
    files = s3_of(web)
    listed = {name.removeprefix(f'{link["key"]}/') for name in files.find(link['key'])}
    assert listed == {*image.snapshot, *odd}
    for name in odd:
        assert files.cat_file(f'{link["key"]}/{name}') == name.encode()
