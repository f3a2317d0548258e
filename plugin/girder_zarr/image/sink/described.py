"""The series of an image that is written: what its frames stand for is described when somebody reads it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from girder_zarr.image.canvas.form import CanvasExtent
    from girder_zarr.image.ngff.metadata import Multiscale
    from girder_zarr.image.series.series import Series


class DescribedSeries:
    """Series whose metadata may lack what takes a look at the value of each frame.

    A tile source and its views share one, so that this is done once.

    :param series: with an Axis of a name and a type for each frame axis, where they are to be finished.
    :param extent: of the image that they show; None: they are finished.
    """

    def __init__(self, series: Sequence[Series], extent: CanvasExtent | None = None) -> None:
        self.series = list(series)
        self.extent = extent

    def finish(self, valued: Callable[[Multiscale, CanvasExtent], Multiscale]) -> None:
        """Complete the metadata, unless that was done; only one thread may do this at a time.

        :param valued: returns metadata with units, values and steps of the frame axes.
        """
        if self.extent is None:
            return
        extent = self.extent
        self.series = [replace(one, multiscale=valued(one.multiscale, extent)) for one in self.series]
        self.extent = None  # last: readers that find None take the series without the lock


class DescribedMixin:
    """Lets addTile leave the description of values to those who read them."""

    _described: DescribedSeries
    _sinkLock: threading.RLock

    def _valued(self, multiscale: Multiscale, extent: CanvasExtent) -> Multiscale:
        """Return metadata with units, values and steps of the frame axes."""
        raise NotImplementedError

    def _keep(self, series: Sequence[Series], unvalued: CanvasExtent | None) -> Series:
        """Set the images that are shown, see `DescribedSeries`; return the first."""
        self._described = DescribedSeries(series, unvalued)
        return series[0]

    @property
    def _series(self) -> list[Series]:
        """The images that are shown; those of an opened file are described once for all."""
        described = self._described
        if described.extent is not None:
            with self._sinkLock:
                described.finish(self._valued)
        return described.series

    @_series.setter
    def _series(self, series: Sequence[Series]) -> None:
        self._described = DescribedSeries(series)
