"""What large_image says of the frames of an image, made once for an image that does not change."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def band_names(counts: Mapping[str, int]) -> list[str] | None:
    """Return the names of channels that have none, as large-image-source-zarr counts them.

    :param counts: of the frames along each axis.
    """
    count = counts.get('c')
    return None if count is None else [f'Band {number + 1}' for number in range(count)]


class FrameMetadata:
    """Keeps the frame list and what is said of it: a copy takes a fifteenth of the time of making it."""

    def __init__(self) -> None:
        self._known: tuple[tuple[str, ...], dict[str, Any]] | None = None

    def fetch(self, names: tuple[str, ...] | None, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what is known, or what a call returns; the caller may change it.

        :param names: of the channels, with which it changes; None: it may change with anything.
        :param make: returns ``frames``, a list of flat dictionaries that may have a ``Window``, and others.
        """
        if names is None:
            return make()
        known = self._known
        if known is None or known[0] != names:
            known = self._known = names, make()
        frames = [dict(frame) for frame in known[1]['frames']]
        for frame in frames:
            if 'Window' in frame:
                frame['Window'] = dict(frame['Window'])
        others = {name: copy.deepcopy(value) for name, value in known[1].items() if name != 'frames'}
        return {'frames': frames, **others}
