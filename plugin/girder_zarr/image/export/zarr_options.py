"""What can be asked of ``write`` for OME-Zarr, beyond what large_image itself knows."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from girder_zarr.errors import EditError
from girder_zarr.image.ngff.metadata import Version, Window
from girder_zarr.image.write.encode import LOSSY, Codec
from girder_zarr.image.write.output_spec import CHUNK_SIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from girder_zarr.image.write.outlet import Outlet

#: Options of large_image_converter that mean nothing for OME-Zarr and are let pass.
_CONVERTER_ONLY = {
    'tileSize', 'format', 'onlyFrame', 'compression', 'level', 'predictor', 'psnr', 'cr',
    'subifds', 'overwrite', 'keepFloat', 'geospatial', '_concurrency',
}  # fmt: skip

#: What means nothing for other formats.
ZARR_ONLY = ('version', 'chunk', 'shard', 'codec', 'windows', 'factor', 'maxLevels', 'name')


@dataclass(frozen=True)
class ZarrOptions:
    """What can be asked of OME-Zarr output, as keyword arguments of ``write``.

    :param version: of OME-NGFF: 0.5 (zarr v3), 0.4 (zarr v2) or 0.6.
    :param chunk: the side of a chunk in pixels, or (y, x).
    :param shard: the side of a shard, a multiple of ``chunk``; None: no shards; by default four chunks in
        .ozx, and no shards elsewhere.
    :param codec: a Codec, or the name of one: blosc, zstd, none; with ``lossy`` also jpeg or jpegxl.
    :param quality: 1 to 100, of jpeg and jpegxl.
    :param windows: (start, end) of each channel, to be displayed; by default all values of an integer type,
        and of floats those that there are, together for the colours of a pixel; ``'data'``: from the
        smallest to the largest value of each channel.
    :param keptWindows: they are those of the file that is edited, whoever gave them.
    :param factor: how many times smaller each level is than the one before: 2, 4, 8, ...
    :param maxLevels: the number of levels at most.
    :param threads: how many; None: one a processor.
    :param name: the name of the image; by default the file's name without its suffix.
    :param progress: called with the number of samples written since the last call.
    :param check: called before every chunk; raises to stop.
    :param paths: of the levels' arrays; by default their numbers.
    :param documents: further metadata files by their path, put before any chunk.
    :param further: called when the image is written with where it goes, to put further files beside it.
    :param below: the folder of a zip that the image lies in, with a slash at its end; empty: at the root.
    :param outside: called likewise with the whole of the zip.
    """

    version: Version = '0.5'
    chunk: int | tuple[int, int] = CHUNK_SIDE
    shard: int | Literal['auto'] | None = 'auto'
    codec: Codec | str = 'blosc'
    quality: int = 90
    windows: Sequence[Window | tuple[float, float] | None] | Literal['data'] | None = None
    keptWindows: bool = False
    factor: int = 2
    maxLevels: int | None = None
    threads: int | None = None
    name: str | None = None
    progress: Callable[[int], None] | None = None
    check: Callable[[], None] | None = None
    documents: Mapping[str, bytes] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    further: Callable[[Outlet], None] | None = None
    below: str = ''
    outside: Callable[[Outlet], None] | None = None

    @classmethod
    def read(cls, params: Mapping[str, Any], *, lossy: bool = True) -> ZarrOptions:
        """Return the options among ``params``.

        One that is known neither here nor to the converter is passed over with a warning.

        :raises EditError: one is not acceptable.
        """
        known = {one.name for one in fields(cls)}
        unknown = sorted(set(params) - known - _CONVERTER_ONLY)
        if unknown:
            warnings.warn(
                f'write passes over {", ".join(unknown)}, which OME-Zarr does not know; it knows '
                f'{", ".join(sorted(known))}',
                stacklevel=4,
            )
        options = cls(**{name: value for name, value in params.items() if name in known})
        sides = options.chunk if isinstance(options.chunk, tuple) else (options.chunk,) * 2
        if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
            raise EditError(f'chunk must be a number of pixels from 1 on, or (y, x); found {options.chunk!r}')
        if isinstance(options.windows, str) and options.windows != 'data':
            raise EditError(f"windows must be a list of (start, end), or 'data'; found {options.windows!r}")
        if options.encoder().lossy and not lossy:
            raise EditError(f'The codec {options.encoder().name} loses detail, but lossy is False')
        return options

    def encoder(self) -> Codec:
        """Return the codec."""
        if isinstance(self.codec, Codec):
            return self.codec
        return Codec(self.codec, self.quality if self.codec in LOSSY else 1)  # type: ignore[arg-type]


def with_ends(window: Window | None, ends: Sequence[float]) -> Window:
    """Return a channel's window with other ends.

    :raises EditError: ``ends`` is not a start and an end.
    """
    try:
        start, end = (float(value) for value in ends)
    except (TypeError, ValueError) as exc:
        raise EditError(f'windows must be a list of (start, end); found {ends!r}') from exc
    if not start < end:
        raise EditError(f'A window must start before it ends; found {ends!r}')
    low = min(start, window.min) if window else start
    return Window(low, max(end, window.max) if window else end, start, end)


class Ranges:
    """The smallest and the largest value of each channel, as blocks of pixels are seen. Thread safe.

    :param axis: the axis of the channels in a block; None: there is one channel.
    :param count: of positions along it.
    """

    def __init__(self, axis: int | None, count: int) -> None:
        self._axis = axis
        self._low = np.full(count, np.inf)
        self._high = np.full(count, -np.inf)
        self._lock = threading.Lock()

    def see(self, region: tuple[slice, ...], block: np.ndarray | None) -> None:
        """Take a block into account; not a number and infinities count for nothing."""
        where = slice(0, 1) if self._axis is None else region[self._axis]
        for index in range(where.start, where.stop):
            values = block
            if block is not None and self._axis is not None:
                values = block.take(index - where.start, axis=self._axis)
            if values is not None and values.dtype.kind == 'f':
                values = values[np.isfinite(values)]
            if values is None or not values.size:
                continue
            low, high = float(values.min()), float(values.max())
            with self._lock:
                self._low[index] = min(self._low[index], low)
                self._high[index] = max(self._high[index], high)

    def ends(self, index: int, *others: int) -> tuple[float, float] | None:
        """Return where a channel's values start and end, or None where all of them are the same.

        :param others: channels that have their window in common with it.
        """
        places = [index, *others]
        low, high = float(self._low[places].min()), float(self._high[places].max())
        return (low, high) if low < high else None
