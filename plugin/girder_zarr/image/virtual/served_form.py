"""In which form an image is served: the words with an ``@`` at the beginning of a key.

They are parts of the path, since zarr's clients put keys behind an address and know no parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from girder_zarr.image.write.encode import Codec

#: Of JPEG tiles that are made here; where the source has stored ones, they are handed on as they are.
JPEG_QUALITY = 90
#: Each word, what it decides, and how.
WORDS: dict[str, tuple[str, str]] = {
    '@v2': ('version', '0.4'),
    '@v3': ('version', '0.5'),
    '@zstd': ('codec', 'zstd'),
    '@blosc': ('codec', 'blosc'),
    '@jpeg': ('codec', 'jpeg'),
}


@dataclass(frozen=True)
class ServedForm:
    """The version of OME-NGFF and the codec of what is served.

    :param version: 0.4 (zarr v2) or 0.5 (zarr v3); None: that of what is stored, else 0.5.
    """

    version: Literal['0.4', '0.5'] | None = None
    codec: Literal['zstd', 'blosc', 'jpeg'] = 'zstd'

    @property
    def zarr_format(self) -> int:
        """2 or 3."""
        return 2 if self.version == '0.4' else 3

    def settings(self) -> Codec:
        """Return the codec with its settings."""
        return Codec(self.codec, JPEG_QUALITY if self.codec == 'jpeg' else 1)


def split_form(key: str) -> tuple[ServedForm | None, str]:
    """Return the form that a key begins with, or None, and the rest of the key.

    Words of both kinds may come in any order, each kind once; what is no such word is a key like others.
    """
    found: dict[str, str] = {}
    while key.startswith('@'):
        word, _, rest = key.partition('/')
        kind, value = WORDS.get(word, ('', ''))
        if not kind or kind in found:
            break
        found[kind], key = value, rest
    return (ServedForm(**found) if found else None), key  # type: ignore[arg-type]
