"""The omero channels of what is written: names, colours and windows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from girder_zarr.image.ngff.metadata import Axis, Channel, Window
from girder_zarr.image.write.output_spec import default_channels

from .zarr_options import with_ends

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from girder_zarr.image.series.folding import Folding


def output_channels(
    folding: Folding,
    bands: int,
    dtype: np.dtype[Any],
    *,
    names: Sequence[str],
    colors: Sequence[str],
    windows: Sequence[Window | Sequence[float] | None],
    stored: Sequence[Channel] = (),
) -> list[Channel]:
    """Return one for each position of the axis ``c``: what the user gave, else what follows from the bands.

    :param names: of the channels, or of all positions of channels and bands; ``colors`` likewise.
    :param windows: (start, end) of each channel, or a window of each channel or position; None: not given.
    :param stored: those of an edited file; the bands of its pixels keep their names and colours.
    :raises EditError: a window is not two numbers, the lower one first.
    """
    count = folding.sizes[-1] if folding.customs < len(folding.axes) else 1
    found = default_channels([Axis('c', 'channel')], [count * bands], dtype, bands, names)
    if bands > 1 and len(stored) == len(found) and not names:
        found = [
            replace(one, label=old.label or one.label, color=old.color or one.color)
            for one, old in zip(found, stored, strict=True)
        ]
    each = 1 if len(windows) == len(found) else bands
    step = 1 if len(colors) == len(found) else bands
    for index in range(len(found)):
        if index // step < len(colors):
            found[index] = replace(found[index], color=colors[index // step])
        window = windows[index // each] if index // each < len(windows) else None
        if window is not None:
            whole = window if isinstance(window, Window) else with_ends(found[index].window, window)
            found[index] = replace(found[index], window=whole)
    if names and len(names) == len(found):
        found = [replace(channel, label=name) for channel, name in zip(found, names, strict=True)]
    if not folding.customs:
        return found
    alone = count * bands == 1 and not names
    return [
        replace(channel, label=folding.prefix(block) + ('' if alone else f', {channel.label}'))
        for block in range(folding.blocks)
        for channel in found
    ]
