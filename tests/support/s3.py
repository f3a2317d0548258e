"""Fixtures: an S3 assetstore on moto's server."""

from __future__ import annotations

import boto3
import pytest
from girder.models.assetstore import Assetstore
from girder.utility.progress import noProgress
from moto.server import ThreadedMotoServer

KEYS = {'aws_access_key_id': 'key', 'aws_secret_access_key': 'secret', 'region_name': 'us-east-1'}


@pytest.fixture(scope='module')
def moto_server():
    served = ThreadedMotoServer(ip_address='127.0.0.1', port=0)
    served.start()
    yield 'http://{}:{}'.format(*served.get_host_and_port())
    served.stop()


@pytest.fixture
def bucket(moto_server, request):
    client = boto3.client('s3', endpoint_url=moto_server, **KEYS)
    name = f'slides-{abs(hash(request.node.name)) % 10**8}'
    client.create_bucket(Bucket=name)
    client.bucket = name
    yield client
    client.close()


@pytest.fixture
def assetstore(zarr_server, bucket, moto_server):
    made = Assetstore().createS3Assetstore(
        's3', bucket.bucket, 'key', 'secret', service=moto_server, region='us-east-1'
    )
    made['current'] = True
    return Assetstore().save(made)


def import_into(assetstore, path, folder, user, kind='folder'):
    Assetstore().importData(
        Assetstore().load(assetstore['_id']), parent=folder, parentType=kind,
        params={'importPath': path}, progress=noProgress, user=user, leafFoldersAsItems=False,
    )  # fmt: skip
