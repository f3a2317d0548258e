"""The tile sources in the order in which they are tried on a file.

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

from girder_zarr.server.settings.source_priorities import DEFAULT, OFF

from . import priorities


@dataclass(frozen=True)
class Facts:
    """The facts of a file that decide the choice; `path` is None where its bytes are not on this machine."""

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

    @classmethod
    def named(cls, name: str, mime_type: str | None) -> Facts:
        """Gather what a file's name and MIME type alone say, as Girder reads names."""
        base = PurePosixPath(name).name
        extensions = tuple(part.lower().split()[0] for part in base.split('.')[1:] if part.strip())
        return cls(name=base, extensions=extensions, mime_type=mime_type or None, path=None)


@dataclass
class Candidate:
    """One source: its rank, by what it matched, and whether it can read the file (None: not tried)."""

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
        return str(SourcePriority(priority).name)
    except ValueError:
        return str(int(priority))


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
    # On a tie the more specific reason is given: an extension before a type, a name, and the default.
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
        matches.append((mime_types[facts.mime_type], f'MIME type {facts.mime_type}'))
    for pattern, priority in (getattr(source, 'nameMatches', None) or {}).items():
        if re.match(pattern, facts.name):
            matches.append((priority, f'name {pattern}'))
    return matches


def _why_never(name: str, facts: Facts) -> str:
    changes = priorities.overrides().get(name)
    if changes == OFF:
        return 'The administrator has turned this source off.'
    keys = (DEFAULT, *facts.extensions, facts.mime_type)
    if changes and any(changes.get(key) == OFF for key in keys):
        return 'The administrator has turned this source off for files like this one.'
    return 'This source is used only where it is asked for by name.'
