"""What the header of a compressed picture announces, read without decoding a pixel.

Decoders make room before they compare what they find with what is wanted. So headers are read here first, as
strictly as the decoder itself reads them: what a decoder might see differently is refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO

#: The tag of TIFF and EXIF that says how a picture has to be turned (TIFF 6.0, Orientation).
ORIENTATION = 274
#: EXIF data longer than this is not looked at; JPEG has at most 64 KiB.
MAX_EXIF_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """The size and type of a compressed picture.

    :param bands: as stored; 2 are gray and alpha.
    :param dtype: the numpy name of what decoders give.
    :param orientation: 1 to 8, as TIFF and EXIF count: what has to be done for it to stand upright. Height
        and width are those that are stored.
    """

    height: int
    width: int
    bands: int
    dtype: str = 'uint8'
    orientation: int = 1

    @property
    def values(self) -> int:
        """Height x width x bands."""
        return self.height * self.width * self.bands


def exactly(stream: IO[bytes], length: int) -> bytes:
    """Return the next ``length`` bytes of a stream.

    :raises EOFError: there are fewer.
    """
    data = stream.read(length)
    if len(data) != length:
        msg = 'it ends too early.'
        raise EOFError(msg)
    return data


def exif_orientation(data: bytes) -> int:
    """Return the orientation that EXIF data (a TIFF without a picture) gives; 1 if it gives none."""
    data = data.removeprefix(b'Exif\0\0')
    order = {b'II*\0': '<', b'MM\0*': '>'}.get(data[:4])
    try:
        if order is None:
            return 1
        (place,) = struct.unpack_from(order + 'I', data, 4)
        (count,) = struct.unpack_from(order + 'H', data, place)
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind, values, value = struct.unpack_from(order + 'HHIH', data, entry)
            if (tag, kind, values) == (ORIENTATION, 3, 1):
                return value if 1 <= value <= 8 else 1
    except struct.error:  # damaged; the pixels may still be good
        pass
    return 1
