"""The codecs of numcodecs by their names, for decompressors and filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder_zarr.errors import UnreadableImageError

if TYPE_CHECKING:
    from collections.abc import Mapping


def codec_object(name: str, config: Mapping[str, Any]) -> Any:
    """Return a numcodecs codec.

    :param name: a codec id that has passed :func:`.limits.check_codec`.
    :param config: its configuration without the id. The number of threads is not taken from it.
    :raises UnreadableImageError: the codec is not installed, or its configuration is not valid.
    """
    from numcodecs.registry import get_codec

    # The file does not decide how many threads decode it.
    config = {key: value for key, value in config.items() if key not in ('numthreads', 'verbose')}
    try:
        return get_codec({**config, 'id': name})
    except Exception as error:  # noqa: BLE001 - each codec checks its configuration in its own way
        msg = f'The codec {name!r} cannot be used: {error}.'
        raise UnreadableImageError(msg) from None
