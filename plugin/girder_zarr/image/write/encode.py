"""Chunks to bytes: what zarr would store, made directly.

One chunk is encoded as zarr's `bytes` codec followed by blosc or zstd (zarr v3), or as C order with the
same compressor (zarr v2); a shard as the `sharding_indexed` codec of zarr v3 with its index at the end.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal

import google_crc32c
import imagecodecs
import numpy as np

from girder_zarr.errors import EditError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Codecs that lose detail: a chunk is a picture.
LOSSY = ('jpeg', 'jpegxl')
_SHUFFLES = ('noshuffle', 'shuffle', 'bitshuffle')
_ABSENT = np.uint64(2**64 - 1)


@dataclass(frozen=True, slots=True)
class Codec:
    """A compressor.

    :param name: ``blosc`` (with zstd inside), ``zstd``, or ``none``; ``jpeg`` and ``jpegxl`` lose detail.
    :param level: 1 (fast) to 9 for blosc, to 22 for zstd; the quality, 1 to 100, of jpeg and jpegxl.
    :param shuffle: for blosc; ``auto`` is ``shuffle`` for pixels of more than one byte, else ``noshuffle``.
    """

    name: Literal['blosc', 'zstd', 'none', 'jpeg', 'jpegxl'] = 'blosc'
    level: int = 1
    shuffle: Literal['auto', 'noshuffle', 'shuffle', 'bitshuffle'] = 'auto'

    def __post_init__(self) -> None:
        if self.name not in {'blosc', 'zstd', 'none', *LOSSY}:
            raise EditError(f'codec must be blosc, zstd, none, jpeg or jpegxl, not {self.name!r}')
        if self.lossy and not 1 <= self.level <= 100:
            raise EditError(f'The quality of {self.name} must lie between 1 and 100, not {self.level}')
        top = 22 if self.name == 'zstd' else 9
        if not self.lossy and not 0 <= self.level <= top:
            raise EditError(f'The level of {self.name} must lie between 0 and {top}, not {self.level}')
        if self.shuffle not in {'auto', *_SHUFFLES}:
            raise EditError(f'shuffle must be auto, {", ".join(_SHUFFLES)}, not {self.shuffle!r}')

    @property
    def lossy(self) -> bool:
        """Whether the codec is lossy."""
        return self.name in LOSSY

    def check(self, dtype: np.dtype[Any], zarr_format: int, *, bands: int) -> None:
        """Raise EditError where this codec cannot hold such pixels, or others could not read them."""
        if not self.lossy:
            return
        types = ('uint8',) if self.name == 'jpeg' else ('uint8', 'uint16')
        if dtype.name not in types:
            raise EditError(f'{self.name} holds {" or ".join(types)}, not {dtype}')
        if bands in {2, 4}:
            raise EditError(
                f'{self.name} chunks hold no opacity: write with alpha=False, or with a lossless codec'
            )
        if zarr_format == 3 and not entry_points(group='zarr.codecs', name=f'imagecodecs_{self.name}'):
            raise EditError(
                f'{self.name} chunks in zarr v3 need imagecodecs-zarr, which needs Python 3.12 or later: '
                "write version='0.4', or with a lossless codec"
            )

    def encode_picture(self, image: np.ndarray) -> bytes:
        """Return the stored form of a picture ``(y, x)`` or ``(y, x, 3)``, of a codec that loses detail."""
        if self.name == 'jpeg':
            return bytes(imagecodecs.jpeg8_encode(image, level=self.level))
        return bytes(imagecodecs.jpegxl_encode(image, **self._settings(), numthreads=1))

    def _settings(self) -> dict[str, Any]:
        """Return the parameters of the codec of the same name in imagecodecs."""
        if self.name == 'jpeg':
            return {'level': self.level}
        # what libjxl takes for a quality of 30 to 100; below, its distance goes on to grow as steadily
        return {'distance': round(max(0.1, 0.1 + (100 - self.level) * 0.09), 3), 'lossless': False}

    def _shuffle(self, itemsize: int) -> int:
        if self.shuffle == 'auto':
            return 1 if itemsize > 1 else 0
        return _SHUFFLES.index(self.shuffle)

    def encode(self, chunk: np.ndarray) -> bytes:
        """Return the stored form of one whole chunk, C order and little-endian."""
        data = np.ascontiguousarray(chunk)
        if data.dtype.byteorder == '>' or (data.dtype.byteorder == '=' and not np.little_endian):
            data = data.astype(data.dtype.newbyteorder('<'))
        if self.name == 'none':
            return data.tobytes()
        flat: Any = data.reshape(-1).view(np.uint8)
        if self.name == 'zstd':
            return bytes(imagecodecs.zstd_encode(flat, level=self.level))
        encoded = imagecodecs.blosc_encode(
            flat,
            level=self.level,
            compressor='zstd',
            shuffle=self._shuffle(data.itemsize),
            typesize=data.itemsize,
            numthreads=1,
        )
        return bytes(encoded)

    def decode_picture(self, content: bytes) -> np.ndarray:
        """Return the picture that :meth:`encode_picture` turned into these bytes."""
        decode = imagecodecs.jpeg8_decode if self.name == 'jpeg' else imagecodecs.jpegxl_decode
        return np.asarray(decode(content))

    def decode(self, content: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Return the chunk that :meth:`encode` turned into these bytes."""
        chunk = np.empty(shape, dtype.newbyteorder('<'))
        flat: Any = chunk.reshape(-1).view(np.uint8)
        if self.name == 'none':
            flat[:] = np.frombuffer(content, np.uint8)
        elif self.name == 'zstd':
            imagecodecs.zstd_decode(content, out=flat)
        else:
            imagecodecs.blosc_decode(content, numthreads=1, out=flat)
        return chunk.astype(dtype, copy=False)

    def v3(self, dtype: np.dtype[Any]) -> list[dict[str, Any]]:
        """Return the codecs of a zarr v3 array (https://zarr-specs.readthedocs.io, v3/codecs)."""
        if self.lossy:
            return [{'name': f'imagecodecs_{self.name}', 'configuration': self._settings()}]
        chain: list[dict[str, Any]] = [{'name': 'bytes', 'configuration': {'endian': 'little'}}]
        if dtype.itemsize == 1:
            chain = [{'name': 'bytes'}]
        if self.name == 'blosc':
            settings = {
                'cname': 'zstd',
                'clevel': self.level,
                'shuffle': _SHUFFLES[self._shuffle(dtype.itemsize)],
                'typesize': dtype.itemsize,
                'blocksize': 0,
            }
            chain.append({'name': 'blosc', 'configuration': settings})
        elif self.name == 'zstd':
            chain.append({'name': 'zstd', 'configuration': {'level': self.level, 'checksum': False}})
        return chain

    def v2(self, dtype: np.dtype[Any]) -> dict[str, Any] | None:
        """Return the compressor of a zarr v2 array."""
        if self.name == 'none':
            return None
        if self.lossy:
            return {'id': f'imagecodecs_{self.name}', **self._settings()}
        if self.name == 'zstd':
            return {'id': 'zstd', 'level': self.level}
        shuffle = self._shuffle(dtype.itemsize)
        return {'id': 'blosc', 'cname': 'zstd', 'clevel': self.level, 'shuffle': shuffle, 'blocksize': 0}


@dataclass(frozen=True, slots=True)
class ChunkEncoder:
    """Encodes the blocks of one array; a block is one chunk, or one shard of them.

    :param block: the shape of a block.
    :param chunk: the shape of a chunk; equal to ``block`` where there are no shards. Of a codec that loses
        detail, a chunk is a picture: y, x, and three colours along one axis before them, or no other axis.
    :param zarr_format: 2 or 3.
    """

    dtype: np.dtype[Any]
    block: tuple[int, ...]
    chunk: tuple[int, ...]
    fill_value: int | float
    codec: Codec
    zarr_format: int = 3

    @property
    def interleaved(self) -> bool:
        """Whether a chunk is a picture in colour, its bands last.

        Arrays keep the order of axes that NGFF asks for: zarr v3 has the codec ``transpose``. In zarr v2,
        chunks are in F order, in which the bands before y and x are the fastest: pictures lie on their side.
        """
        return self.codec.lossy and self.chunk[-1] * self.chunk[-2] < math.prod(self.chunk)

    def _encode_chunk(self, whole: np.ndarray) -> bytes:
        if not self.codec.lossy:
            return self.codec.encode(whole)
        picture = whole.reshape(-1, *whole.shape[-2:])
        if not self.interleaved:
            return self.codec.encode_picture(np.ascontiguousarray(picture[0]))
        order = (2, 1, 0) if self.zarr_format == 2 else (1, 2, 0)
        return self.codec.encode_picture(np.ascontiguousarray(picture.transpose(order)))

    def _decode_chunk(self, content: bytes) -> np.ndarray:
        if not self.codec.lossy:
            return self.codec.decode(content, self.chunk, self.dtype)
        picture = self.codec.decode_picture(content)
        if self.interleaved:
            picture = picture.transpose((2, 1, 0) if self.zarr_format == 2 else (2, 0, 1))
        return picture.reshape(self.chunk)

    def is_empty(self, pixels: np.ndarray) -> bool:
        """Whether every pixel is the fill value, so that nothing needs to be stored."""
        if not pixels.size:
            return True
        first = pixels.flat[0]
        fill = self.dtype.type(self.fill_value)
        if fill != fill:
            return bool(first != first) and bool(np.isnan(pixels).all())
        if first != fill:
            return False
        if fill == 0 and self.dtype.kind in 'biu':
            return not pixels.any()
        # minus zero equals zero but is another value: it has to be stored
        equal = bool((pixels == fill).all())
        return equal and not (self.dtype.kind == 'f' and fill == 0 and bool(np.signbit(pixels).any()))

    def encode(self, pixels: np.ndarray) -> bytes | None:
        """Return what is stored for a block, or None where that is nothing.

        :param pixels: the block, or the part of it inside the array (smaller at the end of an axis).
        """
        if self.is_empty(pixels):
            return None
        if self.block != self.chunk:
            return self._encode_shard(pixels)
        return self._encode_chunk(self._whole(pixels))

    def encode_whole(self, pixels: np.ndarray) -> bytes:
        """Return the stored form of a chunk, also of one that is all fill value.

        :param pixels: the chunk, or the part of it inside the array.
        """
        return self._encode_chunk(self._whole(pixels))

    def _whole(self, pixels: np.ndarray) -> np.ndarray:
        if pixels.shape == self.chunk:
            return pixels.astype(self.dtype, copy=False)
        if self.codec.lossy:
            # what lies beyond the image must not shine into it
            pad = [(0, side - size) for side, size in zip(self.chunk, pixels.shape, strict=True)]
            return np.pad(pixels.astype(self.dtype, copy=False), pad, mode='edge')
        whole = np.full(self.chunk, self.fill_value, self.dtype)
        whole[tuple(slice(0, size) for size in pixels.shape)] = pixels
        return whole

    def _encode_shard(self, pixels: np.ndarray) -> bytes:
        counts = [size // side for size, side in zip(self.block, self.chunk, strict=True)]
        index = np.full((*counts, 2), _ABSENT, '<u8')
        parts, offset = [], 0
        for where in itertools.product(*(range(count) for count in counts)):
            region = tuple(
                slice(at * side, (at + 1) * side) for at, side in zip(where, self.chunk, strict=True)
            )
            inner = pixels[region]
            if not inner.size or self.is_empty(inner):
                continue
            encoded = self._encode_chunk(self._whole(inner))
            index[where] = offset, len(encoded)
            offset += len(encoded)
            parts.append(encoded)
        table = index.tobytes()
        return b''.join([*parts, table, google_crc32c.value(table).to_bytes(4, 'little')])

    def decode(
        self, index: tuple[int, ...], get: Callable[[int, int | None], bytes | None]
    ) -> np.ndarray | None:
        """Return one chunk of a stored block, or None where it is not stored: all fill value.

        :param index: which chunk of the block.
        :param get: returns part of the stored block: its first byte (negative: from the end), and its length.
        """
        start, length = 0, None
        if self.block != self.chunk:
            counts = [size // side for size, side in zip(self.block, self.chunk, strict=True)]
            size = 16 * math.prod(counts)
            table = get(-size - 4, size)
            if table is None:
                return None
            entry = np.frombuffer(table, '<u8').reshape(*counts, 2)[index]
            if (entry == _ABSENT).all():
                return None
            start, length = (int(value) for value in entry)
        content = get(start, length)
        return None if content is None else self._decode_chunk(content)

    @property
    def v2_order(self) -> Literal['C', 'F']:
        """The order of a chunk's numbers in zarr v2."""
        return 'F' if self.interleaved else 'C'

    def v3_codecs(self) -> list[dict[str, Any]]:
        """Return the codecs of a zarr v3 array, shards included."""
        inner = self.codec.v3(self.dtype)
        if self.interleaved:
            bands = next(axis for axis, side in enumerate(self.chunk[:-2]) if side > 1)
            order = [axis for axis in range(len(self.chunk)) if axis != bands] + [bands]
            inner.insert(0, {'name': 'transpose', 'configuration': {'order': order}})
        if self.block == self.chunk:
            return inner
        settings = {
            'chunk_shape': list(self.chunk),
            'codecs': inner,
            'index_codecs': [{'name': 'bytes', 'configuration': {'endian': 'little'}}, {'name': 'crc32c'}],
            'index_location': 'end',
        }
        return [{'name': 'sharding_indexed', 'configuration': settings}]
