"""The file formats of results, and the dtypes and libraries that each needs."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from dataclasses import dataclass
from importlib.metadata import entry_points

from girder_zarr.errors import ConflictError, InvalidInputError


@dataclass(frozen=True, slots=True)
class Output:
    """A file format of results.

    :param mime_type: of the file.
    :param source: the name of the large_image source that opens it.
    """

    mime_type: str
    source: str


#: By ``spec.output``, which is also the suffix of the file.
OUTPUTS = {
    'zarr.zip': Output('application/zip', 'zarr'),
    'ozx': Output('application/zip', 'zarr'),
    'db': Output('application/vnd.sqlite3', 'zarr'),
    'tiff': Output('image/tiff', 'tiff'),
}
TIFF = 'tiff'
#: The dtypes that large_image_converter (libvips) writes unchanged.
_TIFF_TYPES = ('uint8', 'uint16', 'float32', 'float64')
#: The lossy codec of a dtype: JPEG has 8 bits, JPEG XL has 16.
LOSSY_CODECS = {'uint8': 'jpeg', 'uint16': 'jpegxl'}


def check_installed(output: str, version: str, *, lossy: bool) -> None:
    """Check that the libraries that a result needs are installed on this machine.

    :param output: ``spec.output``, one of ``OUTPUTS``.
    :param version: ``spec.ngffVersion``.
    :param lossy: ``spec.lossy``.
    :raises InvalidInputError: one is missing; the message says what to install.
    """
    if output == TIFF and (lacking := _lacking_for_tiff()):
        kinds = ', '.join(name for name in OUTPUTS if name != TIFF)
        msg = (
            f"spec.output: expected one of {kinds}, because 'tiff' needs large_image_converter here "
            f"(pip install 'girder-zarr[converter]'), which cannot be used: {lacking}."
        )
        raise InvalidInputError(msg)
    if lossy and output != TIFF and version != '0.4' and not _has_lossy_codecs():
        msg = (
            "spec.lossy: expected false, or ngffVersion '0.4', because with later versions imagecodecs-zarr "
            'is needed here, which Python 3.12 has; found true.'
        )
        raise InvalidInputError(msg)


@functools.cache
def _lacking_for_tiff() -> str:
    for name in ('large_image_converter', 'pyvips', 'large_image_source_tiff'):
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as error:
            return f'{name}: {str(error).splitlines()[0]}'
    return ''


def _has_lossy_codecs() -> bool:
    return bool(entry_points(group='zarr.codecs', name='imagecodecs_jpeg'))


def check_kind(output: str, dtype: str, bands: int, *, lossy: bool) -> None:
    """Check that an output can hold pixels of a dtype and so many bands.

    :param output: ``spec.output``, one of ``OUTPUTS``.
    :param lossy: ``spec.lossy``.
    :raises ConflictError: it cannot; the message names the field of the spec.
    """
    tiff = output == TIFF
    if tiff and dtype not in _TIFF_TYPES:
        msg = f'spec.output: a TIFF holds {", ".join(_TIFF_TYPES)}; the patches have {dtype}.'
        raise ConflictError(msg)
    if not lossy:
        return
    types = ('uint8',) if tiff else tuple(LOSSY_CODECS)
    if dtype not in types or bands not in {1, 3}:
        msg = (
            f'spec.lossy: pixels are compressed with a loss where they are {" or ".join(types)} of 1 or 3 '
            f'bands; the patches have {dtype} and {bands}.'
        )
        raise ConflictError(msg)
