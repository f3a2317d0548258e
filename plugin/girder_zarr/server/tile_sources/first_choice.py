"""Whether the source that an item is registered with is still the one that would be chosen, and which is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from girder.exceptions import FilePathException
from girder_large_image import girder_tilesource

from .explain import sentence_of
from .ranking import Facts, rank

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True)
class FirstChoice:
    """What was found for an item.

    :param source: the source that is first; None where there is none, or it fails.
    :param failure: why there is none, one sentence; None where there is one.
    :param asked: the source that failed, where one did.
    """

    source: str | None
    failure: str | None = None
    asked: str | None = None


def installed_sources() -> list[str]:
    """Return the names of the sources that may open items in this process."""
    if not girder_tilesource.AvailableGirderTileSources:
        girder_tilesource.loadGirderTileSources()
    found = girder_tilesource.AvailableGirderTileSources.items()
    return sorted(name for name, source in found if getattr(source, 'girderSource', False))


def is_asked_first(item: dict[str, Any], file: dict[str, Any], sources: Collection[str]) -> bool:
    """Return whether an item's own source is asked before all others, which needs no look into the file.

    :param sources: those that count.
    """
    first = next((one for one in rank(Facts.of(file)) if one.considered and one.source in sources), None)
    return first is not None and first.source == item['largeImage']['sourceName']


def first_choice(item: dict[str, Any], file: dict[str, Any], sources: Collection[str]) -> FirstChoice:
    """Find the first source that opens the image of an item and shows something of it.

    A source that stands before the item's own is asked whether it can read the file, opens it, and makes the
    tile that shows all of it. The item's own source is not asked: where none before it reads, it stays.

    :param sources: those that count.
    """
    current = item['largeImage']['sourceName']
    for candidate in rank(Facts.of(file)):
        name = candidate.source
        if not candidate.considered or name not in sources:
            continue
        if name == current:
            return FirstChoice(current)
        source = girder_tilesource.AvailableGirderTileSources[name]
        subject = {**item, 'largeImage': {**item['largeImage'], 'sourceName': name}}
        try:
            if not source.canRead(subject, noCache=True):
                continue
        except FilePathException:
            continue  # it needs a file on this machine; see tile_source
        except Exception as exception:  # noqa: BLE001  whatever a source raises is the answer to give
            return FirstChoice(None, f'{name} broke when it was asked: {sentence_of(exception, None)}', name)
        failure = _why_not_shown(source, subject)
        if failure is not None:
            return FirstChoice(None, f'{name} would be the first and fails: {failure}', name)
        return FirstChoice(name)
    return FirstChoice(None, f'No source that may be asked can read it; {current} is not asked any more.')


def _why_not_shown(source: Any, item: dict[str, Any]) -> str | None:
    """Open an image and make the tile of its lowest zoom; return what went wrong."""
    try:
        opened = source(item, noCache=True)
        opened.getMetadata()
        opened.getTile(0, 0, 0)
    except Exception as exception:  # noqa: BLE001
        return sentence_of(exception, None)
    return None
