"""The setting ``zarr.source_priorities``: which tile source is asked first for which files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from girder.exceptions import ValidationException
from large_image.constants import SourcePriority

from .define import SettingKey, define, describe

OFF = 'off'
DEFAULT = 'default'
#: A server has some thirty sources; what is larger is a mistake, and would slow every choice of a source.
MAX_SOURCES = 200
#: Extensions and MIME types of one source; the largest source lists some two hundred extensions.
MAX_KEYS = 500

_SOURCE_NAME = re.compile(r'[A-Za-z0-9_-]{1,64}')
# What Girder takes for an extension of a file: one part of its name, lower case, without a dot.
_EXTENSION = re.compile(r'[^\s./\\$\x00]{1,32}')
# A type and a subtype (RFC 6838, 4.2); `$`, which both may hold, is kept out of names of fields.
_MIME_TYPE = re.compile(r'[a-z0-9][a-z0-9!#&^_.+-]{0,126}/[a-z0-9][a-z0-9!#&^_.+-]{0,126}')
PRIORITY_NAMES = tuple(priority.name for priority in SourcePriority)


def normalise_source_priorities(value: object) -> dict[str, Any]:
    """Check and normalise the overrides of tile source priorities.

    :param value: ``{source: 'off'}`` or ``{source: {key: priority}}``, where a key is an extension in any
        case with or without a leading dot ('' or 'default' stands for files whose extension the source does
        not list) or a MIME type, which has a slash, and a priority is a name of
        `large_image.constants.SourcePriority`, its number, 'off'.
        None is no override at all. A source need not be installed: another process may have it.
    :returns: the same with lower case keys, 'default' for '', and names in place of numbers.
    :raises ValidationException: with what was expected and what was found.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _invalid(f'expected a JSON object of source names, found {describe(value)}')
    if len(value) > MAX_SOURCES:
        raise _invalid(f'expected at most {MAX_SOURCES} sources, found {len(value)}')
    result: dict[str, Any] = {}
    for source, overrides in value.items():
        if not isinstance(source, str) or not _SOURCE_NAME.fullmatch(source):
            raise _invalid(
                f'expected the name of a tile source (letters, digits, "_" and "-"), found {describe(source)}'
            )
        normalised = _normalise_source(source, overrides)
        if normalised:
            result[source] = normalised
    return result


def _normalise_source(source: str, overrides: object) -> str | dict[str, str]:
    if isinstance(overrides, str) and overrides.strip().lower() == OFF:
        return OFF
    if not isinstance(overrides, Mapping):
        raise _invalid(
            f'source "{source}": expected "off" or a JSON object of extensions and MIME types, '
            f'found {describe(overrides)}'
        )
    if len(overrides) > MAX_KEYS:
        raise _invalid(
            f'source "{source}": expected at most {MAX_KEYS} extensions and MIME types, '
            f'found {len(overrides)}'
        )
    result: dict[str, str] = {}
    for given, priority in overrides.items():
        key = _normalise_key(source, given)
        name = _normalise_priority(source, key, priority)
        if result.setdefault(key, name) != name:
            raise _invalid(
                f'source "{source}", {kind_of(key)} "{key}": expected one priority, '
                f'found {result[key]} and {name}'
            )
    return result


def is_mime_type(key: str) -> bool:
    """Return whether a key of the setting is a MIME type; the others are extensions."""
    return '/' in key


def kind_of(key: str) -> str:
    """Name what a key of the setting is, for messages."""
    return 'MIME type' if is_mime_type(key) else 'extension'


def _normalise_key(source: str, key: object) -> str:
    if not isinstance(key, str) or not is_mime_type(key):
        return _normalise_extension(source, key)
    mime_type = key.strip().lower()
    if not _MIME_TYPE.fullmatch(mime_type):
        raise _invalid(f'source "{source}": expected a MIME type such as "image/tiff", found {describe(key)}')
    return mime_type


def _normalise_extension(source: str, key: object) -> str:
    extension = key.strip().lower().removeprefix('.') if isinstance(key, str) else None
    if extension == '':
        return DEFAULT
    if extension is None or not _EXTENSION.fullmatch(extension):
        raise _invalid(
            f'source "{source}": expected a file extension of one part, such as "zip", or "{DEFAULT}", '
            f'found {describe(key)}'
        )
    return extension


def _normalise_priority(source: str, key: str, priority: object) -> str:
    if isinstance(priority, str):
        name = priority.strip()
        if name.lower() == OFF:
            return OFF
        if name.upper() in SourcePriority.__members__:
            return name.upper()
        priority = int(name) if re.fullmatch(r'[0-9]{1,3}', name) else priority
    if isinstance(priority, int) and not isinstance(priority, bool):
        try:
            name = SourcePriority(priority).name
        except ValueError:
            pass
        else:
            return str(name)
    raise _invalid(
        f'source "{source}", {kind_of(key)} "{key}": expected {", ".join(PRIORITY_NAMES)}, '
        f'a number from {min(SourcePriority).value} to {max(SourcePriority).value} or "{OFF}", '
        f'found {describe(priority)}'
    )


def _invalid(message: str) -> ValidationException:
    return ValidationException(f'{SettingKey.SOURCE_PRIORITIES}: {message}.', 'value')


define(SettingKey.SOURCE_PRIORITIES, {}, normalise_source_priorities)
