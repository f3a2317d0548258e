"""Objects of an S3 assetstore by ranged requests with its own client: one a read, over open connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from girder.utility.s3_assetstore_adapter import S3AssetstoreAdapter
from urllib3.exceptions import HTTPError

from girder_zarr.common.cache import LRU
from girder_zarr.common.request_pool import MAX_PER_SOURCE, REQUESTS
from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.store.entries import Entry, Listed, SourceEntry
from girder_zarr.image.store.objectstore import MAX_LISTED, ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator

_MISSING = ('NoSuchKey', '404')
_NO_SUCH_RANGE = ('InvalidRange', '416')
#: Clients of assetstores that this process keeps, each with its open connections.
MAX_CLIENTS = 16
#: How long the signature of a request holds, in seconds: clocks of machines differ by less.
SIGNED_SECONDS = 900
#: Bytes of an answer of 404 in which its code is looked for.
ERROR_BYTES = 4096
_clients: LRU[tuple[str, ...], Any] = LRU(max_items=MAX_CLIENTS)


def _client_of(adapter: S3AssetstoreAdapter) -> Any:
    """Return a client of an assetstore that keeps as many connections open as requests run side by side.

    That of the adapter keeps ten, and making and closing one for each request beyond takes longer than the
    request.
    """
    fields = ('_id', 'accessKeyId', 'secret', 'service', 'region', 'inferCredentials')
    key = tuple(str(adapter.assetstore.get(field)) for field in fields)

    def make() -> Any:
        given = adapter.connectParams
        config = given['config'].merge(Config(max_pool_connections=MAX_PER_SOURCE))
        return S3AssetstoreAdapter._s3Client({**given, 'config': config})

    return _clients.fetch(key, make)


class _NotDirectlyError(Exception):
    """A request is one for the client."""


class S3Bucket:
    """The bucket of an assetstore. Safe under many threads, as boto3's clients are.

    :param adapter: of the assetstore.
    """

    def __init__(self, adapter: S3AssetstoreAdapter) -> None:
        self.name = adapter.assetstore['bucket']
        self._client = _client_of(adapter)
        # The client's own connections, with its proxies, certificates and time limits.
        self._session = getattr(getattr(self._client, '_endpoint', None), 'http_session', None)

    @property
    def source(self) -> str:
        """What requests are counted for."""
        return f's3://{self.name}'

    def get(self, key: str, start: int | None, length: int) -> bytes | None:
        """Return bytes of an object, or None where there is none.

        :param start: None: the whole object, which has at most ``length`` bytes. Otherwise exactly ``length``
            bytes from there; negative counts from the end.
        :raises UnreadableImageError: it is larger or smaller, or S3 does not give it.
        """
        if start is not None and length == 0:
            return b''
        extra = {}
        if start is not None:
            extra['Range'] = f'bytes={start}-{start + length - 1}' if start >= 0 else f'bytes={start}'
        with REQUESTS.needed(self.source):
            data = self._ask(key, extra, length)
        if data is None:
            return None
        if start is None:
            if len(data) > length:
                raise self._unreadable(key, f'it has more than the {length} bytes that were expected')
            return data
        data = data[:length]
        if len(data) != length:
            raise self._unreadable(key, f'it gave {len(data)} of {length} bytes from {start}')
        return data

    def _ask(self, key: str, extra: dict[str, str], length: int) -> bytes | None:
        """Return the bytes of an object, one more than ``length`` at most, or None where there is none."""
        session = self._session
        if session is not None:
            try:
                return self._ask_directly(session, key, extra, length)
            except _NotDirectlyError:
                pass  # the client tries again, follows to another region, and says what is wrong
        try:
            answer = self._client.get_object(Bucket=self.name, Key=key, **extra)
            with answer['Body'] as body:
                data: bytes = body.read(length + 1)
        except ClientError as error:
            code = str(error.response.get('Error', {}).get('Code'))
            if code in _MISSING:
                return None
            what = 'it is shorter than expected' if code in _NO_SUCH_RANGE else code
            raise self._unreadable(key, what) from error
        except (BotoCoreError, OSError) as error:
            raise self._unreadable(key, str(error)) from error
        self._session = None  # not directly, then
        return data

    def _ask_directly(self, session: Any, key: str, extra: dict[str, str], length: int) -> bytes | None:
        """Return what `_ask` does, by a signed address over the client's connections.

        The client takes longer for a request, in processor time: it makes parameters, headers and answer from
        the description of the service, and asks all of its handlers. 64 chunks of a tile add up.

        :raises _NotDirectlyError: the answer is another than the bytes, or that there are none.
        """
        try:
            address = self._client.generate_presigned_url(
                'get_object', Params={'Bucket': self.name, 'Key': key}, ExpiresIn=SIGNED_SECONDS
            )
            answer = session.send(AWSRequest('GET', address, headers=extra, stream_output=True).prepare())
            wanted = 206 if extra else 200
            found: bytes = answer.raw.read(length + 1 if answer.status_code == wanted else ERROR_BYTES)
            stated = answer.headers.get('Content-Length')
            is_whole = len(found) > length or (stated is not None and int(stated) == len(found))
            if not is_whole or len(found) > length:
                answer.raw.close()
        except (BotoCoreError, ClientError, HTTPError, OSError, ValueError) as error:
            raise _NotDirectlyError from error
        if answer.status_code == wanted and is_whole:
            return found
        if answer.status_code == 404 and b'<Code>NoSuchKey</Code>' in found:
            return None
        raise _NotDirectlyError

    def stream(self, key: str, start: int, length: int, block: int) -> Iterator[bytes]:
        """Iterate over bytes of an object, by one request.

        :param block: the most bytes of one piece.
        :raises UnreadableImageError: there are not that many, or S3 does not give them.
        """
        extra = f'bytes={start}-{start + length - 1}'
        left = length
        try:
            body = self._client.get_object(Bucket=self.name, Key=key, Range=extra)['Body']
            try:
                while left and (data := body.read(min(block, left))):
                    left -= len(data)
                    yield data
            finally:
                body.close()
        except (BotoCoreError, ClientError, OSError) as error:
            raise self._unreadable(key, str(error)) from error
        if left:
            raise self._unreadable(key, f'it gave {length - left} of {length} bytes from {start}')

    def head(self, key: str) -> tuple[int, str, float] | None:
        """Return bytes, ETag and time (seconds since 1970) of an object, or None where there is none.

        :raises UnreadableImageError: S3 does not answer.
        """
        try:
            with REQUESTS.needed(self.source):
                found = self._client.head_object(Bucket=self.name, Key=key)
        except ClientError as error:
            code = str(error.response.get('Error', {}).get('Code'))
            if code in _MISSING:
                return None
            raise self._unreadable(key, code) from error
        except (BotoCoreError, OSError) as error:
            raise self._unreadable(key, str(error)) from error
        return int(found['ContentLength']), str(found['ETag']), found['LastModified'].timestamp()

    def size(self, key: str) -> int | None:
        """Return the bytes of an object, or None where there is none.

        :raises UnreadableImageError: S3 does not say.
        """
        found = self.head(key)
        return None if found is None else found[0]

    def list_folder(self, prefix: str) -> list[Listed]:
        """Return what lies directly below a prefix (empty, or ending with a slash); folders end with one."""
        found: list[Listed] = []
        try:
            pages = self._client.get_paginator('list_objects_v2').paginate(
                Bucket=self.name, Prefix=prefix, Delimiter='/'
            )
            for page in pages:
                found += [
                    Listed(
                        entry['Key'][len(prefix) :],
                        int(entry['Size']),
                        _identity(entry['Key'], entry['ETag']),
                        entry['LastModified'].timestamp(),
                    )
                    for entry in page.get('Contents', ())
                ]
                found += [Listed(entry['Prefix'][len(prefix) :]) for entry in page.get('CommonPrefixes', ())]
                if len(found) > MAX_LISTED:
                    raise self._unreadable(prefix, f'there are more than {MAX_LISTED} objects in one folder')
        except (BotoCoreError, ClientError, OSError) as error:
            raise self._unreadable(prefix, str(error)) from error
        return [one for one in found if one.name]

    def _unreadable(self, key: str, why: str) -> UnreadableImageError:
        return UnreadableImageError(f'{key} in the bucket {self.name} cannot be read: {why.rstrip(".")}.')


def _identity(key: str, tag: str) -> str:
    return f's3:{key}:{tag}'


class S3Object:
    """One object as a :class:`.bytesource.ByteSource`."""

    def __init__(self, bucket: S3Bucket, key: str, size: int, tag: str) -> None:
        self.name, self.size, self.identity = key, size, _identity(key, tag)
        self._bucket = bucket

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes from ``offset``."""
        found = self._bucket.get(self.name, offset, length)
        if found is None:
            msg = f'{self.name} is gone from its bucket.'
            raise UnreadableImageError(msg)
        return found

    def stream(self, offset: int, length: int, block: int) -> Iterator[bytes]:
        """Iterate over bytes, by one request."""
        return self._bucket.stream(self.name, offset, length, block)


class S3Hierarchy(ObjectStore):
    """A zarr hierarchy below a prefix of a bucket.

    :param prefix: empty, or ends with a slash.
    :param identity: see the base class.
    """

    supports_batch = True

    def __init__(self, bucket: S3Bucket, prefix: str, identity: str) -> None:
        super().__init__(prefix.rstrip('/') or bucket.name, identity)
        self._bucket = bucket
        self._prefix = prefix

    @property
    def source(self) -> str:
        """The bucket; see the base class."""
        return self._bucket.source

    def fetch(self, key: str, start: int | None, length: int) -> bytes | None:
        """Return bytes of a value; see the base class."""
        return self._bucket.get(self._prefix + key, start, length)

    def list_folder(self, folder: str) -> list[str]:
        """Return what lies directly in a folder; see the base class."""
        return [one.name for one in self.listed(folder)]

    def listed(self, folder: str) -> list[Listed]:
        """Return what lies directly in a folder; see the base class."""
        return self._bucket.list_folder(self._prefix + (folder + '/' if folder else ''))

    def entry(self, key: str) -> Entry | None:
        """Return a value to be handed on; see the base class."""
        found = self._bucket.head(self._prefix + key)
        if found is None:
            return None
        size, tag, modified = found
        source = S3Object(self._bucket, self._prefix + key, size, tag)
        return SourceEntry(source, 0, size, source.identity, modified)


def bucket_of(adapter: Any) -> S3Bucket | None:
    """Return an assetstore's bucket, or None where it has none."""
    return S3Bucket(adapter) if isinstance(adapter, S3AssetstoreAdapter) else None
