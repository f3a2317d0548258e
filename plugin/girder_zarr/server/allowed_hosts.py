"""The setting ``zarr.allowed_hosts``: the hosts that images may be read from, followed by every process."""

from __future__ import annotations

import logging
import threading
import time

from girder.exceptions import ValidationException

from girder_zarr.image.store import addresses

from .priorities import stored_value
from .settings import SettingKey, normalise_allowed_hosts

logger = logging.getLogger(__name__)

MAX_AGE = 1.0


class Hosts:
    """The setting as this process knows it, at most `MAX_AGE` seconds old."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = addresses.Allowed()
        self._raw: object = None
        self._fresh_until = 0.0

    def __call__(self) -> addresses.Allowed:
        """Return the list. Where the setting cannot be read, no host is allowed."""
        with self._lock:
            if time.monotonic() >= self._fresh_until:
                self._refresh()
            return self._value

    def _refresh(self) -> None:
        started, age = time.monotonic(), MAX_AGE
        try:
            raw = stored_value(SettingKey.ALLOWED_HOSTS)
            if raw != self._raw:
                self._value = addresses.parse_allowed(normalise_allowed_hosts(raw))
                self._raw = raw
        except ValidationException as error:
            logger.warning('No host is allowed: %s', error)
            self._value, self._raw = addresses.Allowed(), None
        except Exception as error:  # noqa: BLE001 - a worker without a database reads no addresses
            logger.warning('No host is allowed, since the setting cannot be read: %s', error)
            self._value, self._raw = addresses.Allowed(), None
            age = max(MAX_AGE, 40 * (time.monotonic() - started))
        self._fresh_until = time.monotonic() + age


def install() -> None:
    """Let images at addresses be read as the setting says."""
    addresses.follow(Hosts())
