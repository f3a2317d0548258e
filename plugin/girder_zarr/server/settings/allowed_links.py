"""The setting ``zarr.link_roots``: where links in imported hierarchies may lead."""

from __future__ import annotations

import os
from pathlib import Path

from girder.exceptions import ValidationException

from .define import SettingKey, define, describe

MAX_ROOTS = 100


def normalise_link_roots(value: object) -> list[str]:
    """Check and normalise the folders below which links may end.

    :param value: a list, or a text with line ends between, of absolute paths on the server. They need not
        exist on the machine that checks them. None is an empty list.
    :returns: without slashes at their ends, each once, in their order.
    :raises ValidationException: with what was expected and what was found.
    """
    if isinstance(value, str):
        value = [line.strip() for line in value.splitlines() if line.strip()]
    if value is None:
        return []
    if not isinstance(value, list | tuple) or len(value) > MAX_ROOTS:
        msg = f'{SettingKey.LINK_ROOTS}: expected a list of at most {MAX_ROOTS}, found {describe(value)}.'
        raise ValidationException(msg, 'value')
    for path in value:
        if not _is_root(path):
            msg = (
                f'{SettingKey.LINK_ROOTS}: expected absolute paths of folders below /, such as '
                f'/data/annex, found {describe(path)}.'
            )
            raise ValidationException(msg, 'value')
    return list(dict.fromkeys(os.path.normpath(path) for path in value))


def _is_root(path: object) -> bool:
    if not isinstance(path, str) or '\0' in path or '..' in Path(path).parts:
        return False
    return path.startswith('/') and not path.startswith('//') and os.path.normpath(path) != '/'


define(SettingKey.LINK_ROOTS, [], normalise_link_roots)
