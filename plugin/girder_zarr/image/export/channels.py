"""The omero channels of what is written: names, colours and windows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from girder_zarr.image.ngff.metadata import Axis, Channel
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
    windows: Sequence[Sequence[float]],
) -> list[Channel]:
    """Return one for each position of the axis ``c``: what the user gave, else what follows from the bands.

    :param names: of the channels, or of all positions of channels and bands; ``colors`` likewise.
    :param windows: (start, end) of each channel.
    :raises EditError: a window is not two numbers, the lower one first.
    """
    count = folding.sizes[-1] if folding.customs < len(folding.axes) else 1
    found = default_channels([Axis('c', 'channel')], [count * bands], dtype, bands, names)
    step = 1 if len(colors) == len(found) else bands
    for index in range(len(found)):
        if index // step < len(colors):
            found[index] = replace(found[index], color=colors[index // step])
        if index // bands < len(windows):
            found[index] = replace(
                found[index], window=with_ends(found[index].window, windows[index // bands])
            )
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
