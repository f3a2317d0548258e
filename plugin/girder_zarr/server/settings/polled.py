"""Settings that the floors below look at all the time, each followed by every process, workers too."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import girder.models
import pymongo
from girder.models.setting import Setting

from girder_zarr.common import budget
from girder_zarr.common.chunk_cache import CHUNKS, DEFAULT_BYTES
from girder_zarr.common.read_ahead import AHEAD, DEFAULT_CHUNKS
from girder_zarr.image import limits, style_functions
from girder_zarr.image.store import addresses, stores

from . import image_limits  # noqa: F401 - defines the setting that is polled here
from .ahead_of_need import normalise_read_ahead
from .allowed_functions import normalise_style_functions
from .allowed_hosts import normalise_allowed_hosts
from .allowed_links import normalise_link_roots
from .chunk_cache_bytes import normalise_chunk_cache_bytes
from .define import SettingKey
from .memory_budget import parse_memory_budget

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

#: Seconds after which a setting is read again: an administrator sees at once what a change does, and a read
#: a second is nothing to a database.
MAX_AGE = 1.0
#: Where reading takes long, such as without a database, no more than one part in so many goes into it.
BACK_OFF = 40
#: Seconds to wait for a database that this process has not reached yet.
PATIENCE = 1.5

Value = TypeVar('Value')


class PolledSetting(Generic[Value]):
    """A setting as this process knows it, at most `MAX_AGE` seconds old. Thread safe; never raises.

    :param key: its key.
    :param parse: makes a value of what is stored; may raise.
    :param first: the value until the setting is read.
    :param fail_closed: what holds where the setting cannot be read: ``first`` again (True), for what must not
        stay allowed by an outdated value; or the value that was known last (False). With True all readers
        wait for a reading that is under way, with False only where nothing is known yet.
    :param on_change: called with each new value.
    """

    def __init__(
        self,
        key: str,
        parse: Callable[[object], Value],
        first: Value,
        *,
        fail_closed: bool,
        on_change: Callable[[Value], None] | None = None,
    ) -> None:
        self._key, self._parse, self._first, self._fail_closed = key, parse, first, fail_closed
        self._on_change = on_change
        self._lock = threading.Lock()
        self._value = first
        self._raw: object = None
        self._fresh_until: float | None = None
        self._generation = 0

    def __call__(self) -> Value:
        """Return the value, read again where it is out of date."""
        fresh_until = self._fresh_until
        if fresh_until is not None and time.monotonic() < fresh_until:
            return self._value
        if not self._lock.acquire(blocking=self._fail_closed or fresh_until is None):
            return self._value
        try:
            if self._fresh_until is fresh_until:
                self._refresh()
        finally:
            self._lock.release()
        return self._value

    @property
    def known(self) -> Value:
        """The value as it was read last, without a look at the setting."""
        return self._value

    def invalidate(self) -> None:
        """Make the next reader read the setting."""
        self._generation += 1
        self._fresh_until = None

    def _refresh(self) -> None:
        generation, started, age = self._generation, time.monotonic(), MAX_AGE
        try:
            raw = stored_value(self._key)
            if raw != self._raw:
                self._value, self._raw = self._parse(raw), raw
                if self._on_change is not None:
                    self._on_change(self._value)
        except Exception as error:  # noqa: BLE001 - a worker without a database goes on with what it has
            logger.warning('The setting %s cannot be read: %s', self._key, error)
            if self._fail_closed:
                self._value, self._raw = self._first, None
            age = max(MAX_AGE, BACK_OFF * (time.monotonic() - started))
        if generation == self._generation:
            self._fresh_until = time.monotonic() + age


def is_fixed_by_environment(key: str) -> bool:
    """Return whether an environment variable replaces what is stored, as it does for all Girder settings."""
    return variable_of(key) in os.environ


def stored_value(key: str) -> object:
    """Return a setting as it is now, from the environment or the database.

    `Setting.get` may answer from a cache of this process that never ages, hence the detour.

    :raises Exception: the database cannot be reached.
    """
    fixed = os.environ.get(variable_of(key))
    if fixed is not None:
        try:
            return json.loads(fixed)
        except ValueError:
            return fixed
    _require_database()
    document = Setting().findOne({'key': key})
    return None if document is None else document.get('value')


def variable_of(key: str) -> str:
    """Return the name of the environment variable that replaces a setting."""
    return f'GIRDER_SETTING_{key.replace(".", "_").upper()}'


def _require_database() -> None:
    """Fail soon where there is no database, as in workers elsewhere; Girder itself would wait 20 seconds."""
    if girder.models._dbClients:
        return
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(
        girder.models.getDbConfig().get('uri') or 'mongodb://localhost:27017/girder',
        serverSelectionTimeoutMS=int(PATIENCE * 1000),
    )
    with client:
        client.admin.command('ping')


def install() -> None:
    """Let what images may cost, read and call be what the settings say.

    Where the settings cannot be read, the limits that were known last hold, no host is allowed, no function
    of styles but large_image's own, and no link is followed.
    """
    limits.follow(PolledSetting(SettingKey.LIMITS, limits.parse_limits, limits.Limits(), fail_closed=False))
    budget.follow(
        PolledSetting(SettingKey.MEMORY_BUDGET, parse_memory_budget, budget.DEFAULT_BYTES, fail_closed=False)
    )
    CHUNKS.bind(
        PolledSetting(
            SettingKey.CHUNK_CACHE_BYTES, normalise_chunk_cache_bytes, DEFAULT_BYTES, fail_closed=False
        )
    )
    AHEAD.bind(PolledSetting(SettingKey.READ_AHEAD, normalise_read_ahead, DEFAULT_CHUNKS, fail_closed=False))
    addresses.follow(
        PolledSetting(SettingKey.ALLOWED_HOSTS, _parse_hosts, addresses.Allowed(), fail_closed=True)
    )
    no_functions: tuple[str, ...] = ()
    style_functions.bind(
        PolledSetting(SettingKey.STYLE_FUNCTIONS, _parse_functions, no_functions, fail_closed=True)
    )
    stores.bind_links(link_roots)


def _parse_hosts(raw: object) -> addresses.Allowed:
    return addresses.parse_allowed(normalise_allowed_hosts(raw))


def _parse_roots(raw: object) -> tuple[str, ...]:
    return tuple(normalise_link_roots(raw))


#: The folders below which links of hierarchies in assetstores may end; none where it cannot be read.
link_roots: PolledSetting[tuple[str, ...]] = PolledSetting(
    SettingKey.LINK_ROOTS, _parse_roots, (), fail_closed=True
)


def _parse_functions(raw: object) -> tuple[str, ...]:
    return tuple(normalise_style_functions(raw))
