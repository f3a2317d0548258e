"""The setting `zarr.viewers`: programs that open an image by its address, for the page of an item.

Each is ``{"name", "kind", "text"}``; in the text ``{url}`` stands for the address of the image, without a
slash at its end, ``{encoded}`` for the same as a part of another address, ``{info}`` and ``{manifest}`` for
the addresses of IIIF, where the image has them.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlsplit

from girder.exceptions import ValidationException
from girder.models.setting import Setting

from .define import SettingKey, define

KEY = SettingKey.VIEWERS
#: An address to follow, an address to paste somewhere, a command, or lines of a program.
KINDS = ('link', 'address', 'command', 'python', 'r')
MAX_VIEWERS, MAX_NAME, MAX_TEXT = 50, 60, 2000
_FIELD = re.compile(r'\{(\w+)\}')
_FIELDS = ('url', 'encoded', 'info', 'manifest')

DEFAULT: list[dict[str, str]] = [
    {
        'name': 'neuroglancer',
        'kind': 'link',
        'text': 'https://neuroglancer-demo.appspot.com/#!%7B%22layers%22:%5B%7B%22type%22:%22image%22,'
        '%22name%22:%22image%22,%22source%22:%22{encoded}/%7Czarr:%22%7D%5D%7D',
    },
    {
        'name': 'vizarr',
        'kind': 'link',
        'text': 'https://hms-dbmi.github.io/vizarr/?source={encoded}',
    },
    {
        'name': 'avivator',
        'kind': 'link',
        'text': 'https://avivator.gehlenborglab.org/?image_url={encoded}',
    },
    {
        'name': 'Vol-E (3D)',
        'kind': 'link',
        'text': 'https://volumeviewer.allencell.org/viewer?url={encoded}',
    },
    {
        'name': 'OME-NGFF validator',
        'kind': 'link',
        'text': 'https://ome.github.io/ome-ngff-validator/?source={encoded}',
    },
    {'name': 'napari', 'kind': 'command', 'text': 'napari --plugin napari-ome-zarr {url}'},
    {'name': 'Fiji: File, Import, HDF5/N5/Zarr/OME-NGFF', 'kind': 'address', 'text': '{url}'},
    # Its Bio-Formats reads zarr v2 alone, and of addresses those with "s3" in them (ome/ZarrReader#109).
    {'name': 'QuPath: File, Open URI (as OME-Zarr 0.4)', 'kind': 'address', 'text': '{url}/@v2'},
    {'name': 'IIIF: Mirador, Universal Viewer', 'kind': 'address', 'text': '{manifest}'},
    {'name': 'IIIF: OpenSeadragon, Leaflet', 'kind': 'address', 'text': '{info}'},
    {
        'name': 'Python: zarr',
        'kind': 'python',
        'text': "import zarr  # and fsspec[http]\n\nimage = zarr.open_group('{url}', mode='r')\n"
        "level = image['0']\n",
    },
    {
        'name': 'Python: tensorstore',
        'kind': 'python',
        'text': "import tensorstore\n\nspec = {'driver': 'auto', 'kvstore': '{url}/0/'}\n"
        'level = tensorstore.open(spec, read=True).result()\n',
    },
    {
        'name': 'Python: dask',
        'kind': 'python',
        'text': 'import dask.array  # and zarr, fsspec[http]\n\n'
        "level = dask.array.from_zarr('{url}', component='0')\n",
    },
    {
        'name': 'Python: ngff-zarr',
        'kind': 'python',
        'text': "import ngff_zarr  # and fsspec[http]\n\nimage = ngff_zarr.from_ngff_zarr('{url}')\n"
        'level = image.images[0].data\n',
    },
    {
        'name': 'R: pizzarr',
        'kind': 'r',
        'text': "library(pizzarr)\n\nimage <- zarr_open_group(HttpStore$new('{url}'))\n"
        "level <- image$get_item('0')$as.array()\n",
    },
    {
        'name': 'R: Rarr',
        'kind': 'r',
        'text': "library(Rarr)  # 2 or later for zarr v3\n\nlevel <- read_zarr_array('{url}/0')\n",
    },
]


def filled(url: str, **more: str) -> list[dict[str, str]]:
    """Return the viewers with addresses in the place of their fields, without those of which one is missing.

    :param url: http or https, of an image; checked by :func:`is_address`.
    :param more: ``info`` and ``manifest``.
    """
    values = {'url': url.rstrip('/'), 'encoded': quote(url.rstrip('/'), safe=''), **more}
    missing = set(_FIELDS) - set(values)
    return [
        {**viewer, 'text': _FIELD.sub(lambda match: values.get(match[1], match[0]), viewer['text'])}
        for viewer in Setting().get(KEY)
        if missing.isdisjoint(_FIELD.findall(viewer['text']))
    ]


def is_address(text: str) -> bool:
    """Whether a text is an address that may stand in a command or a program between quotes."""
    place = urlsplit(text) if re.fullmatch(r'[A-Za-z0-9:/._~@%\[\]-]{1,2000}', text) else None
    return place is not None and place.scheme in ('http', 'https') and bool(place.netloc)


def normalise(value: object) -> list[dict[str, str]]:
    """Check the value of the setting.

    :raises ValidationException: with what was expected and what was found.
    """
    if value is None:
        return list(DEFAULT)
    if not isinstance(value, list) or len(value) > MAX_VIEWERS:
        raise _invalid(f'expected a list of at most {MAX_VIEWERS} viewers, found {str(value)[:60]!r}')
    return [_viewer(one) for one in value]


def _viewer(one: Any) -> dict[str, str]:
    if not isinstance(one, dict) or set(one) != {'name', 'kind', 'text'}:
        raise _invalid(f'expected objects of name, kind and text, found {str(one)[:60]!r}')
    name, kind, text = one['name'], one['kind'], one['text']
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise _invalid(f'name: expected 1 to {MAX_NAME} printable characters, found {str(name)[:60]!r}')
    if kind not in KINDS:
        raise _invalid(f'{name}: kind: expected one of {", ".join(KINDS)}, found {str(kind)[:60]!r}')
    if not isinstance(text, str) or len(text) > MAX_TEXT or not any(f'{{{one}}}' in text for one in _FIELDS):
        raise _invalid(
            f'{name}: text: expected at most {MAX_TEXT} characters with {{url}}, {{encoded}}, {{info}} or '
            '{manifest} in it'
        )
    if kind == 'link' and not text.startswith(('http://', 'https://')):
        raise _invalid(f'{name}: text: expected an address of http or https, found {text[:60]!r}')
    return {'name': name.strip(), 'kind': kind, 'text': text}


def _invalid(message: str) -> ValidationException:
    return ValidationException(f'{KEY}: {message}.', 'value')


define(KEY, DEFAULT, normalise)
