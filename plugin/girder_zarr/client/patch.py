"""A patch to be uploaded, and how it is sent: by itself or with others in a tar."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Patch:
    """One patch to be uploaded; docs/rest.md describes each field. Fields that are None are not sent.

    >>> Patch('r0c1', 'tiles/r0c1.png', x=480, y=0, z=2)
    >>> Patch('r0c1', np.zeros((512, 512, 3), 'uint8'), row=0, column=1, weight=0.5)

    :param key: its name within its session: 1 to 200 of ``A-Z a-z 0-9 . _ ~ - , @ = +``.
    :param data: the bytes of an image file, the path of one, or an array of shape (y, x) or (y, x, bands).
    :param x: column of its first pixel, in ``unit``; may be negative and a fraction. ``y`` is its row.
    :param order: its rank where patches overlap: with the rule ``last`` the highest wins.
    :param t: its index along t; ``z`` and ``c`` likewise.
    :param unit: of x and y: ``pixel`` (default), or a unit of length if the session has ``pixelSize``.
    :param row: in place of x and y, with ``column``, if the session has ``grid``.
    :param index: its index along axes of other names.
    :param weight: its factor in the rules ``mean`` and ``feather``; 1 if not given.
    :param mask: ``alpha`` if its alpha is its mask.
    :param mask_key: the key of the reference image that is its mask.
    :param shape: of raw pixels, (y, x) or (y, x, bands); needs ``dtype``.
    :param dtype: of raw pixels, the numpy name, with ``<`` or ``>`` before it for the byte order.
    :param compression: of raw pixels, ``gzip`` or ``zstd``.
    :param orientation: ``stored`` if it is not to be turned upright by what its file says.
    :param page: of a TIFF with several pages, the one that is the patch, from 0. `StitchClient.upload` sends
        a file once for all of its pages.
    :param pages: in place of page: all of its pages are patches, under the keys ``key@0`` and so on, which
        lie along ``c``, ``z`` or ``t``, or with ``auto`` along the axes that the file names (ImageJ, OME).
    :param file: its file in messages; the path of ``data`` if not given.
    """

    key: str
    data: Any
    x: float | None = None
    y: float | None = None
    order: int = 0
    t: int | None = None
    z: int | None = None
    c: int | None = None
    unit: str | None = None
    row: int | None = None
    column: int | None = None
    index: Mapping[str, int] | None = None
    weight: float | None = None
    mask: str | None = None
    mask_key: str | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    compression: str | None = None
    orientation: str | None = None
    page: int | None = None
    pages: str | None = None
    file: str | None = None

    @property
    def file_name(self) -> str:
        """The name of its file in messages, empty where it has none."""
        name = self.file or (str(self.data) if isinstance(self.data, str | Path) else '')
        return name if self.page is None or not name else f'{name}, page {self.page}'

    @property
    def label(self) -> str:
        """Key and file, for messages."""
        return f'{self.key} (file {self.file_name})' if self.file_name else self.key

    @property
    def position(self) -> dict[str, Any]:
        """The fields of its position, by the names of docs/rest.md, without ``index``."""
        names = ('x', 'y', 'unit', 'row', 'column', 't', 'z', 'c')
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def fields(self) -> dict[str, Any]:
        """Its fields besides key and bytes, by the names of docs/rest.md, as in a manifest."""
        found = {
            **self.position,
            'order': self.order,
            'index': dict(self.index) if self.index else None,
            'weight': self.weight,
            'mask': self.mask,
            'maskKey': self.mask_key,
            'shape': None if self.shape is None else ','.join(map(str, self.shape)),
            'dtype': self.dtype,
            'compression': self.compression,
            'orientation': self.orientation,
            'pages': self.pages,
        }
        return {name: value for name, value in found.items() if value is not None}

    @property
    def parameters(self) -> dict[str, Any]:
        """The same fields as query parameters of a request."""
        fields = self.fields
        if 'index' in fields:
            fields['index'] = json.dumps(fields['index'])
        return fields

    def is_stored_as(
        self, there: Mapping[str, Any], spec: Mapping[str, Any], *, of_file: bool = False
    ) -> bool:
        """Return whether the server has it with the same fields; its bytes are not compared.

        :param of_file: it is to be a page of its whole file, and no picture of its own.
        :param there: the server's description of the patch of this key.
        :param spec: of the session; turns units, rows and columns into pixels.
        :returns: False also if only the server can compute its position in pixels.
        """
        options = {
            'weight': self.weight,
            'mask': self.mask,
            'maskKey': self.mask_key,
            'orientation': None if self.orientation == 'upright' else self.orientation,
            'page': self.page if of_file else None,
        }
        given = {name: value for name, value in options.items() if value is not None}
        if given.get('weight') == 1:
            del given['weight']
        known = {name: there[name] for name in options if name in there}
        if (there['order'], known) != (self.order, given):
            return False
        place = self._pixels(spec)
        if place is None:
            return False
        frame = {axis: getattr(self, axis) for axis in 'tzc' if getattr(self, axis) is not None}
        declared = dict.fromkeys(spec.get('axes') or {}, 0)
        return bool(there['position'] == {**declared, **place, **frame, **(self.index or {})})

    def _pixels(self, spec: Mapping[str, Any]) -> dict[str, int] | None:
        """Return x and y as the server rounds them, or None if only the server can convert them."""
        x, y = self.x, self.y
        grid, size = spec.get('grid'), spec.get('pixelSize')
        if self.row is not None and self.column is not None and grid:
            x = self.column * (grid['tile']['x'] - grid['overlap']['x'])
            y = self.row * (grid['tile']['y'] - grid['overlap']['y'])
        elif x is None or y is None:
            return None
        elif self.unit not in {None, 'pixel'}:
            if not size or size['unit'] != self.unit:
                return None
            x, y = x / size['x'], y / size['y']
        return {'x': math.floor(x + 0.5), 'y': math.floor(y + 0.5)}

    def read(self) -> bytes:
        """Return the bytes to send: those of the file, or of its page or the array as npy.

        :raises InvalidInputError: there is no such file, or the data is neither bytes, path nor array.
        """
        if self.page is not None and isinstance(self.data, str | Path):
            from girder_zarr.stitch.arrange.tile_sizes import read_page

            options = {'mask': self.mask, 'orientation': self.orientation}
            return bytes_of(read_page(Path(self.data), self.page, options), f'patch {self.key}')
        return bytes_of(self.data, f'patch {self.key}')


def bytes_of(data: Any, owner: str) -> bytes:
    """Return bytes as they are, the content of the file at a path, or an array as npy.

    :param owner: what the bytes belong to, for the error message.
    :raises InvalidInputError: there is no such file, or the data is neither bytes, path nor array.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if isinstance(data, str | Path):
        try:
            return Path(data).read_bytes()
        except OSError as error:
            msg = f'The file {data} of {owner} cannot be read: {error.strerror}.'
            raise InvalidInputError(msg) from error
    if not hasattr(data, '__array__'):
        msg = (
            f'{owner[:1].upper()}{owner[1:]} has to be bytes, a path or an array, not {type(data).__name__}.'
        )
        raise InvalidInputError(msg)
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, np.asarray(data), allow_pickle=False)
    return buffer.getvalue()


def content_digest(data: bytes) -> str:
    """Return the value of a ``Content-Digest`` header (RFC 9530) with SHA-256."""
    return f'sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:'


def tar_of(pairs: list[tuple[Patch, bytes]]) -> bytes:
    """Return a tar of patches and their bytes: ``manifest.json``, then each under its number there."""
    manifest = [
        {'file': str(number), 'key': patch.key, **patch.fields, 'digest': content_digest(data)}
        for number, (patch, data) in enumerate(pairs)
    ]
    members = [('manifest.json', json.dumps(manifest).encode())]
    members += [(str(number), data) for number, (_, data) in enumerate(pairs)]
    parts = []
    for name, data in members:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        parts += [info.tobuf(tarfile.USTAR_FORMAT), data, bytes(-len(data) % tarfile.BLOCKSIZE)]
    return b''.join([*parts, bytes(2 * tarfile.BLOCKSIZE)])
