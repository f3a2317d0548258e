"""Stored bytes to the pixels of one chunk, with a bound on what a decoder may put out.

imagecodecs decodes into memory of ours, lets other threads run meanwhile and needs no lock; numcodecs' blosc
gets slower with every thread. What is not here or in filters.py is not read.
"""

from __future__ import annotations

import bz2
import importlib
import lzma
import math
import zlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

from girder_zarr.image.limits import IMAGE_CODECS, IMAGECODECS_BYTES
from girder_zarr.image.store.keystore import THREAD_MEMORY_BYTES

from .decoder_process import OPTIONS, decode_apart
from .filters import codec_object
from .headers import check_stated_size
from .memory import allocate
from .png_header import needed_chunks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .filters import NumberFilter

#: bytes, bytearray, memoryview or an array of uint8
Buffer = Any
#: Takes stored bytes and the most bytes that may come out; returns what came out.
Step = Callable[[Buffer, int], Buffer]

#: Bytes of a checksum's data that are copied at once, and what LZMA may take for its dictionary: xz -9 takes
#: 64 MiB, and its format allows 4 GiB.
CHECKED_BYTES, LZMA_BYTES = 2**20, 2**29

# Its type stubs do not know that output may go into an array.
imagecodecs: Any = importlib.import_module('imagecodecs')


def _into(decode: Callable[..., Buffer], data: Buffer, size: int) -> Buffer:
    return decode(data, out=allocate(size))


def _gzip(data: Buffer, size: int) -> Buffer:
    try:
        return imagecodecs.gzip_decode(data, out=allocate(size))
    except imagecodecs.DeflateError:
        # A file of several members; rare.
        out = b''
        rest = bytes(data)
        while rest:
            decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
            out += decoder.decompress(rest, size - len(out) + 1)
            if len(out) > size or not decoder.eof:
                raise
            rest = decoder.unused_data
        return np.frombuffer(bytearray(out), np.uint8)


def _bz2(data: Buffer, size: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(data, size + 1)


def _lzma(data: Buffer, size: int, *, config: Mapping[str, Any]) -> bytes:
    form = config.get('format', lzma.FORMAT_XZ)
    filters = config.get('filters') if form == lzma.FORMAT_RAW else None
    decoder = lzma.LZMADecompressor(format=form, filters=filters, memlimit=None if filters else LZMA_BYTES)
    return decoder.decompress(data, size + 1)


def _crc32c(data: Buffer, size: int) -> Buffer:
    del size
    view = memoryview(data)
    found = 0
    for start in range(0, len(view) - 4, CHECKED_BYTES):
        found = google_crc32c.extend(found, bytes(view[start : min(start + CHECKED_BYTES, len(view) - 4)]))
    if len(view) < 4 or found != int.from_bytes(view[-4:], 'little'):
        msg = 'its checksum differs'
        raise ValueError(msg)
    return view[:-4]


def _through(codec: Any, data: Buffer, size: int, *, bounded: bool) -> Buffer:
    """Decode with a numcodecs codec object."""
    value = codec.decode(data, out=np.empty(size, np.uint8)) if bounded else codec.decode(data)
    return np.ascontiguousarray(value).reshape(-1).view(np.uint8)


DECOMPRESSORS: dict[str, Step] = {
    'blosc': partial(_into, partial(imagecodecs.blosc_decode, numthreads=1)),
    'zstd': partial(_into, imagecodecs.zstd_decode),
    'zlib': partial(_into, imagecodecs.zlib_decode),
    'gzip': _gzip,
    'lz4': partial(_into, partial(imagecodecs.lz4_decode, header=True)),
    'bz2': _bz2,
    'crc32c': _crc32c,
}
#: numcodecs filters that give as many bytes as they take, or four bytes fewer.
SAME_SIZE_FILTERS = frozenset({'shuffle', 'crc32', 'adler32', 'fletcher32', 'jenkins_lookup3', 'crc32c'})


def decompressor(name: str, config: Mapping[str, Any]) -> Step | None:
    """Return the step that undoes a bytes-to-bytes codec, or None where zarr has to do it.

    :param name: a codec id that has passed :func:`.limits.check_codec`.
    """
    short = name.removeprefix('numcodecs.')
    if short in DECOMPRESSORS:
        return DECOMPRESSORS[short]
    if short == 'lzma':
        return partial(_lzma, config=config)
    if short in SAME_SIZE_FILTERS:
        return partial(_through, codec_object(short, config), bounded=False)
    if name.removeprefix('imagecodecs_') in IMAGECODECS_BYTES:
        return partial(_through, codec_object(name, config), bounded=True)
    return None


def _gives_bytes(step: Step) -> bool:
    """Return whether a step gives bytes, which nothing can be changed in."""
    return step is _bz2 or (isinstance(step, partial) and step.func is _lzma)


def _gives_own_memory(step: Step) -> bool:
    """Return whether what a step gives never is a part of what it was given."""
    return step is not _crc32c and not (isinstance(step, partial) and step.keywords.get('bounded') is False)


def is_image_codec(name: str) -> bool:
    """Return whether a codec decodes to an image rather than to bytes."""
    short = name.removeprefix('imagecodecs_')
    return short != name and short in IMAGE_CODECS


class ChunkDecoder:
    """Turns the stored bytes of a chunk into its pixels.

    :param shape: the shape of the chunk as it is stored; ``transpose`` is applied after.
    :param dtype: the stored type, with its byte order.
    :param steps: what undoes the bytes-to-bytes codecs, in the order of decoding.
    :param image: an image codec in place of plain bytes, or None.
    :param order: ``'C'`` or ``'F'``.
    :param transpose: the axes order that turns the stored chunk into one with the array's axes, or None.
    :param filters: what turns the bytes that come out of the steps into those of ``dtype``.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        steps: Sequence[Any],
        *,
        image: Any = None,
        order: str = 'C',
        transpose: tuple[int, ...] | None = None,
        filters: Sequence[NumberFilter] = (),
    ) -> None:
        self.shape = tuple(shape)
        self.dtype = dtype
        self.native = dtype.newbyteorder('=')
        self.size = math.prod(self.shape) * dtype.itemsize
        #: The bytes that come out of the steps.
        self.stored_size = filters[0].given if filters else self.size
        self._filters = tuple(filters)
        self._steps = tuple(steps)
        self._image = image
        self._order = order
        self._transpose = transpose
        # These steps hand on a part of what they are given, which may be memory that is used again.
        self._borrows = not filters and not any(_gives_own_memory(step) for step in self._steps)
        # Checksums and the like may still be there after a step that is not the last.
        self._max_stored = self.stored_size + 64 * max(0, len(self._steps) - 1)

    @property
    def work_bytes(self) -> int:
        """The most bytes that decoding holds beside the stored ones, the pixels among them."""
        if self._image is not None:
            return self.size
        own = sum(map(_gives_own_memory, self._steps)) + any(map(_gives_bytes, self._steps))
        if not own and self.size <= THREAD_MEMORY_BYTES:
            own = 1
        return own * self.stored_size + sum(one.gives for one in self._filters)

    def is_plain_jpeg(self, settings: Sequence[str]) -> bool:
        """Return whether a chunk is stored as a JPEG file that shows its pixels.

        :param settings: of the codec, which must not be in use.
        """
        if self._image is None or self._steps or self._transpose is not None or self.dtype != np.uint8:
            return False
        known = self._image.codec_id == 'imagecodecs_jpeg' and self._transpose is None
        return known and all(getattr(self._image, name, None) is None for name in settings)

    def decode(self, data: Buffer) -> np.ndarray:
        """Return the pixels with the array's axes, in native byte order.

        :raises Exception: any; decoders have errors of their own. The caller names the chunk.
        """
        pixels = self._decode_bytes(data) if self._image is None else self._decode_image(data)
        if self._transpose is not None:
            pixels = pixels.transpose(self._transpose)
        return pixels

    def _decode_bytes(self, data: Buffer) -> np.ndarray:
        last = len(self._steps) - 1
        for index, step in enumerate(self._steps):
            data = step(data, self.stored_size if index == last else self._max_stored)
        if not isinstance(data, np.ndarray):
            data = np.frombuffer(data, np.uint8)
        if data.nbytes != self.stored_size:
            msg = f'{self.stored_size} bytes were expected, {data.nbytes} found'
            raise ValueError(msg)
        flat = data
        del data
        for one in self._filters:
            flat = one(flat)
        if self._has_to_be_copied(flat):
            borrowed, flat = flat, allocate(self.size)
            flat[:] = borrowed
        # Large chunks are changed where they are.
        if self.dtype == bool:
            pixels: np.ndarray = np.not_equal(flat, 0, out=flat.view(bool))
        else:
            pixels = flat.view(self.dtype)
            if not self.dtype.isnative:
                pixels = pixels.byteswap(inplace=True).view(self.native)
        return pixels.reshape(self.shape) if self._order == 'C' else pixels.reshape(self.shape[::-1]).T

    def _has_to_be_copied(self, flat: np.ndarray) -> bool:
        """Return whether pixels need memory of their own. Stores read large values into memory that stays."""
        if self.size > THREAD_MEMORY_BYTES:
            return not flat.flags.writeable and (self.dtype == bool or not self.dtype.isnative)
        return self._borrows or not flat.flags.writeable

    def _decode_image(self, data: Buffer) -> np.ndarray:
        for step in self._steps:
            data = step(data, self._max_stored)
        # The codec stored the chunk without its axes of length 1; a wrong size is refused before decoding.
        squeezed = tuple(side for side in self.shape if side != 1)
        shape = (1,) * (2 - len(squeezed)) + squeezed
        codec = self._image.codec_id.removeprefix('imagecodecs_')
        check_stated_size(codec, data, math.prod(shape))
        if codec in OPTIONS:
            # Older releases of imagecodecs do not know all of them.
            stated = {name: getattr(self._image, name, None) for name in OPTIONS[codec]}
            options = {name: value for name, value in stated.items() if value is not None}
            return decode_apart(codec, data, shape, self.native.str, options).reshape(self.shape)
        out = np.empty(shape, self.native)
        decoded = self._image.decode(needed_chunks(bytes(data)) if codec == 'png' else data, out=out)
        if decoded is not out:
            decoded = np.asarray(decoded)
            if decoded.size != out.size or decoded.dtype != out.dtype:
                msg = f'{shape} {out.dtype} was expected, {decoded.shape} {decoded.dtype} found'
                raise ValueError(msg)
        pixels: np.ndarray = decoded.reshape(self.shape)
        return pixels
