"""The settings of this plugin: keys, defaults, validators.

Validators store a normalised value, so that whoever reads a setting needs no second set of rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from girder.exceptions import ValidationException
from girder.utility import setting_utilities
from large_image.constants import SourcePriority

from girder_zarr.image.limits import parse_limits
from girder_zarr.image.store.addresses import parse_allowed

OFF = 'off'
DEFAULT = 'default'
MAX_SOURCES = 200
MAX_EXTENSIONS = 500

_SOURCE_NAME = re.compile(r'[A-Za-z0-9_-]{1,64}')
# What Girder takes for an extension of a file: one part of its name, lower case, without a dot.
_EXTENSION = re.compile(r'[^\s./\\$\x00]{1,32}')
PRIORITY_NAMES = tuple(priority.name for priority in SourcePriority)


class SettingKey:
    """Keys in Girder's settings."""

    SOURCE_PRIORITIES = 'zarr.source_priorities'
    ALLOWED_HOSTS = 'zarr.allowed_hosts'
    LIMITS = 'zarr.limits'


def normalise_source_priorities(value: object) -> dict[str, Any]:
    """Check and normalise the overrides of tile source priorities.

    :param value: ``{source: 'off'}`` or ``{source: {extension: priority}}``, where an extension is written in
        any case with or without a leading dot ('' or 'default' stands for files whose extension the source
        does not list) and a priority is a name of `large_image.constants.SourcePriority`, its number, 'off'.
        None is no override at all. A source need not be installed: another process may have it.
    :returns: the same with lower case extensions, 'default' for '', and names in place of numbers.
    :raises ValidationException: with what was expected and what was found.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _invalid(f'expected a JSON object of source names, found {_describe(value)}')
    if len(value) > MAX_SOURCES:
        raise _invalid(f'expected at most {MAX_SOURCES} sources, found {len(value)}')
    result: dict[str, Any] = {}
    for source, overrides in value.items():
        if not isinstance(source, str) or not _SOURCE_NAME.fullmatch(source):
            raise _invalid(
                'expected the name of a tile source (letters, digits, "_" and "-"), '
                f'found {_describe(source)}'
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
            f'source "{source}": expected "off" or a JSON object of extensions, found {_describe(overrides)}'
        )
    if len(overrides) > MAX_EXTENSIONS:
        raise _invalid(
            f'source "{source}": expected at most {MAX_EXTENSIONS} extensions, found {len(overrides)}'
        )
    result: dict[str, str] = {}
    for key, priority in overrides.items():
        extension = _normalise_extension(source, key)
        name = _normalise_priority(source, extension, priority)
        if result.setdefault(extension, name) != name:
            raise _invalid(
                f'source "{source}", extension "{extension}": expected one priority, '
                f'found {result[extension]} and {name}'
            )
    return result


def _normalise_extension(source: str, key: object) -> str:
    extension = key.strip().lower().removeprefix('.') if isinstance(key, str) else None
    if extension == '':
        return DEFAULT
    if extension is None or not _EXTENSION.fullmatch(extension):
        raise _invalid(
            f'source "{source}": expected a file extension of one part, such as "zip", or "{DEFAULT}", '
            f'found {_describe(key)}'
        )
    return extension


def _normalise_priority(source: str, extension: str, priority: object) -> str:
    if isinstance(priority, str):
        name = priority.strip()
        if name.lower() == OFF:
            return OFF
        if name.upper() in SourcePriority.__members__:
            return name.upper()
        priority = int(name) if re.fullmatch(r'[0-9]{1,3}', name) else priority
    if isinstance(priority, int) and not isinstance(priority, bool):
        try:
            return SourcePriority(priority).name
        except ValueError:
            pass
    raise _invalid(
        f'source "{source}", extension "{extension}": expected {", ".join(PRIORITY_NAMES)}, '
        f'a number from {min(SourcePriority).value} to {max(SourcePriority).value} or "{OFF}", '
        f'found {_describe(priority)}'
    )


def _describe(value: object) -> str:
    """Value for a message, short."""
    if isinstance(value, Mapping):
        return 'an object'
    if isinstance(value, list | tuple):
        return 'a list'
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + '...'


def _invalid(message: str) -> ValidationException:
    return ValidationException(f'{SettingKey.SOURCE_PRIORITIES}: {message}.', 'value')


@setting_utilities.default(SettingKey.SOURCE_PRIORITIES)
def _default_source_priorities() -> dict[str, Any]:
    return {}


def _validate_source_priorities(doc: dict[str, Any]) -> None:
    doc['value'] = normalise_source_priorities(doc['value'])


# Replacing keeps a second import of this module from chaining the validator to itself.
setting_utilities.validator(SettingKey.SOURCE_PRIORITIES, replace=True)(_validate_source_priorities)


def normalise_allowed_hosts(value: object) -> list[str]:
    """Check and normalise the hosts that images may be read from.

    :param value: a list, or a text with commas or line ends between, of what
        `girder_zarr.image.store.addresses.parse_allowed` takes. None is an empty list.
    :returns: lower case, each once, in their order.
    :raises ValidationException: with what was expected and what was found.
    """
    if isinstance(value, str):
        value = [text for text in re.split(r'[,\s]+', value) if text]
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        msg = f'{SettingKey.ALLOWED_HOSTS}: expected a list, found {_describe(value)}.'
        raise ValidationException(msg, 'value')
    try:
        parse_allowed(value)
    except ValueError as error:
        msg = f'{SettingKey.ALLOWED_HOSTS}: {error}.'
        raise ValidationException(msg, 'value') from None
    return list(dict.fromkeys(text.strip().lower() for text in value))


@setting_utilities.default(SettingKey.ALLOWED_HOSTS)
def _default_allowed_hosts() -> list[str]:
    return []


def _validate_allowed_hosts(doc: dict[str, Any]) -> None:
    doc['value'] = normalise_allowed_hosts(doc['value'])


setting_utilities.validator(SettingKey.ALLOWED_HOSTS, replace=True)(_validate_allowed_hosts)


@setting_utilities.default(SettingKey.LIMITS)
def _default_limits() -> dict[str, int]:
    return {}


def _validate_limits(doc: dict[str, Any]) -> None:
    """Check what differs from the limits of `girder_zarr.image.limits.Limits`; a text is taken for JSON."""
    value = doc['value']
    try:
        value = json.loads(value or '{}') if isinstance(value, str) else value
        parse_limits(value)
    except ValueError as error:
        msg = f'{SettingKey.LIMITS}: {error}.'
        raise ValidationException(msg, 'value') from None
    doc['value'] = value or {}


setting_utilities.validator(SettingKey.LIMITS, replace=True)(_validate_limits)
