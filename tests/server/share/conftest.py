"""Images in every form of storage, each with a snapshot of what is stored."""

import io
import zipfile
from typing import NamedTuple

import pytest
from girder.models.item import Item

from support.girder_images import import_directory, upload, upload_tree, write_zarr
from support.s3 import import_into
from support.server import random_pixels
from support.stores import database

LOCAL = ('directory', 'zip', 'deflated', 'top', 'ozx', 'database', 'uploaded')
FAR = ('s3 zip', 's3 prefix', 's3 uploaded')


class Stored(NamedTuple):
    item: dict
    snapshot: dict[str, bytes]
    pixels: object
    version: str

    @property
    def path(self):
        return f'/zarr/item/{self.item["_id"]}'


def zipped(files, method=zipfile.ZIP_STORED, top=''):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', method) as archive:
        for name, body in files.items():
            archive.writestr(top + name, body)
    return stream.getvalue()


@pytest.fixture
def put(api, people, folder):
    """Upload a file; return its item, which is an image."""

    def put(name, body):
        item, _ = upload(folder, people['owner'], name, body)
        if 'largeImage' not in item:
            status, answer = api.call('POST', f'/item/{item["_id"]}/tiles')
            assert status == 200, answer
        return Item().load(item['_id'], force=True)

    return put


@pytest.fixture
def make_image(people, folder, tmp_path, request):
    """Store an image in one of the ways, and return it with a snapshot."""

    def make(kind, version='0.5', name='image', pixels=None):
        pixels = random_pixels(150, 200, 1) if pixels is None else pixels
        source = tmp_path / f'{name}.zarr'
        write_zarr(source, version, pixels, 'yx')
        snapshot = {
            str(path.relative_to(source)): path.read_bytes() for path in source.rglob('*') if path.is_file()
        }
        user = people['owner']
        if kind.startswith('s3'):
            assetstore, bucket = request.getfixturevalue('assetstore'), request.getfixturevalue('bucket')
            if kind == 's3 prefix':
                for key, body in snapshot.items():
                    bucket.put_object(Bucket=bucket.bucket, Key=f'scans/{source.name}/{key}', Body=body)
                import_into(assetstore, 'scans/', folder, user)
                return Stored(Item().findOne({'name': source.name}), snapshot, pixels, version)
        if kind == 'directory':
            import_directory(source.parent, folder, user)
            return Stored(Item().findOne({'name': source.name}), snapshot, pixels, version)
        if kind.endswith('uploaded'):
            made = upload_tree(source, folder, user)
            item = Item().findOne({'folderId': made['_id'], 'largeImage.sourceName': 'zarr'})
            return Stored(item, snapshot, pixels, version)
        suffix, body = {
            'zip': ('.zarr.zip', lambda: zipped(snapshot)),
            's3 zip': ('.zarr.zip', lambda: zipped(snapshot)),
            'deflated': ('.zip', lambda: zipped(snapshot, zipfile.ZIP_DEFLATED)),
            'top': ('.zip', lambda: zipped(snapshot, top='some/image.zarr/')),
            'ozx': (
                '.ozx',
                lambda: zipped(dict(sorted(snapshot.items(), key=lambda one: one[0][-9:] != 'zarr.json'))),
            ),
            'database': ('.db', lambda: database(tmp_path / f'{name}.db', snapshot).read_bytes()),
        }[kind]
        item, _ = upload(folder, user, name + suffix, body())
        return Stored(Item().load(item['_id'], force=True), snapshot, pixels, version)

    return make
