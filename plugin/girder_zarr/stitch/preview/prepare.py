"""Patches as previews show them: corrected by flat and dark fields, with their mask as alpha band."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from girder_zarr.common.budget import BUDGET
from girder_zarr.stitch.blend.patch_loader import PatchLoader
from girder_zarr.stitch.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from girder_zarr.stitch.blend.patch_loader import Load
    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.spec.model import StitchSpec

#: The bytes of a patch, times what decoding and correcting it take at once: it is decoded, and corrected in
#: floats of 32 bits.
_TIMES = 8


class Preparer:
    """Applies the reference images of a session to its patches. Safe under many threads.

    :param spec: of the session; names its flat and dark fields.
    :param references: those that the session has; missing ones are ignored.
    :param load: returns the pixels of a patch or reference image as they are stored.
    :param load_rows: returns those of a patch in pieces of whole rows, from the first row to the last.
    """

    def __init__(
        self,
        spec: StitchSpec,
        references: Iterable[Patch],
        load: Load,
        load_rows: Callable[[Patch], Iterable[np.ndarray]] | None = None,
    ) -> None:
        self._spec = replace(spec, overlap='last', size=None, crop=None)
        self._references = {reference.key: reference for reference in references}
        self._load = load
        self._load_rows = load_rows
        self._lock = threading.Lock()
        self._loader: PatchLoader | None = None

    @property
    def fingerprint(self) -> str:
        """The keys and digests of the reference images: changes when one is added, replaced or removed."""
        return ' '.join(f'{key} {reference.digest}' for key, reference in sorted(self._references.items()))

    def shown(self, patch: Patch) -> Patch:
        """Return a patch as the preview shows it: a mask that it names by key becomes its alpha band."""
        return replace(patch, alpha=True) if patch.mask_key in self._references else patch

    def cache_key(self, shown: Patch) -> list[str]:
        """Return the cache key of the corrections (flat, dark and mask digests) applied to a shown patch."""
        channel = shown.placement.index('c')
        fields = (self._spec.flat_field, self._spec.dark_field)
        keys = [keys[channel] if keys is not None and channel < len(keys) else None for keys in fields]
        named = [(kind, key) for kind, key in zip(('flat', 'dark'), keys, strict=True) if key]
        if shown.mask_key:
            named.append(('mask', shown.mask_key))
        found = ((kind, self._references.get(key)) for kind, key in named)
        return [f'{kind} {reference.digest}' for kind, reference in found if reference is not None]

    def rows(
        self, shown: Patch, load_rows: Callable[[Patch], Iterable[np.ndarray]] | None = None
    ) -> Iterable[np.ndarray]:
        """Return the pixels of a shown patch as :meth:`pixels` does, in pieces of whole rows if that can be.

        Reference images are applied to whole patches.

        :param load_rows: in place of that of the preparer.
        """
        load_rows = load_rows or self._load_rows
        if self.cache_key(shown) or load_rows is None:
            return [self.pixels(shown)]
        return load_rows(shown)

    def pixels(self, shown: Patch) -> np.ndarray:
        """Return the pixels ``(y, x, bands)`` of a shown patch, with its mask as one more band if it has one.

        :returns: an array in the dtype of the patch.
        :raises ConflictError: a reference image does not fit it. Errors of ``load`` are passed on.
        """
        # Before any cache is asked, in which another thread may wait for bytes that this one holds.
        with BUDGET.acquire(math.prod(shown.shape) * np.dtype(shown.dtype).itemsize * _TIMES):
            return self._pixels(shown)

    def _pixels(self, shown: Patch) -> np.ndarray:
        stored = replace(shown, alpha=False) if shown.mask_key else shown
        if not self.cache_key(shown):
            return self._load(stored)
        with self._lock:
            if self._loader is None:
                self._loader = PatchLoader(Plan([stored], self._spec, self._references.values()), self._load)
        loaded = self._loader.make(stored)
        if loaded.mask is None:
            return loaded.pixels
        return np.concatenate([loaded.pixels, _as_band(loaded.mask, loaded.pixels.dtype)], axis=2)


def _as_band(mask: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return a mask from 0 to 1 as a band ``(y, x, 1)``, the inverse of `patch_loader.as_mask`.

    Values above 0 stay above 0.
    """
    if dtype.kind == 'f':
        return mask[:, :, np.newaxis].astype(dtype)
    limit = np.iinfo(dtype).max
    # the largest integers of 64 bits are not exact as float64, and rounding up would overflow
    full = float(limit) if dtype.itemsize < 8 else np.nextafter(float(limit), 0)
    band = np.rint(mask.astype(np.float64) * full)
    return np.where(mask > 0, np.maximum(band, 1), 0)[:, :, np.newaxis].astype(dtype)
