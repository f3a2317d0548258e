"""Requests to S3 that go by the client's connections but past the client, and those that it has to send."""

from types import SimpleNamespace

import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from girder_zarr.errors import UnreadableImageError
from girder_zarr.server.storage.s3_store import S3Bucket

KEY, DATA = 'scans/a b+ü#100%.zarr/c/0', bytes(range(256)) * 4


@pytest.fixture
def near(moto_server, bucket):
    """Our bucket, and the calls of the client that were made for it."""
    bucket.put_object(Bucket=bucket.bucket, Key=KEY, Body=DATA)
    params = {
        'endpoint_url': moto_server,
        'aws_access_key_id': 'key',
        'aws_secret_access_key': 'secret',
        'config': Config(signature_version='s3v4', region_name='us-east-1'),
    }
    made = S3Bucket(
        SimpleNamespace(assetstore={'bucket': bucket.bucket, '_id': bucket.bucket}, connectParams=params)
    )
    calls = []
    made._client.meta.events.register('before-call.s3.GetObject', lambda **_: calls.append('GetObject'))
    return made, calls


def test_bytes_come_without_a_call_of_the_client(near):
    made, calls = near
    assert made.get(KEY, None, 5000) == DATA
    assert made.get(KEY, 10, 20) == DATA[10:30]
    assert made.get(KEY, -20, 20) == DATA[-20:]
    assert made.get('scans/nothing', None, 10) is None
    assert made.get('scans/nothing', 5, 10) is None
    with pytest.raises(UnreadableImageError, match='more than the 100 bytes'):
        made.get(KEY, None, 100)
    assert made.get(KEY, None, len(DATA)) == DATA
    assert calls == []


def test_what_is_wrong_is_said_by_the_client(near):
    made, calls = near
    with pytest.raises(UnreadableImageError, match='shorter than expected'):
        made.get(KEY, 5000, 10)
    with pytest.raises(UnreadableImageError, match='gave 24 of 100 bytes'):
        made.get(KEY, 1000, 100)
    made.name = 'no-such-bucket'
    with pytest.raises(UnreadableImageError, match='NoSuchBucket'):
        made.get(KEY, None, 5000)
    assert calls == ['GetObject', 'GetObject']


@pytest.mark.parametrize('failure', ['status', 'connection', 'short'])
def test_where_it_does_not_work_the_client_is_asked_from_then_on(near, monkeypatch, failure):
    made, calls = near
    original, sent = URLLib3Session.send, []

    def send(self, request):
        is_ours = 'X-Amz-Signature' in request.url
        sent.append(is_ours)
        if is_ours and failure == 'connection':
            raise ConnectionClosedError(endpoint_url=request.url)
        if is_ours and failure == 'status':
            request.method = 'HEAD'
            request.url = request.url.replace('a%20b', 'forbidden')
        answer = original(self, request)
        if is_ours and failure == 'short':
            answer.headers['Content-Length'] = '5000'
        return answer

    monkeypatch.setattr(URLLib3Session, 'send', send)
    assert made.get(KEY, 10, 20) == DATA[10:30]
    assert made.get(KEY, None, 5000) == DATA
    assert calls == ['GetObject', 'GetObject']
    assert sent == [True, False, False]
