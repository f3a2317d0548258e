"""Images at http(s), s3 and gs addresses, by ranged requests to hosts on the list of ``addresses.py``.

Needs urllib3, and botocore for buckets that need credentials: ``pip install girder-zarr[remote]``.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

from girder_zarr.common.request_pool import MAX_PER_SOURCE, REQUESTS
from girder_zarr.errors import MissingImageError, UnreadableImageError

from .addresses import Allowed, Place, current, locate, region, resolve
from .buffered import ENDS, BufferedBytes
from .entries import Entry, SourceEntry
from .objectstore import FRESH_SECONDS, ObjectStore
from .zarr_names import FILE_SUFFIXES, ROOT_KEYS

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from .bytesource import ByteSource

#: Time limits of a connection, and of a wait for bytes: a tile that takes longer is of no use to a viewer.
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
#: How long a network address is used before its host is looked up again, in seconds; a common TTL in DNS.
PINNED_SECONDS = 300.0
#: Redirects that are followed, each to an allowed host: http to https, to a region, to a storage host.
MAX_REDIRECTS = 3
#: The first request fetches what the first read needs, so that opening costs one request.
HEAD_BYTES = ENDS
#: Bytes of one request where a value is handed on from its beginning to its end.
STREAM_BYTES = 4 * 2**20

_pools: dict[tuple[str, str, int, Allowed], tuple[float, Any]] = {}
_lock = threading.Lock()
_credentials: list[Any] = []


@dataclass(frozen=True)
class Answer:
    """The answer of a server to one request."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def _urllib3() -> Any:
    try:
        import urllib3
    except ImportError:
        msg = 'Reading images from addresses needs urllib3: pip install girder-zarr[remote].'
        raise UnreadableImageError(msg) from None
    return urllib3


def _pool(place: Place, allowed: Allowed) -> Any:
    """Return connections to a host, all to the network address that was checked."""
    urllib3 = _urllib3()
    key = place.scheme, place.host, place.port, allowed
    with _lock:
        until, pool = _pools.get(key, (0.0, None))
        if pool is not None and time.monotonic() < until:
            return pool
    number = resolve(place, allowed)
    options: dict[str, Any] = {
        'timeout': urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        'maxsize': MAX_PER_SOURCE,
        'retries': urllib3.Retry(2, redirect=0, backoff_factor=0.2, raise_on_redirect=False),
    }
    if place.scheme == 'https':
        # The certificate has to be that of the host, wherever we connect to.
        pool = urllib3.HTTPSConnectionPool(
            number, place.port, server_hostname=place.host, assert_hostname=place.host, **options
        )
    else:
        pool = urllib3.HTTPConnectionPool(number, place.port, **options)
    with _lock:
        if len(_pools) > 100:
            _pools.clear()
        _pools[key] = time.monotonic() + PINNED_SECONDS, pool
    return pool


def ask(address: str, max_bytes: int, headers: Mapping[str, str] | None = None) -> Answer:
    """Send one GET request.

    :param max_bytes: the bytes that the answer may have; more are not read.
    :raises UnreadableImageError: the host is not allowed (also that of a redirect), does not answer, or sends
        more of what was asked for.
    """
    with REQUESTS.needed(urlsplit(address).netloc):
        return _ask(address, max_bytes, headers)


def _ask(address: str, max_bytes: int, headers: Mapping[str, str] | None) -> Answer:
    urllib3 = _urllib3()
    for _ in range(MAX_REDIRECTS + 1):
        allowed = current()
        place = locate(address, allowed)
        target = quote(place.base or '/', safe="/%:=&+,;@$!*'()~") + (
            f'?{place.query}' if place.query else ''
        )
        port = '' if place.port == (443 if place.scheme == 'https' else 80) else f':{place.port}'
        host = f'[{place.host}]' if ':' in place.host else place.host
        sent = {'Host': host + port, 'Accept-Encoding': 'identity', **(headers or {})}
        if place.bucket is not None:
            sent = _signed(f'{place.scheme}://{host}{port}{target}', sent)
        try:
            response = _pool(place, allowed).urlopen(
                'GET', target, headers=sent, redirect=False, preload_content=False, decode_content=False
            )
            try:
                data = response.read(max_bytes + 1, decode_content=False)
                if len(data) <= max_bytes:
                    response.drain_conn()
                else:
                    response.close()
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            msg = f'{address} cannot be read: {error}.'
            raise UnreadableImageError(msg) from None
        where = response.headers.get('Location')
        if response.status in (301, 302, 303, 307, 308) and where and place.bucket is None:
            address = urljoin(f'{place.scheme}://{host}{port}{target}', where)
            if urlsplit(address).scheme not in ('http', 'https'):
                break
            continue
        if len(data) > max_bytes and response.status < 400:  # the page that comes with an error may be longer
            msg = f'{address} gave more than the {max_bytes} bytes that were expected.'
            raise UnreadableImageError(msg)
        return Answer(response.status, response.headers, data)
    msg = f'{address} redirects more than {MAX_REDIRECTS} times or to something else than http.'
    raise UnreadableImageError(msg)


def _signed(url: str, headers: dict[str, str]) -> dict[str, str]:
    """Return the headers with an AWS signature, if there are credentials."""
    try:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.session import get_session
    except ImportError:
        return headers
    with _lock:
        if not _credentials:
            _credentials.append(get_session().get_credentials())
    if _credentials[0] is None:
        return headers
    request = AWSRequest('GET', url, headers=headers)
    S3SigV4Auth(_credentials[0], 's3', region()).add_auth(request)
    return dict(request.headers.items())


def _range(start: int, length: int) -> dict[str, str]:
    return {'Range': f'bytes={start}-{start + length - 1}' if start >= 0 else f'bytes={start}'}


def _check_status(answer: Answer, address: str, expected: tuple[int, ...]) -> None:
    if answer.status not in expected:
        msg = f'{address} cannot be read: the server answers with HTTP status {answer.status}.'
        raise UnreadableImageError(msg)


class RemoteBytes:
    """A file at an address, by ranged requests. Safe under many threads.

    :raises MissingImageError: there is nothing.
    :raises UnreadableImageError: the server refuses, or gives no ranges.
    """

    def __init__(self, address: str) -> None:
        self.name = address
        answer = ask(address, HEAD_BYTES, _range(0, HEAD_BYTES))
        if answer.status in (404, 410):
            msg = f'There is nothing at {address}.'
            raise MissingImageError(msg)
        if answer.status == 416:
            msg = f'{address} is empty.'
            raise UnreadableImageError(msg)
        _check_status(answer, address, (200, 206))
        total = answer.headers.get('Content-Range', '').rpartition('/')[2]
        if answer.status == 200:
            total = str(len(answer.data))
        if not total.isdecimal():
            msg = f'{address}: the server does not say how large the file is.'
            raise UnreadableImageError(msg)
        self.size = int(total)
        self._head = answer.data
        tag = answer.headers.get('ETag', '')
        self._same = {'If-Match': tag} if tag.startswith('"') else {}
        changed = tag or answer.headers.get('Last-Modified', '')
        #: Whether the identity tells another content from this one.
        self.is_versioned = bool(changed)
        self.identity = f'{address}:{self.size}:{changed}'

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes from ``offset``.

        :raises UnreadableImageError: there are not that many, the file has changed, or the server refuses.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            msg = f'{self.name} ends at byte {self.size}; bytes {offset} to {offset + length} were asked for.'
            raise UnreadableImageError(msg)
        if offset + length <= len(self._head):
            return self._head[offset : offset + length]
        answer = ask(self.name, length, {**_range(offset, length), **self._same})
        if answer.status in (404, 410, 412, 416):
            msg = f'{self.name} has changed since it was opened.'
            raise UnreadableImageError(msg)
        _check_status(answer, self.name, (206, 200) if length == self.size else (206,))
        if len(answer.data) != length:
            msg = f'{self.name} gave {len(answer.data)} of {length} bytes from {offset}.'
            raise UnreadableImageError(msg)
        return answer.data

    def stream(self, offset: int, length: int, block: int) -> Iterator[bytes]:
        """Iterate over bytes in pieces of at most ``block``, by a request for each `STREAM_BYTES`."""
        for at in range(offset, offset + length, STREAM_BYTES):
            data = self.read(at, min(STREAM_BYTES, offset + length - at))
            for start in range(0, len(data), block):
                yield data[start : start + block]


class RemoteStore(ObjectStore):
    """A hierarchy at an address. Plain HTTP lists no folders; what consolidated metadata names is found.

    :param address: of the root.
    """

    supports_batch = True

    def __init__(self, address: str) -> None:
        head, question, query = address.partition('?')
        self._head = head.rstrip('/') + '/'
        self._query = question + query
        super().__init__(address, address)

    def version(self, key: str) -> Hashable | None:
        """Return what changes when a value may have changed; see the base class.

        :raises UnreadableImageError: the host is not on the list any more.
        """
        locate(self.name)
        return super().version(key)

    def entry(self, key: str) -> Entry | None:
        """Return a value to be handed on, read by ranges where the server gives them; see the base class."""
        try:
            source = RemoteBytes(self._address(key))
        except MissingImageError:
            return None
        except UnreadableImageError:
            return super().entry(key)  # no ranges, or nothing in it
        if not source.is_versioned:
            return super().entry(key)  # validators are made of all of it
        return SourceEntry(source, 0, source.size, source.identity)

    def _address(self, key: str) -> str:
        return self._head + quote(key) + self._query

    def fetch(self, key: str, start: int | None, length: int) -> bytes | None:
        """Return bytes of a value; see the base class."""
        address = self._address(key)
        asked = {} if start is None else _range(start, length)
        max_bytes = length if start is None or start >= 0 else -start
        if start is not None and length == 0:
            return b''
        answer = ask(address, max_bytes, asked)
        if answer.status in (404, 410):
            return None
        if start is None:
            _check_status(answer, address, (200,))
            return answer.data
        # An answer with the whole value is as good where that is what was asked for.
        _check_status(answer, address, (200, 206))
        data = answer.data[:length]
        if len(data) != length or (answer.status == 200 and start > 0):
            msg = f'{address} gave {len(data)} of {length} bytes from {start}.'
            raise UnreadableImageError(msg)
        return data


def open_address(address: str) -> RemoteStore | ByteSource:
    """Return the hierarchy at an address, or the file that lies there.

    :raises MissingImageError: there is nothing.
    :raises UnreadableImageError: the host is not allowed or does not answer.
    """
    locate(address)
    head, question, query = address.partition('?')
    name = head.rstrip('/').rpartition('/')[2]
    if name in ROOT_KEYS:
        return RemoteStore(head.rpartition('/')[0] + question + query)
    if not name.lower().endswith(FILE_SUFFIXES):
        store = RemoteStore(address)
        if any(store.read(key) is not None for key in ROOT_KEYS):
            return store
    return BufferedBytes(RemoteBytes(address))


def address_identity(address: str) -> str:
    """Return a text that lets an image at an address be opened anew now and then."""
    return f'{address}@{time.monotonic() // FRESH_SECONDS}'
