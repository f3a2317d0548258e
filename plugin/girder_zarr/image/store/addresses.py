"""Addresses that may be read: those of hosts on a list, at the network address that was checked.

Nothing is on the list unless the operator of the program puts it there, since a user who names an address
makes this machine ask for it. Entries are

- a host, ``data.example.org`` or ``*.example.org``, with ``:8080`` behind it for that port only;
- a bucket, ``s3://name`` or ``gs://name``; requests for a bucket named so carry this machine's credentials;
- a network, ``10.0.0.0/8`` or ``192.168.1.5``: hosts on the list may resolve to it though it is not public.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from girder_zarr.errors import UnreadableImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VARIABLE = 'GIRDER_ZARR_ALLOWED_HOSTS'
SCHEMES = ('http', 'https', 's3', 'gs')
#: Entries of the list, which is searched for every request, and letters of an address (what servers accept).
MAX_ENTRIES = 1000
MAX_ADDRESS = 4096

_HOST = re.compile(r'(\*\.)?[a-z0-9]([a-z0-9._-]{0,250}[a-z0-9])?(:[0-9]{1,5})?')
_BUCKET = re.compile(r'(s3|gs)://[a-z0-9][a-z0-9._-]{1,220}')

_NAT64 = ipaddress.IPv6Network('64:ff9b::/96')

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Allowed:
    """A parsed list.

    :param hosts: lower case, perhaps with ``*.`` before and ``:port`` behind.
    :param buckets: with their scheme.
    :param networks: that need not be public.
    """

    hosts: tuple[str, ...] = ()
    buckets: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()


def parse_allowed(entries: Sequence[object]) -> Allowed:
    """Return a parsed list.

    :raises ValueError: with what was expected and what was found.
    """
    if len(entries) > MAX_ENTRIES:
        msg = f'expected at most {MAX_ENTRIES} entries, found {len(entries)}'
        raise ValueError(msg)
    hosts: list[str] = []
    buckets: list[str] = []
    networks: list[Network] = []
    for entry in entries:
        text = entry.strip().lower() if isinstance(entry, str) else ''
        network = _network(text)
        if network is not None:
            networks.append(network)
        elif _BUCKET.fullmatch(text):
            buckets.append(text)
        elif _HOST.fullmatch(text):
            hosts.append(text)
        else:
            msg = (
                'expected host names such as "data.example.org", "*.example.org" or "localhost:9000", '
                f'buckets such as "s3://name" and networks such as "10.0.0.0/8", found {str(entry)[:100]!r}'
            )
            raise ValueError(msg)
    return Allowed(tuple(hosts), frozenset(buckets), tuple(networks))


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text.strip('[]'))
    except ValueError:
        return None


def _from_environment() -> Allowed:
    return parse_allowed([text for text in os.environ.get(VARIABLE, '').split(',') if text.strip()])


_source: list[Callable[[], Allowed]] = [_from_environment]


def follow(source: Callable[[], Allowed] | None) -> None:
    """Set the function that returns the list; None: the environment variable is used again."""
    _source[0] = source or _from_environment


def allow_hosts(entries: Sequence[str]) -> None:
    """Set the list for this process.

    :raises ValueError: an entry is none that is understood.
    """
    allowed = parse_allowed(entries)
    follow(lambda: allowed)


def current() -> Allowed:
    """Return the list as it is now.

    :raises UnreadableImageError: the environment variable holds something else.
    """
    try:
        return _source[0]()
    except ValueError as error:
        msg = f'The list of allowed hosts cannot be read: {error}.'
        raise UnreadableImageError(msg) from None


@dataclass(frozen=True)
class Place:
    """Where to ask over HTTP.

    :param base: of the address; ``''`` or begins with a slash. ``query`` stays as it is.
    :param bucket: of S3 as ``s3://name`` where requests carry credentials, else None.
    """

    scheme: str
    host: str
    port: int
    base: str
    query: str = ''
    bucket: str | None = None


def locate(address: str, allowed: Allowed | None = None) -> Place:
    """Return where an address is to be asked for.

    :raises UnreadableImageError: its host is not on the list, or it is no address that we read.
    """
    allowed = current() if allowed is None else allowed
    if len(address) > MAX_ADDRESS or re.search(r'[\s\\\x00-\x1f\x7f]', address):
        msg = f'The address {address[:200]!r} is too long or holds spaces or control characters.'
        raise UnreadableImageError(msg)
    try:
        parts = urlsplit(address)
        host, port = (parts.hostname or '').rstrip('.'), parts.port
    except ValueError as error:
        msg = f'{address[:200]} is not an address: {error}.'
        raise UnreadableImageError(msg) from None
    if parts.scheme not in SCHEMES or not host or parts.fragment or '@' in parts.netloc:
        msg = (
            f'Expected an address that begins with {", ".join(SCHEMES)} and :// and has a host, no user and '
            f'no fragment; found {address[:200]!r}.'
        )
        raise UnreadableImageError(msg)
    if '..' in parts.path.split('/'):
        msg = f'The address {address[:200]!r} holds "..".'
        raise UnreadableImageError(msg)
    if parts.scheme in ('s3', 'gs'):
        return _bucket_place(parts.scheme, host, parts.path, allowed)
    place = Place(
        parts.scheme, host, port or (443 if parts.scheme == 'https' else 80), parts.path, parts.query
    )
    check_host(place, allowed)
    return place


def _bucket_place(scheme: str, bucket: str, path: str, allowed: Allowed) -> Place:
    named = f'{scheme}://{bucket}' in allowed.buckets
    if scheme == 'gs':
        place = Place('https', 'storage.googleapis.com', 443, f'/{bucket}{path}')
    else:
        place = _s3_place(bucket, path, named=named)
    if not named:
        check_host(place, allowed)
    return place


def _s3_place(bucket: str, path: str, *, named: bool) -> Place:
    credentials = f's3://{bucket}' if named else None
    endpoint = os.environ.get('AWS_ENDPOINT_URL_S3') or os.environ.get('AWS_ENDPOINT_URL')
    if endpoint:
        parts = urlsplit(endpoint)
        port = parts.port or (443 if parts.scheme == 'https' else 80)
        base = f'{parts.path.rstrip("/")}/{bucket}{path}'
        return Place(parts.scheme, parts.hostname or '', port, base, bucket=credentials)
    host = f's3.{region()}.amazonaws.com'
    # The certificate covers no further dots before this name.
    if '.' in bucket:
        return Place('https', host, 443, f'/{bucket}{path}', bucket=credentials)
    return Place('https', f'{bucket}.{host}', 443, path, bucket=credentials)


def region() -> str:
    """Return the S3 region that the environment names."""
    return os.environ.get('AWS_REGION') or os.environ.get('AWS_DEFAULT_REGION') or 'us-east-1'


def check_host(place: Place, allowed: Allowed) -> None:
    """Refuse a host that is not on the list.

    :raises UnreadableImageError: it is not.
    """
    try:
        literal = ipaddress.ip_address(place.host)
    except ValueError:
        literal = None
    for entry in allowed.hosts:
        name, _, port = entry.partition(':')
        fits = place.host.endswith(name[1:]) if name.startswith('*.') else place.host == name
        if fits and (not port or int(port) == place.port):
            return
    if literal is not None and any(literal in network for network in allowed.networks):
        return
    msg = f'The host {place.host} is not on the list of hosts that images may be read from.'
    raise UnreadableImageError(msg)


def _inner(
    number: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(number, ipaddress.IPv4Address):
        return number
    if number in _NAT64:
        return ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)
    return number.ipv4_mapped or number.sixtofour or number


def resolve(place: Place, allowed: Allowed) -> str:
    """Return the network address to connect to; it is used as it is, so that no later answer can change it.

    :raises UnreadableImageError: there is none, or it is not public and on no listed network.
    """
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        msg = f'The host {place.host} is not known: {error}.'
        raise UnreadableImageError(msg) from None
    for *_, address in found:
        text = str(address[0]).partition('%')[0]
        number = ipaddress.ip_address(text)
        number = _inner(number)
        public = number.is_global and not number.is_multicast
        if public or any(number in network for network in allowed.networks):
            return text
    msg = (
        f'The host {place.host} lies in a network that is not public; the list of allowed hosts has to name '
        'that network as well.'
    )
    raise UnreadableImageError(msg)
