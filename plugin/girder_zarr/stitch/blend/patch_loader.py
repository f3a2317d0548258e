"""The pixels of patches as they count: masks split off or looked up, flat and dark fields applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from girder_zarr.errors import ConflictError, UnsupportedFormatError

from .cache import Cache
from .rules import rounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.plan import Plan

    Load = Callable[[Patch], np.ndarray]

#: Bytes of pixels of patches, and of what is made of reference images, that are kept.
PATCH_BYTES = 192 * 2**20
REFERENCE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Loaded:
    """The pixels of a patch, ready to be blended.

    :param pixels: ``(y, x, bands)``.
    :param mask: ``(y, x)``, float32 from 0 to 1, or None.
    :param reach: ``(y, x)``, float32: the distance to the end of the patch or its mask; only for feathering
        and only where there is a mask.
    """

    pixels: np.ndarray
    mask: np.ndarray | None = None
    reach: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        parts = (self.pixels, self.mask, self.reach)
        return sum(part.nbytes for part in parts if part is not None)


@dataclass(frozen=True, slots=True)
class _Mask:
    """What is made of a reference image that is a mask; see :class:`Loaded`."""

    mask: np.ndarray
    reach: np.ndarray | None

    @property
    def nbytes(self) -> int:
        return self.mask.nbytes + (0 if self.reach is None else self.reach.nbytes)


@dataclass(frozen=True, slots=True)
class _Correction:
    """``(value - dark) * gain`` is the corrected value; both ``(y, x, bands)`` or ``(1, 1, 1)``."""

    dark: np.ndarray
    gain: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.dark.nbytes + self.gain.nbytes


class PatchLoader:
    """Loads patches of a plan, each once as long as it is kept. Thread safe.

    Masks and fields whose reference images the plan does not have are passed over; `Plan.check_references`
    is what demands them.

    :param load: returns the pixels of a patch as they are stored, ``(y, x, bands)``, with one more band where
        ``patch.alpha``.
    """

    def __init__(self, plan: Plan, load: Load) -> None:
        self._plan = plan
        self._load = load
        self._feather = plan.spec.overlap == 'feather'
        self._patches: Cache[Patch, Loaded] = Cache(self.make, lambda patch: patch.key, PATCH_BYTES)
        self._masks: Cache[Patch, _Mask] = Cache(self._make_mask, lambda patch: patch.key, REFERENCE_BYTES)
        self._corrections: Cache[int, _Correction] = Cache(self._make_correction, str, REFERENCE_BYTES)

    def get(self, patch: Patch) -> Loaded:
        """Return a patch.

        :raises UnsupportedFormatError: it is not what was announced. :raises ConflictError: a reference image
            does not fit it.
        """
        return self._patches.get(patch)

    def make(self, patch: Patch) -> Loaded:
        """Return a patch without keeping it; errors are those of :meth:`get`."""
        pixels = self._stored(patch)
        mask = reach = None
        if patch.alpha:
            mask = as_mask(pixels[:, :, -1])
            reach = reach_of(mask) if self._feather else None
            pixels = np.ascontiguousarray(pixels[:, :, :-1])
        if patch.mask_key in self._plan.references:
            found = self._masks.get(self._plan.references[patch.mask_key])
            check_same_size(patch, patch.mask_key, found.mask.shape)
            mask, reach = found.mask, found.reach
        return Loaded(self._corrected(patch, pixels), mask, reach)

    def _stored(self, patch: Patch) -> np.ndarray:
        pixels = self._load(patch)
        expected = (*patch.shape[:2], patch.shape[2] + patch.alpha)
        if pixels.shape != expected or pixels.dtype != np.dtype(patch.dtype):
            msg = (
                f'Patch {patch.key} should hold {expected} of {patch.dtype}; '
                f'found {pixels.shape} of {pixels.dtype}.'
            )
            raise UnsupportedFormatError(msg)
        return pixels

    def _make_mask(self, reference: Patch) -> _Mask:
        mask = as_mask(self._stored(reference)[:, :, 0])
        return _Mask(mask, reach_of(mask) if self._feather else None)

    def _corrected(self, patch: Patch, pixels: np.ndarray) -> np.ndarray:
        spec, channel = self._plan.spec, patch.placement.index('c')
        keys = field_keys(self._plan, channel)
        if (spec.flat_field is None and spec.dark_field is None) or keys == (None, None):
            return pixels
        correction = self._corrections.get(channel)
        for part in (correction.dark, correction.gain):
            if part.shape[:2] != (1, 1):
                check_same_size(patch, ' and '.join(key for key in keys if key), part.shape)
        value = (pixels - correction.dark) * correction.gain
        if pixels.dtype.kind == 'f':
            return np.asarray(value, pixels.dtype)
        return rounded(value, pixels.dtype)

    def _make_correction(self, channel: int) -> _Correction:
        """Return what corrects a channel: the gain is the mean of flat - dark over what it is at a pixel.

        Where flat - dark is not positive, the pixel of the camera is dead, and its gain is 1.
        """
        wide: Any = np.float32 if np.dtype(self._plan.dtype).itemsize <= 2 else np.float64
        flat_key, dark_key = field_keys(self._plan, channel)
        dark, gain = np.zeros((1, 1, 1), wide), np.ones((1, 1, 1), wide)
        if dark_key is not None:
            dark = self._stored(self._plan.references[dark_key]).astype(wide)
        if flat_key is not None:
            light = self._stored(self._plan.references[flat_key]).astype(np.float64)
            if dark.shape[:2] not in {(1, 1), light.shape[:2]}:
                msg = f'The fields {flat_key} and {dark_key} differ in size.'
                raise ConflictError(msg)
            light = light - dark
            alive = light > 0
            mean = np.sum(light, axis=(0, 1), where=alive) / np.maximum(alive.sum(axis=(0, 1)), 1)
            gain = np.divide(mean, light, out=np.ones_like(light), where=alive).astype(wide)
        return _Correction(dark, gain)


def field_keys(plan: Plan, channel: int) -> tuple[str | None, str | None]:
    """Return the keys of a channel's flat and dark field, None where the plan has no such reference."""
    found = []
    for keys in (plan.spec.flat_field, plan.spec.dark_field):
        key = keys[channel] if keys is not None and channel < len(keys) else None
        found.append(key if key in plan.references else None)
    return found[0], found[1]


def check_same_size(patch: Patch, key: str, shape: tuple[int, ...]) -> None:
    """Check a mask or field against a patch.

    :raises ConflictError: they differ in height or width.
    """
    if tuple(shape[:2]) != patch.shape[:2]:
        msg = (
            f'Patch {patch.key} has {patch.shape[1]} x {patch.shape[0]} pixels; '
            f'the reference image {key} has {shape[1]} x {shape[0]}.'
        )
        raise ConflictError(msg)


def visible(loaded: Loaded) -> np.ndarray:
    """Return the pixels of a patch with their mean where they do not count, so that nothing is seen there."""
    if loaded.mask is None:
        return loaded.pixels
    seen = (loaded.mask > 0)[:, :, np.newaxis]
    if not seen.any():
        return np.zeros_like(loaded.pixels)
    return np.where(seen, loaded.pixels, loaded.pixels.mean(axis=(0, 1), where=seen))


def as_mask(values: np.ndarray) -> np.ndarray:
    """Return a band as float32 from 0 to 1: integers as part of their largest value, floats cut off."""
    if values.dtype.kind == 'f':
        return np.asarray(np.clip(np.nan_to_num(values, nan=0.0), 0, 1), np.float32)
    full = np.float32(1 / float(np.iinfo(values.dtype).max))
    mask: np.ndarray = np.clip(values.astype(np.float32) * full, 0, 1)
    # small values of wide types must not become nothing
    return np.where(values > 0, np.maximum(mask, np.finfo(np.float32).tiny), np.float32(0))


def reach_of(mask: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel's middle to the nearest pixel that does not count or is outside.

    Distances are the larger of those along y and x, as without a mask.
    """
    inside = np.pad((mask > 0).astype(np.uint8), 1)
    distance: np.ndarray = cv2.distanceTransform(inside, cv2.DIST_C, 3)[1:-1, 1:-1]
    return np.maximum(distance - np.float32(0.5), np.float32(0))
