"""The setting ``zarr.allowed_hosts``: the hosts that images at addresses may be read from."""

from __future__ import annotations

import re

from girder.exceptions import ValidationException

from girder_zarr.image.store.addresses import parse_allowed

from .define import SettingKey, define, describe


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
        msg = f'{SettingKey.ALLOWED_HOSTS}: expected a list, found {describe(value)}.'
        raise ValidationException(msg, 'value')
    try:
        parse_allowed(value)
    except ValueError as error:
        msg = f'{SettingKey.ALLOWED_HOSTS}: {error}.'
        raise ValidationException(msg, 'value') from None
    return list(dict.fromkeys(text.strip().lower() for text in value))


define(SettingKey.ALLOWED_HOSTS, [], normalise_allowed_hosts)
