"""Validators and conditional requests (RFC 9110, 8.8 and 13)."""

from __future__ import annotations

import functools
import hashlib
import re
from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')


@functools.lru_cache(4096)
def etag_of(identity: str) -> str:
    """Return a strong validator. The identity itself may name paths, which stay here."""
    return f'"{hashlib.sha256(identity.encode()).hexdigest()[:32]}"'


def http_date(modified: float) -> str:
    """Return a time as headers have it, in whole seconds."""
    return _date_of(int(modified))


@functools.lru_cache(4096)
def _date_of(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def _tags(header: str) -> list[tuple[bool, str]]:
    """Return the entity tags of a header as (is weak, tag with its quotes); what is malformed ends them."""
    found, at = [], 0
    while match := _TAG.match(header, at):
        found.append((bool(match[1]), f'"{match[2]}"'))
        at = match.end()
        if at >= len(header):
            break
    return found


def status_of_conditions(headers: Mapping[str, str], etag: str) -> int | None:
    """Return the status that the conditions of a GET or HEAD ask for, or None where they hold.

    :param headers: of the request, names in lower case.
    :returns: 412 (If-Match names others) or 304 (If-None-Match names this one).
    """
    match = headers.get('if-match')
    if match is not None and match.strip() != '*' and (False, etag) not in _tags(match):
        return 412
    none = headers.get('if-none-match')
    if none is not None and (none.strip() == '*' or etag in [tag for _, tag in _tags(none)]):
        return 304
    return None


def ranges_count(headers: Mapping[str, str], etag: str, modified: float | None) -> bool:
    """Whether the Range of a request counts: If-Range, where it is given, has to name this very value."""
    given = headers.get('if-range')
    if given is None:
        return True
    given = given.strip()
    if given.startswith(('"', 'W/')):
        return given == etag
    return modified is not None and given == http_date(modified)
