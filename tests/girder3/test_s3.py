"""Images in S3, imported where they lie, and read with no mount."""

import io

import boto3
import numpy as np
import pytest
from girder.exceptions import FilePathException
from girder.models.assetstore import Assetstore
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.item import Item
from moto.server import ThreadedMotoServer
from PIL import Image

pytestmark = pytest.mark.plugin('zarr')

KEYS = {'aws_access_key_id': 'key', 'aws_secret_access_key': 'secret', 'region_name': 'us-east-1'}


@pytest.fixture
def bucket():
    """The address of an S3 server with one bucket, and a client of it."""
    served = ThreadedMotoServer(ip_address='127.0.0.1', port=0)
    served.start()
    try:
        address = 'http://{}:{}'.format(*served.get_host_and_port())
        client = boto3.client('s3', endpoint_url=address, **KEYS)
        client.create_bucket(Bucket='slides')
        yield address, client
        client.close()
    finally:
        served.stop()


def test_an_imported_image_is_served_by_ranged_reads(server, people, bucket, rgb):
    address, client = bucket
    data, levels = rgb
    client.put_object(Bucket='slides', Key='scans/slide.zip', Body=data)
    assetstore = Assetstore().createS3Assetstore(
        's3',
        'slides',
        KEYS['aws_access_key_id'],
        KEYS['aws_secret_access_key'],
        service=address,
        region=KEYS['region_name'],
    )
    owner = people['owner']
    folder = Folder().createFolder(owner, 'scans', parentType='user', creator=owner)
    response = server.request(
        f'/assetstore/{assetstore["_id"]}/import',
        'POST',
        user=people['admin'],
        isJson=False,
        params={'importPath': 'scans/', 'destinationId': folder['_id'], 'destinationType': 'folder'},
    )
    assert response.output_status == b'200 OK', response.body
    item = Item().findOne({'name': 'slide.zip'})
    assert item['largeImage']['sourceName'] == 'zarr'
    with pytest.raises(FilePathException):
        File().getLocalFilePath(File().load(item['largeImage']['fileId'], force=True))

    region = server.request(
        f'/item/{item["_id"]}/tiles/region', user=owner, isJson=False, params={'encoding': 'PNG'}
    )
    with Image.open(io.BytesIO(b''.join(region.body))) as image:
        assert np.array_equal(np.asarray(image.convert('RGB')), levels[0])
