"""What a session holds in the end, read back by others: zarr and tensorstore."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorstore
import zarr

if TYPE_CHECKING:
    from .material import Work
    from .wire import Wire


def wrong_patches(
    wire: Wire, session: str, work: Work, acknowledged: dict[str, str | None], *, complete: bool
) -> tuple[list[str], list[str]]:
    """Return the acknowledged patches that are missing, and whatever else differs from what was sent.

    :param complete: the image is there: patches that are not kept are gone.
    """
    answer = wire.insist('GET', f'stitch_session/{session}/patch', {'limit': 0, 'fields': 'key,digest'})
    there = {one['key']: one['digest'] for one in answer.json}
    if complete and not work.kept:
        return [], [f'{work.name} {key}: still there' for key in there]
    lost = [
        f'{work.name} {key}: acknowledged {digest}, found {there.get(key)}'
        for key, digest in acknowledged.items()
        if there.get(key) != digest
    ]
    wanted = {key: one.digest for key, one in work.pieces.items()}
    other = [
        f'{work.name} {key}: wanted {wanted.get(key)}, found {there.get(key)}'
        for key in sorted({*wanted, *there})
        if wanted.get(key) != there.get(key)
    ]
    return lost, other


def wrong_pixels(wire: Wire, session: str, work: Work) -> str | None:
    """Return what is wrong with the image of a complete session; None: every pixel is as it has to be."""
    found = wire.insist('GET', f'stitch_session/{session}').json
    if found['state'] != 'complete':
        return f'{work.name} is {found["state"]} ({found["error"]})'
    data = wire.insist('GET', f'file/{found["fileId"]}/download').body
    with tempfile.TemporaryDirectory(prefix='girder-zarr-chaos-') as folder:
        path = Path(folder) / 'image.zip'
        path.write_bytes(data)
        images = {'zarr': with_zarr(path), 'tensorstore': with_tensorstore(path)}
    expected = work.expected()
    for reader, pixels in images.items():
        # Gray images have no channel axis.
        image = pixels.reshape((-1, *pixels.shape[-2:]))
        if image.shape != expected.shape or image.dtype != expected.dtype:
            return (
                f'{work.name}: {reader} reads {image.shape} of {image.dtype}, not {expected.shape} '
                f'of {expected.dtype}'
            )
        different = int(np.count_nonzero(image != expected))
        if different:
            return f'{work.name}: {reader} reads {different} of {image.size} values that are wrong'
    return None


def with_zarr(path: Path) -> np.ndarray:
    with zarr.storage.ZipStore(path, mode='r') as store:
        return np.asarray(zarr.open_group(store, mode='r')['0'][...])


def with_tensorstore(path: Path) -> np.ndarray:
    spec: dict[str, Any] = {
        'driver': 'zarr3',
        'kvstore': {'driver': 'zip', 'base': {'driver': 'file', 'path': str(path)}, 'path': '0/'},
    }
    return np.asarray(tensorstore.open(spec, read=True).result().read().result())
