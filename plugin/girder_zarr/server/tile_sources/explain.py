"""Why a tile source opens a file: what each source answers, in the order of `ranking`."""

from __future__ import annotations

from typing import Any

from girder.exceptions import FilePathException
from girder_large_image import girder_tilesource

from girder_zarr.server.common.hidden_paths import without_paths
from girder_zarr.server.settings.source_priorities import DEFAULT, OFF

from . import priorities
from .ranking import Candidate, Facts, priority_name, rank


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
    if hide is not None:
        text = without_paths(text)
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
    settings = priorities.overrides()
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
