"""Settings that the floors below look at all the time, each followed by every process, workers too."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from girder_zarr.image import limits
from girder_zarr.image.store import addresses
from girder_zarr.server.tile_sources.priorities import stored_value

from .definitions import SettingKey, normalise_allowed_hosts

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

#: Seconds after which a setting is read again.
MAX_AGE = 1.0
#: Where reading takes long, such as without a database, no more than one part in so many goes into it.
_SHARE = 40

Value = TypeVar('Value')


class Followed(Generic[Value]):
    """A setting as this process knows it, at most `MAX_AGE` seconds old. Thread safe.

    :param parse: makes a value of what is stored; may raise.
    :param first: the value until the setting is read.
    :param keep: where it cannot be read, whether the last value stays, or ``first`` holds again.
    """

    def __init__(self, key: str, parse: Callable[[object], Value], first: Value, *, keep: bool) -> None:
        self._key, self._parse, self._first, self._keep = key, parse, first, keep
        self._lock = threading.Lock()
        self._value = first
        self._raw: object = None
        self._fresh_until = 0.0

    def __call__(self) -> Value:
        """Return the value."""
        if time.monotonic() >= self._fresh_until:
            with self._lock:
                if time.monotonic() >= self._fresh_until:
                    self._refresh()
        return self._value

    def _refresh(self) -> None:
        started, age = time.monotonic(), MAX_AGE
        try:
            raw = stored_value(self._key)
            if raw != self._raw:
                self._value, self._raw = self._parse(raw), raw
        except Exception as error:  # noqa: BLE001 - a worker without a database goes on with what it has
            logger.warning('The setting %s cannot be read: %s', self._key, error)
            if not self._keep:
                self._value, self._raw = self._first, None
            age = max(MAX_AGE, _SHARE * (time.monotonic() - started))
        self._fresh_until = time.monotonic() + age


def install() -> None:
    """Let the limits of images and the hosts that images are read from be what the settings say.

    Where the settings cannot be read, the limits that were known last hold, and no host is allowed.
    """
    limits.follow(Followed(SettingKey.LIMITS, limits.parse_limits, limits.Limits(), keep=True))
    hosts = Followed(SettingKey.ALLOWED_HOSTS, _parse_hosts, addresses.Allowed(), keep=False)
    addresses.follow(hosts)


def _parse_hosts(raw: object) -> addresses.Allowed:
    return addresses.parse_allowed(normalise_allowed_hosts(raw))
