"""The setting ``zarr.limits``: how large what is read may be, followed by every process."""

from __future__ import annotations

import logging
import threading
import time

from girder_zarr.image import limits

from .priorities import stored_value
from .settings import SettingKey

logger = logging.getLogger(__name__)

MAX_AGE = 1.0


class Followed:
    """The setting as this process knows it, at most `MAX_AGE` seconds old."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = limits.Limits()
        self._raw: object = None
        self._fresh_until = 0.0

    def __call__(self) -> limits.Limits:
        """Return the limits. Where the setting cannot be read, those that were known last hold."""
        if time.monotonic() >= self._fresh_until:
            with self._lock:
                if time.monotonic() >= self._fresh_until:
                    self._refresh()
        return self._value

    def _refresh(self) -> None:
        started, age = time.monotonic(), MAX_AGE
        try:
            raw = stored_value(SettingKey.LIMITS)
            if raw != self._raw:
                self._value, self._raw = limits.parse_limits(raw), raw
        except Exception as error:  # noqa: BLE001 - a worker without a database keeps its limits
            logger.warning('The limits of images cannot be read: %s', error)
            age = max(MAX_AGE, 40 * (time.monotonic() - started))
        self._fresh_until = time.monotonic() + age


def install() -> None:
    """Let the limits be what the setting says."""
    limits.follow(Followed())
