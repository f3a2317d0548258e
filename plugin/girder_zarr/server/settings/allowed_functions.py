"""The setting ``zarr.style_functions``: further functions that styles may call on pixels."""

from __future__ import annotations

import re

from girder.exceptions import ValidationException

from girder_zarr.image import style_functions

from .define import SettingKey, define


def normalise_style_functions(value: object) -> list[str]:
    """Check and normalise the functions that styles may call besides large_image's own.

    :param value: a list, or a text with commas or line ends between, of ``module.function`` and ``module.*``.
        None is an empty list.
    :returns: each once, in their order.
    :raises ValidationException: with what was expected and what was found.
    """
    if isinstance(value, str):
        value = [text for text in re.split(r'[,\s]+', value) if text]
    try:
        return list(dict.fromkeys(style_functions.parse_functions(value)))
    except ValueError as error:
        msg = f'{SettingKey.STYLE_FUNCTIONS}: {error}.'
        raise ValidationException(msg, 'value') from None


define(SettingKey.STYLE_FUNCTIONS, [], normalise_style_functions)
