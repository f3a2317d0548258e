"""Why a tile source opens a file: the sources in the order in which they are asked, and what each answers.

The order is that of `girder_large_image.girder_tilesource.getGirderTileSourceName`, which answers with
a name only: sources that fit the file's geospatial nature first, then those that know its extension,
type or name, then by priority, then by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from girder.exceptions import FilePathException
from girder.models.file import File
from girder_large_image import girder_tilesource
from large_image import config
from large_image.constants import SourcePriority
from large_image.tilesource import isGeospatial

from girder_zarr.server.settings.definitions import DEFAULT, OFF

from . import priorities


@dataclass(frozen=True)
class Facts:
    """What the choice is made from; `path` is where the bytes lie, if they are local."""

    name: str
    extensions: tuple[str, ...]
    mime_type: str | None
    path: str | None

    @classmethod
    def of(cls, file: dict[str, Any]) -> Facts:
        """Gather them from a Girder file."""
        try:
            path = File().getLocalFilePath(file)
        except (FilePathException, AttributeError):
            path = None
        return cls(
            name=PurePosixPath(file['name']).name,
            extensions=tuple(entry.lower().split()[0] for entry in file.get('exts') or () if entry.strip()),
            mime_type=file.get('mimeType') or None,
            path=path,
        )


@dataclass
class Candidate:
    """One source: its rank, by what it matched, and whether it can read the file (None: it was not asked)."""

    source: str
    clash: bool
    fallback: bool
    priority: int
    matched: str
    considered: bool
    canRead: bool | None = None
    reason: str | None = None
    failed: bool = False

    @property
    def rank(self) -> tuple[bool, bool, bool, int, str]:
        """Sort key: those that are asked first, in the order of asking."""
        return not self.considered, self.clash, self.fallback, self.priority, self.source

    def described(self, current: str | None, chosen: str | None) -> dict[str, Any]:
        """Give what the route answers."""
        return {
            'source': self.source,
            'priority': int(self.priority),
            'priorityName': priority_name(self.priority),
            'matched': self.matched,
            'fallback': self.fallback,
            'geospatialMismatch': self.clash,
            'considered': self.considered,
            'canRead': self.canRead,
            'reason': self.reason,
            'current': self.source == current,
            'wouldChoose': self.source == chosen,
        }


def priority_name(priority: int) -> str:
    """Name a priority; one between the names large_image gives is its number."""
    try:
        return SourcePriority(priority).name
    except ValueError:
        return str(int(priority))


def explain(
    item: dict[str, Any], file: dict[str, Any], *, probe: bool = True, show_paths: bool = False
) -> dict[str, Any]:
    """Say which source would open the file of an item and why.

    :param probe: ask each source whether it can read the file, which opens the file once for each.
    :param show_paths: leave paths of the server in the sources' own sentences.
    """
    facts = Facts.of(file)
    candidates = rank(facts)
    if probe:
        subject = {**item, 'largeImage': {**item.get('largeImage', {}), 'fileId': file['_id']}}
        for candidate in candidates:
            if candidate.considered:
                _probe(candidate, subject, None if show_paths else facts)
    chosen = _first_that_reads(candidates) if probe else None
    current = item.get('largeImage', {}).get('sourceName')
    return {
        'itemId': item['_id'],
        'fileId': file['_id'],
        'fileName': file['name'],
        'extensions': list(facts.extensions),
        'mimeType': facts.mime_type,
        'current': current,
        'wouldChoose': chosen,
        'sources': [candidate.described(current, chosen) for candidate in candidates],
    }


def rank(facts: Facts) -> list[Candidate]:
    """Rank all sources for a file, those that are never asked last."""
    registry = girder_tilesource.AvailableGirderTileSources
    if not registry:
        girder_tilesource.loadGirderTileSources()
    geospatial = isGeospatial(facts.path) if facts.path else None
    pattern = config.getConfig('all_sources_ignored_names')
    ignored = bool(pattern and re.search(pattern, facts.name, flags=re.IGNORECASE))
    found = [
        _candidate(name, source, facts, geospatial, ignored)
        for name, source in list(registry.items())
        if getattr(source, 'girderSource', False)
    ]
    return sorted(found, key=lambda candidate: candidate.rank)


def _candidate(name: str, source: Any, facts: Facts, geospatial: bool | None, ignored: bool) -> Candidate:
    extensions = dict(source.extensions)
    matches = _matches(source, extensions, facts)
    default = (extensions.get(None, SourcePriority.MANUAL), DEFAULT)
    # On a tie the more telling reason is given: an extension before a type, a name, and the default.
    priority, matched = min([*matches, default], key=lambda match: match[0])
    clash = geospatial is not None and getattr(source, '_geospatial_source', False) != geospatial
    candidate = Candidate(name, clash, not matches, priority, matched, considered=True)
    if priority >= SourcePriority.MANUAL:
        candidate.considered = False
        candidate.reason = _why_never(name, facts)
    elif ignored and not matches:
        candidate.considered = False
        candidate.reason = 'The setting all_sources_ignored_names keeps sources from files of this name.'
    return candidate


def _matches(source: Any, extensions: dict[str | None, Any], facts: Facts) -> list[tuple[int, str]]:
    """Give each way in which a source knows the file, with its priority."""
    matches = [(extensions[e], f'extension .{e}') for e in facts.extensions if e in extensions]
    mime_types = getattr(source, 'mimeTypes', None) or {}
    if facts.mime_type and facts.mime_type in mime_types:
        matches.append((mime_types[facts.mime_type], f'mime type {facts.mime_type}'))
    for pattern, priority in (getattr(source, 'nameMatches', None) or {}).items():
        if re.match(pattern, facts.name):
            matches.append((priority, f'name {pattern}'))
    return matches


def _why_never(name: str, facts: Facts) -> str:
    changes = priorities.overrides.current().get(name)
    if changes == OFF:
        return 'The administrator has turned this source off.'
    if changes and any(changes.get(key) == OFF for key in (DEFAULT, *facts.extensions)):
        return 'The administrator has turned this source off for files like this one.'
    return 'This source is used only where it is asked for by name.'


def _probe(candidate: Candidate, item: dict[str, Any], hide: Facts | None) -> None:
    """Ask a source whether it can read the item's file, and why not."""
    source = girder_tilesource.AvailableGirderTileSources[candidate.source]
    try:
        candidate.canRead = bool(source.canRead(item, noCache=True))
    except Exception as exception:  # noqa: BLE001  whatever a source raises is the answer to give
        # The search stops here as well, unless only a file on this machine is missing.
        candidate.canRead, candidate.failed = False, not isinstance(exception, FilePathException)
        candidate.reason = _sentence(exception, hide)
        return
    if not candidate.canRead:
        try:
            source(item, noCache=True)
        except Exception as exception:  # noqa: BLE001
            candidate.reason = _sentence(exception, hide)
        else:
            candidate.reason = 'The source declines this file.'


def _sentence(exception: Exception, hide: Facts | None) -> str:
    text = ' '.join(str(exception).split()) or type(exception).__name__
    if hide is not None and hide.path:
        text = text.replace(hide.path, hide.name)
    return text if len(text) <= 500 else text[:497] + '...'


def _first_that_reads(candidates: list[Candidate]) -> str | None:
    for candidate in candidates:
        if candidate.canRead:
            return candidate.source
        if candidate.failed:
            return None
    return None


def list_sources() -> list[dict[str, Any]]:
    """Give every source with its own and its effective priorities, by name.

    A source that the setting names and this server does not have is listed as not installed.
    """
    settings = priorities.overrides.current()
    registry = girder_tilesource.AvailableGirderTileSources
    if not registry:
        girder_tilesource.loadGirderTileSources()
    return [_listed(name, registry.get(name), settings) for name in sorted({*registry, *settings})]


def _listed(name: str, source: type | None, settings: priorities.Settings) -> dict[str, Any]:
    changes = settings.get(name, {})
    off = changes == OFF
    own = priorities.own_values(source, 'extensions') if source else {}
    effective = priorities.apply_overrides(settings, name, 'extensions', own) if source else {}
    named = {} if off else changes
    keys = {key or DEFAULT for key in own} | set(named)
    return {
        'name': name,
        'installed': source is not None,
        'off': off,
        'extensions': [
            {
                'extension': key,
                'default': _described_priority(own.get(None if key == DEFAULT else key)),
                'effective': _described_priority(effective.get(None if key == DEFAULT else key)),
                'override': named.get(key),
            }
            for key in sorted(keys, key=lambda key: (key != DEFAULT, key))
        ],
        'mimeTypes': {
            str(key): _described_priority(value)
            for key, value in (priorities.own_values(source, 'mimeTypes') if source else {}).items()
            if key is not None
        },
    }


def _described_priority(value: int | None) -> dict[str, Any] | None:
    return None if value is None else {'value': int(value), 'name': priority_name(value)}
