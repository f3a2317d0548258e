"""Priorities of tile sources by extension and MIME type, as an administrator sets them.

large_image decides from three class attributes of each source: ``extensions``, ``mimeTypes``,
``nameMatches``. `install` puts live views in their place. A view holds the source's own values
untouched and shows them with the overrides of the setting ``zarr.source_priorities`` applied, as that
setting is now. Reading a view is what looks for a change, so that everything that reads those
attributes agrees, in every process, with nothing to restart: at once in the process that saves the
setting, within `polled.MAX_AGE` seconds in all others.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import large_image.tilesource
from girder import events
from girder.exceptions import ValidationException
from girder_large_image import girder_tilesource
from large_image.constants import SourcePriority

from girder_zarr.server.settings.define import SettingKey
from girder_zarr.server.settings.polled import PolledSetting, is_fixed_by_environment
from girder_zarr.server.settings.source_priorities import (
    DEFAULT,
    OFF,
    is_mime_type,
    normalise_source_priorities,
)

logger = logging.getLogger(__name__)

ATTRIBUTES = ('extensions', 'mimeTypes', 'nameMatches')
_HANDLER = 'zarr.source_priorities'
_MARK = 'watched_by_girder_zarr'
_EVENTS = ('model.setting.save.after', 'model.setting.remove')

Settings = Mapping[str, Any]
Registry = dict[str, type]


def _tolerant(raw: object) -> Settings:
    """Normalise a value that may have come in past the validator."""
    try:
        return normalise_source_priorities(raw)
    except ValidationException as exception:
        logger.warning('The tile source priorities are left out: %s', exception)
        return {}


def apply_overrides(
    settings: Settings, source: str, attribute: str, own: Mapping[str | None, Any]
) -> Mapping[str | None, Any]:
    """Give a source's own values of one attribute as the setting changes them.

    'off' for a source leaves nothing by which it could be chosen; 'off' for an extension or a MIME type takes
    it away; 'off' for the default keeps the source from files whose extension it does not list.
    """
    changes = settings.get(source)
    if changes is None:
        return own
    if changes == OFF:
        return {} if attribute == 'nameMatches' else {None: SourcePriority.MANUAL}
    if attribute == 'nameMatches':
        return own
    result = dict(own)
    for key, name in changes.items():
        if is_mime_type(key) != (attribute == 'mimeTypes'):
            continue
        if key == DEFAULT:
            result[None] = SourcePriority.MANUAL if name == OFF else SourcePriority[name]
        elif name == OFF:
            result.pop(key, None)
        else:
            result[key] = SourcePriority[name]
    return result


class LivePriorities(MutableMapping[Any, Any]):
    """One attribute of one source: what the source declares (`own`), read with the overrides applied."""

    def __init__(self, source: str, attribute: str, own: MutableMapping[Any, Any]) -> None:
        self.source = source
        self.attribute = attribute
        self.own = own

    def effective(self) -> Mapping[Any, Any]:
        """Give the values of this moment; not to be changed."""
        watch()
        return apply_overrides(overrides(), self.source, self.attribute, self.own)

    def __getitem__(self, key: Any) -> Any:
        return self.effective()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.effective())

    def __len__(self) -> int:
        return len(self.effective())

    def items(self) -> Any:
        """Give the pairs of one moment."""
        return self.effective().items()

    def __setitem__(self, key: Any, value: Any) -> None:
        # Sources add what they miss ("if x not in cls.extensions"); what is turned off is not missing.
        if key not in self.own or key in self:
            self.own[key] = value

    def __delitem__(self, key: Any) -> None:
        del self.own[key]

    def copy(self) -> LivePriorities:
        """Give a live view on a copy; sources copy their attributes before they add to them."""
        return LivePriorities(self.source, self.attribute, dict(self.own))

    def __repr__(self) -> str:
        return repr(dict(self))


def own_values(source: type, attribute: str) -> MutableMapping[Any, Any]:
    """Give the values that a source class declares itself."""
    value = getattr(source, attribute, None)
    return value.own if isinstance(value, LivePriorities) else value if value is not None else {}


def registries() -> tuple[Registry, Registry]:
    """Name the registries of sources that large_image chooses from."""
    return girder_tilesource.AvailableGirderTileSources, large_image.tilesource.AvailableTileSources


_installed = False
_watch_lock = threading.RLock()
_watched: tuple[tuple[type, ...], ...] = ()
#: What sources were ever known by, extensions and MIME types, in the sets of girder_large_image.
_ever_known: dict[str, set[str]] = {'extensions': set(), 'mimeTypes': set()}


def watch() -> None:
    """Put views on every registered source that has none yet."""
    global _watched  # noqa: PLW0603  one per process, like the registries
    registered = tuple(tuple(registry.values()) for registry in registries())
    if not _installed or registered == _watched:
        return
    with _watch_lock:
        for registry in registries():
            for name, source in list(registry.items()):
                _put_views(name, source)
                _add_late_extensions(name, source)
        _watched = registered
        sync_known(overrides.known)


def _put_views(name: str, source: type) -> None:
    for attribute in ATTRIBUTES:
        if not isinstance(vars(source).get(attribute), LivePriorities):
            setattr(source, attribute, LivePriorities(name, attribute, own_values(source, attribute)))


def _add_late_extensions(name: str, source: Any) -> None:
    """Let a source add now what it would add when it opens its first file.

    Otherwise the order of the sources would depend on what a process has opened so far.
    """
    try:
        getattr(source, 'addKnownExtensions', lambda: None)()
    except Exception:
        logger.warning('The tile source %s cannot say which extensions it knows', name, exc_info=True)


def sync_known(settings: Settings) -> None:
    """Bring girder_large_image's sets of what is worth a look at upload in line with the setting."""
    _sync(settings, 'extensions', girder_tilesource.KnownExtensions)
    _sync(settings, 'mimeTypes', girder_tilesource.KnownMimeTypes)


def _sync(settings: Settings, attribute: str, known: set[str]) -> None:
    wanted: set[str] = set()
    ever = _ever_known[attribute]
    for name, source in list(girder_tilesource.AvailableGirderTileSources.items()):
        if getattr(source, 'girderSource', False):
            own = own_values(source, attribute)
            effective = apply_overrides(settings, name, attribute, own)
            wanted.update(key for key in effective if key is not None)
            ever.update(key for key in own if key is not None)
    ever.update(wanted)
    known.difference_update(ever - wanted)
    known.update(wanted)


#: The setting as this process knows it; a worker without a database keeps the sources' own priorities.
overrides: PolledSetting[Settings] = PolledSetting(
    SettingKey.SOURCE_PRIORITIES, _tolerant, {}, fail_closed=False, on_change=sync_known
)


def fixed_by_environment() -> bool:
    """Return whether an environment variable stands before the setting."""
    return is_fixed_by_environment(SettingKey.SOURCE_PRIORITIES)


def install() -> None:
    """Put the live views in place, now and whenever sources are loaded. Safe to call again.

    Loads no source and reads no setting by itself: Celery's parent process must not open the database.
    """
    global _installed  # noqa: PLW0603
    with _watch_lock:
        load = large_image.tilesource.loadTileSources
        if not hasattr(load, _MARK):
            large_image.tilesource.loadTileSources = _watching(load)
        _installed = True
    for event in _EVENTS:
        events.unbind(event, _HANDLER)
        events.bind(event, _HANDLER, _setting_changed)
    watch()


def uninstall() -> None:
    """Give every source its own attributes back."""
    global _installed, _watched
    with _watch_lock:
        if not _installed:
            return
        _installed, _watched = False, ()
        for event in _EVENTS:
            events.unbind(event, _HANDLER)
        for registry in registries():
            for source in registry.values():
                for attribute in ATTRIBUTES:
                    if isinstance(vars(source).get(attribute), LivePriorities):
                        setattr(source, attribute, own_values(source, attribute))
        sync_known({})


def _watching(load: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(load)
    def loadTileSources(*args: Any, **kwargs: Any) -> None:
        load(*args, **kwargs)
        watch()

    setattr(loadTileSources, _MARK, True)
    return loadTileSources


def _setting_changed(event: events.Event) -> None:
    if event.info.get('key') == SettingKey.SOURCE_PRIORITIES:
        overrides.invalidate()
        unknown = set(event.info.get('value') or {}) - set(girder_tilesource.AvailableGirderTileSources)
        if unknown and event.name.endswith('save.after'):
            logger.warning(
                'Priorities are set for tile sources that this server does not have: %s',
                ', '.join(sorted(unknown)),
            )
