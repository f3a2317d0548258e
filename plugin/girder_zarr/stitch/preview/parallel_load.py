"""Load the patches of a block of a preview: small ones side by side, large ones one after the other."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from girder_zarr.stitch.patch import Patch

#: Threads that decode patches, shared by all previews of a process; more would starve its requests.
THREADS = min(4, os.cpu_count() or 1)
_pool = ThreadPoolExecutor(THREADS, thread_name_prefix='girder-zarr-preview')


def load_each(load: Callable[[Patch], np.ndarray], patches: Sequence[Patch]) -> dict[str, np.ndarray | str]:
    """Load patches in parallel and return, by key, their pixels or the message of the error.

    :param load: returns the pixels ``(y, x, bands)`` of a patch; may raise anything.
    """

    def attempt(patch: Patch) -> np.ndarray | str:
        try:
            return load(patch)
        except Exception as error:  # noqa: BLE001 - one bad patch must not hide the others
            return str(error) or type(error).__name__

    found = _pool.map(attempt, patches) if len(patches) > 1 else map(attempt, patches)
    return {patch.key: pixels for patch, pixels in zip(patches, found, strict=True)}
