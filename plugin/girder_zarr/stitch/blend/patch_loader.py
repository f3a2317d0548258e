"""Patches made ready for blending: masks split off or looked up, flat and dark fields applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from girder_zarr.common.cache import LRU
from girder_zarr.errors import ConflictError, UnsupportedFormatError

from .fractional import shifted
from .rules import rounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.plan import Plan

    Load = Callable[[Patch], np.ndarray]

#: Bytes of loaded patches that are cached: a block and its neighbour need the same ones. Some 60 patches of
#: 1024 x 1024 RGB, less than what a worker needs anyway.
MAX_PATCH_BYTES = 192 * 2**20
#: The same for masks and for the fields of all channels, each of which has the size of a patch.
MAX_REFERENCE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Loaded:
    """The pixels of a patch, ready to be blended.

    :param pixels: ``(y, x, bands)`` in the dtype of the patch.
    :param mask: ``(y, x)``, float32 from 0 to 1, or None.
    :param reach: ``(y, x)``, float32: the distance to the end of the patch or its mask; only for feathering
        and only where there is a mask.
    """

    pixels: np.ndarray
    mask: np.ndarray | None = None
    reach: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        parts = (self.pixels, self.mask, self.reach)
        return sum(part.nbytes for part in parts if part is not None)


@dataclass(frozen=True, slots=True)
class _Mask:
    """A mask from a reference image; its fields are those of :class:`Loaded`."""

    mask: np.ndarray
    reach: np.ndarray | None

    @property
    def nbytes(self) -> int:
        return self.mask.nbytes + (0 if self.reach is None else self.reach.nbytes)


@dataclass(frozen=True, slots=True)
class _Correction:
    """``(value - dark) * gain`` is the corrected value; both ``(y, x, bands)`` or ``(1, 1, 1)``, floats."""

    dark: np.ndarray
    gain: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.dark.nbytes + self.gain.nbytes


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


def _bytes_of(value: _Sized) -> int:
    return value.nbytes


class PatchLoader:
    """Loads the patches of a plan and caches them. Safe under many threads.

    Masks and fields whose reference images the plan lacks are ignored; `Plan.check_references` demands them.

    :param load: returns the pixels of a patch as they are stored, ``(y, x, bands)``, with one more band where
        ``patch.alpha``.
    """

    def __init__(self, plan: Plan, load: Load) -> None:
        self._plan = plan
        self._load = load
        self._feather = plan.spec.overlap == 'feather'
        self._patches: LRU[str, Loaded] = LRU(max_bytes=MAX_PATCH_BYTES, size_of=_bytes_of)
        self._masks: LRU[str, _Mask] = LRU(max_bytes=MAX_REFERENCE_BYTES, size_of=_bytes_of)
        self._corrections: LRU[int, _Correction] = LRU(max_bytes=MAX_REFERENCE_BYTES, size_of=_bytes_of)

    def get(self, patch: Patch) -> Loaded:
        """Return a patch from the cache, or load it.

        :raises UnsupportedFormatError: its pixels differ in shape or dtype from what the plan has.
        :raises ConflictError: a reference image does not fit it.
        """
        return self._patches.fetch(patch.key, lambda: self.make(patch))

    def make(self, patch: Patch) -> Loaded:
        """Load a patch without caching it; raises the errors of :meth:`get`."""
        pixels = self._stored(patch)
        mask = reach = None
        if patch.alpha:
            mask = as_mask(pixels[:, :, -1])
            reach = reach_of(mask) if self._feather else None
            pixels = np.ascontiguousarray(pixels[:, :, :-1])
        if patch.mask_key in self._plan.references:
            reference = self._plan.references[patch.mask_key]
            found = self._masks.fetch(reference.key, lambda: self._make_mask(reference))
            check_same_size(patch, patch.mask_key, found.mask.shape)
            mask, reach = found.mask, found.reach
        pixels, fraction = self._corrected(patch, pixels), self._plan.fraction(patch)
        if fraction != (0, 0):
            pixels, mask = shifted(pixels, mask, fraction)
            reach = reach_of(mask) if mask is not None and self._feather else None
        return Loaded(pixels, mask, reach)

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
        channel = patch.placement.index('c')
        keys = field_keys(self._plan, channel)
        estimated = keys[0] is None and channel in self._plan.illumination
        if keys == (None, None) and not estimated:
            return pixels
        correction = self._corrections.fetch(channel, lambda: self._make_correction(channel))
        for part in (correction.dark, correction.gain):
            if part.shape[:2] != (1, 1):
                names = [key for key in keys if key] + ['(estimated)'] * estimated
                check_same_size(patch, ' and '.join(names), part.shape)
        value = (pixels - correction.dark) * correction.gain
        if pixels.dtype.kind == 'f':
            return np.asarray(value, pixels.dtype)
        return rounded(value, pixels.dtype)

    def _make_correction(self, channel: int) -> _Correction:
        """Return the correction of a channel: the gain is the mean of flat - dark over its value at a pixel.

        Where flat - dark is not positive, the pixel of the camera is dead; its gain is 1.
        """
        wide: Any = np.float32 if np.dtype(self._plan.dtype).itemsize <= 2 else np.float64
        flat_key, dark_key = field_keys(self._plan, channel)
        dark, gain = np.zeros((1, 1, 1), wide), np.ones((1, 1, 1), wide)
        if dark_key is not None:
            dark = self._stored(self._plan.references[dark_key]).astype(wide)
        if flat_key is None and channel in self._plan.illumination:
            gain = (1 / self._plan.illumination[channel].image()).astype(wide)
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
    """Return the keys of the flat and the dark field of a channel; None where the plan has no such image."""
    found = []
    for keys in (plan.spec.flat_field, plan.spec.dark_field):
        key = keys[channel] if keys is not None and channel < len(keys) else None
        found.append(key if key in plan.references else None)
    return found[0], found[1]


def check_same_size(patch: Patch, key: str, shape: tuple[int, ...]) -> None:
    """Check that a mask or field has the height and width of a patch.

    :param key: of the reference image, for the error.
    :param shape: of it, beginning with ``(y, x)``.
    :raises ConflictError: they differ in height or width.
    """
    if tuple(shape[:2]) != patch.shape[:2]:
        msg = (
            f'Patch {patch.key} has {patch.shape[1]} x {patch.shape[0]} pixels; '
            f'the reference image {key} has {shape[1]} x {shape[0]}.'
        )
        raise ConflictError(msg)


def visible(loaded: Loaded) -> np.ndarray:
    """Return pixels ``(y, x, bands)`` with the mean of each band where the mask is 0.

    Registration compares these: the mean has no structure that could correlate.
    """
    if loaded.mask is None:
        return loaded.pixels
    seen = (loaded.mask > 0)[:, :, np.newaxis]
    if not seen.any():
        return np.zeros_like(loaded.pixels)
    return np.where(seen, loaded.pixels, loaded.pixels.mean(axis=(0, 1), where=seen))


def as_mask(values: np.ndarray) -> np.ndarray:
    """Return a band ``(y, x)`` as float32 from 0 to 1: integers over their largest value, floats clipped."""
    if values.dtype.kind == 'f':
        return np.asarray(np.clip(np.nan_to_num(values, nan=0.0), 0, 1), np.float32)
    full = np.float32(1 / float(np.iinfo(values.dtype).max))
    mask: np.ndarray = np.clip(values.astype(np.float32) * full, 0, 1)
    # small values of wide types must not be rounded to 0, which would hide the pixel
    return np.where(values > 0, np.maximum(mask, np.finfo(np.float32).tiny), np.float32(0))


def reach_of(mask: np.ndarray) -> np.ndarray:
    """Return for each pixel the distance from its centre to the nearest masked or outer pixel, float32.

    :param mask: ``(y, x)``; 0 is masked.
    :returns: ``(y, x)`` in pixels, the larger of the distances along y and x, as `blend` measures it to
        the edges of a patch without a mask.
    """
    inside = np.pad((mask > 0).astype(np.uint8), 1)
    distance: np.ndarray = cv2.distanceTransform(inside, cv2.DIST_C, 3)[1:-1, 1:-1]
    return np.maximum(distance - np.float32(0.5), np.float32(0))
