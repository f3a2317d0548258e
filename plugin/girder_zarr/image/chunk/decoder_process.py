"""Decode pictures in processes that may be killed, for decoders whose memory and time no header bounds.

JPEG XL, JPEG 2000 and JPEG XR make frames, tiles and transforms of sizes that are found out only while
decoding. Their decoders get a process with limits on address space and processor time: what asks for more
than any honest picture of its size ends that process, not ours.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The codecs of imagecodecs that are decoded so, and the options of theirs that are handed on.
OPTIONS = {
    'jpegxl': ('index', 'keeporientation'),
    'jpeg2k': ('planar', 'skipres'),
    'jpegxr': ('fp2int',),
    'ultrahdr': ('dtype', 'transfer', 'boost'),
}
#: Those of them that take as many threads as there are processors, whose stacks count as memory.
_THREADED = frozenset(('jpegxl', 'jpeg2k'))
#: What a decoder may take beside the process itself: so much, and so many times the pixels. JPEG XL works on
#: 32 bits a sample, four times the bytes of 8-bit pixels, and JPEG 2000 likewise; twice that was never
#: needed in trials with sides of 512 to 4096.
BASE_BYTES, TIMES = 64 * 2**20, 8
#: Seconds of the processor: so many, and one more for so many bytes, a fourth of what busy machines decode.
BASE_SECONDS, BYTES_A_SECOND = 5, 2**19
#: Processes at a time; each takes some 60 MB.
MAX_PROCESSES = min(4, os.cpu_count() or 1)


def work_bytes(nbytes: int) -> int:
    """Return what decoding so many bytes of pixels may take in the other process."""
    return BASE_BYTES + TIMES * nbytes


class DecoderPool:
    """Processes that decode, started when they are needed and used again. Safe under many threads."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(MAX_PROCESSES)
        self._idle: queue.LifoQueue[subprocess.Popen[bytes]] = queue.LifoQueue()

    def decode(
        self, codec: str, data: Any, shape: Sequence[int], dtype: str, options: Mapping[str, Any]
    ) -> np.ndarray:
        """Return the pixels of a picture, of the given shape and dtype.

        :param codec: one of `OPTIONS`.
        :param data: the compressed picture, as bytes or an array of uint8.
        :raises ValueError: it cannot be decoded, is of another size, or takes more than it is allowed.
        """
        out = np.empty(tuple(shape), dtype)
        request = {
            'codec': codec,
            'size': memoryview(data).nbytes,
            'shape': list(out.shape),
            'dtype': dtype,
            'memory': work_bytes(out.nbytes),
            'seconds': BASE_SECONDS + out.nbytes // BYTES_A_SECOND,
            'options': {**options, **({'numthreads': 1} if codec in _THREADED else {})},
        }
        with self._places:
            process = self._take()
            try:
                _ask(process, request, data, out)
            except (OSError, EOFError):
                _end(process)
                msg = f'the {codec} takes more memory or time than {out.nbytes} bytes of pixels may take'
                raise ValueError(msg) from None
            except ValueError:
                self._idle.put(process)
                raise
            except BaseException:
                _end(process)
                raise
            self._idle.put(process)
        return out

    def close(self) -> None:
        """End the processes that wait for something to decode."""
        with contextlib.suppress(queue.Empty):
            while True:
                _end(self._idle.get_nowait())

    def _take(self) -> subprocess.Popen[bytes]:
        while True:
            try:
                process = self._idle.get_nowait()
            except queue.Empty:
                return _start()
            if process.poll() is None:
                return process
            _end(process)


def _start() -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name('decoder_child.py')
    # Threads that numpy would start count as address space.
    environment = {**os.environ, 'OPENBLAS_NUM_THREADS': '1', 'OMP_NUM_THREADS': '1'}
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, '-I', '-W', 'ignore', str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def _ask(process: subprocess.Popen[bytes], request: dict[str, Any], data: Any, out: np.ndarray) -> None:
    """Have a request answered into ``out``.

    :raises ValueError: the picture cannot be decoded. :raises OSError, EOFError: the process has ended.
    """
    head = json.dumps(request).encode()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(struct.pack('<I', len(head)) + head)
    process.stdin.write(data)
    process.stdin.flush()
    status, length = struct.unpack('<BQ', _exactly(process.stdout, 9))
    if status:
        raise ValueError(_exactly(process.stdout, length).decode(errors='replace'))
    view = out.reshape(-1).view(np.uint8).data
    if length != len(view):
        raise EOFError
    while view:
        count = process.stdout.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        view = view[count:]


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise EOFError
    return data


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        process.kill()
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()
    process.wait()


_pool = DecoderPool()


def _renew() -> None:
    global _pool  # noqa: PLW0603 - a forked process must not share the pipes of its parent
    _pool = DecoderPool()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_renew)


def decode_apart(
    codec: str, data: Any, shape: Sequence[int], dtype: str, options: Mapping[str, Any] | None = None
) -> np.ndarray:
    """Return the pixels of a picture from a process of its own; see :meth:`DecoderPool.decode`."""
    return _pool.decode(codec, data, shape, dtype, options or {})


def _close() -> None:
    _pool.close()


atexit.register(_close)
