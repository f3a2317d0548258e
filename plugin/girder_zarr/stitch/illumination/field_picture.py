"""A flat field as an image file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .flat_field import FlatField

#: Pixels of a picture: a field of larger patches is shown at a fraction of its resolution.
MAX_PIXELS = 2**24
#: The longer side of a picture for a person.
SHOWN_SIDE = 512


def to_tiff(field: FlatField) -> bytes:
    """Return a field as a TIFF of float32 with a mean of 1, which can be put as a reference image again.

    It has the size of the patches, unless these have more than ``MAX_PIXELS``.
    """
    import tifffile

    height, width = field.shape
    factor = max(height * width / MAX_PIXELS, 1) ** 0.5
    image = field.image((max(round(height / factor), 1), max(round(width / factor), 1)))
    planes = image[:, :, 0] if image.shape[2] == 1 else image
    photometric = 'rgb' if image.shape[2] == 3 else 'minisblack'
    stream = io.BytesIO()
    options: dict[str, Any] = {'compression': 'deflate', 'predictor': True, 'metadata': None}
    tifffile.imwrite(stream, planes, photometric=photometric, planarconfig='contig', **options)
    return stream.getvalue()


def to_png(field: FlatField) -> bytes:
    """Return a field as an 8-bit PNG, gray or RGB, for people to look at: white is its brightest place."""
    from PIL import Image

    factor = max(*field.shape, SHOWN_SIDE) / SHOWN_SIDE
    height, width = (max(round(side / factor), 1) for side in field.shape)
    image = field.image((height, width))
    shown = np.rint(255 * image / image.max()).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(shown if shown.shape[2] == 3 else shown[:, :, 0]).save(stream, 'PNG')
    return stream.getvalue()
