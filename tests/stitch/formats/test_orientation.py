"""Pictures stand upright as other viewers show them, and samples are opacity only where the file says so."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from girder_zarr.errors import UnsupportedFormatError
from girder_zarr.stitch.formats.registry import decode, decode_rows, inspect
from support.hostile_files import picture


def turned(kind: str, orientation: int) -> io.BytesIO:
    """A picture of 16 x 24 pixels with an orientation, losslessly where the format can."""
    exif = Image.Exif()
    exif[274] = orientation
    options: dict[str, Any] = {'lossless': True} if kind == 'WEBP' else {}
    stream = io.BytesIO()
    Image.fromarray(picture(16, 24)).save(stream, kind, exif=exif, **options)
    return stream


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_pictures_stand_upright_unless_asked_otherwise(kind: str, orientation: int) -> None:
    stream = turned(kind, orientation)
    with Image.open(stream) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    assert inspect(stream).shape == upright.shape
    found = decode(stream)
    if kind == 'JPEG':  # other rounding in another release of the library
        assert np.abs(found.astype(int) - upright).max() <= 2
    else:
        assert np.array_equal(found, upright)
    assert inspect(stream, as_stored=True).shape == (16, 24, 3)
    assert decode(stream, as_stored=True).shape == (16, 24, 3)
    rows = np.concatenate(list(decode_rows(stream)))
    assert np.array_equal(rows, found)


def two_samples(**options: Any) -> io.BytesIO:
    stream = io.BytesIO()
    tifffile.imwrite(
        stream, picture(bands=3)[:, :, :2], photometric='minisblack', planarconfig='contig', **options
    )
    return stream


def test_a_second_channel_is_no_opacity() -> None:
    with pytest.raises(UnsupportedFormatError, match=r'2 samples .* does not say that the last is alpha'):
        inspect(two_samples())
    with pytest.raises(UnsupportedFormatError, match='ExtraSamples'):
        decode(two_samples(), alpha=True)


@pytest.mark.parametrize('extra', ['unassalpha', 'assocalpha'])
def test_alpha_of_a_gray_tiff_is_opacity_where_it_says_so(extra: str) -> None:
    pixels = decode(two_samples(extrasamples=[extra]))
    assert np.array_equal(pixels[:, :, 3], picture()[:, :, 1])


def test_a_fourth_channel_is_no_opacity() -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, picture(bands=4), photometric='minisblack', planarconfig='contig')
    with pytest.raises(UnsupportedFormatError, match='4 samples'):
        inspect(stream)


def test_colours_that_no_decoder_turns_into_rgb_are_refused() -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, picture(), photometric='ycbcr')
    with pytest.raises(UnsupportedFormatError, match='YCBCR, but not in JPEG'):
        inspect(stream)
    stream = io.BytesIO()
    tifffile.imwrite(stream, picture(32, 48), photometric='ycbcr', compression='jpeg')
    assert decode(stream).shape == (32, 48, 3)
