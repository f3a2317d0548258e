"""The process that decodes pictures whose decoders need memory and time that no header states.

`decoder_process` starts it by the path of this file, so that nothing of ours has to be loaded, and may kill
it at any moment. It reads requests from its standard input and ends with it. A request is the length of a
JSON object (32 bits, little-endian), the object and the compressed bytes; an answer is one byte, a length
(64 bits) and that many bytes: 0 and the pixels in C order, or 1 and the message of an error.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import IO, Any

import imagecodecs
import numpy as np

try:
    import resource
except ImportError:  # not on Windows; the parent still may kill the process
    resource = None  # type: ignore[assignment]


def main(source: IO[bytes], target: IO[bytes]) -> None:
    """Answer requests until there are no more."""
    while len(head := source.read(4)) == 4:
        request = json.loads(source.read(struct.unpack('<I', head)[0]))
        _limit(request['memory'] + request['size'], request['seconds'])
        data: Any = source.read(request['size'])
        try:
            pixels: Any = _decode(request, data)
            answer: Any = memoryview(pixels.reshape(-1).view(np.uint8))
            status = 0
        except Exception as error:  # noqa: BLE001 - every decoder has errors of its own
            answer, status = (str(error) or type(error).__name__).encode()[:1000], 1
        target.write(struct.pack('<BQ', status, len(answer)))
        target.write(answer)
        target.flush()
        pixels = answer = data = None


def _decode(request: dict[str, Any], data: bytes) -> np.ndarray:
    """Return the pixels, in memory of the announced size.

    :raises ValueError: they have another size or type.
    """
    out = np.empty(request['shape'], request['dtype'])
    decode = getattr(imagecodecs, request['codec'] + '_decode')
    found = np.asarray(decode(data, out=out, **request['options']))
    if found.size != out.size or found.dtype != out.dtype:
        msg = f'{out.shape} {out.dtype} was expected, {found.shape} {found.dtype} found'
        raise ValueError(msg)
    return np.ascontiguousarray(found)


def _limit(memory: int, seconds: int) -> None:
    """Allow so many bytes and seconds of the processor more than what is in use."""
    if resource is None:
        return
    for kind, most in (
        (resource.RLIMIT_AS, _address_space() + memory),
        (resource.RLIMIT_CPU, int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + seconds),
    ):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard < 0 else min(most, hard), hard))


def _address_space() -> int:
    try:
        with open('/proc/self/statm', 'rb') as file:  # noqa: PTH123 - without pathlib
            return int(file.read().split()[0]) * os.sysconf('SC_PAGE_SIZE')
    except OSError:  # not on macOS, which does not hold to this limit either
        return 2**33


if __name__ == '__main__':
    main(sys.stdin.buffer, sys.stdout.buffer)
