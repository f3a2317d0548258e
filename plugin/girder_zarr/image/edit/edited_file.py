"""An opened image that is added to: metadata of its file carries over into what is written again."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import EditError
from girder_zarr.image.canvas.canvas import MEMORY, Canvas
from girder_zarr.image.canvas.scratch import Scratch
from girder_zarr.image.canvas.underlay import Underlay
from girder_zarr.image.export.associated import StoredPicture
from girder_zarr.image.series.frames import frame_values, lay_out
from girder_zarr.image.store.zarr_names import ROOT_KEYS

from .stored_form import stored_form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from girder_zarr.image.hierarchy.opening import Opened
    from girder_zarr.image.ngff.metadata import Axis, Multiscale, Version
    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.series import LevelReader, Series
    from girder_zarr.image.store.keystore import KeyStore
    from girder_zarr.image.write.outlet import Outlet

#: The attributes that OME-NGFF defines.
_OF_NGFF = {
    'ome', 'multiscales', 'omero', 'girder_zarr', 'bioformats2raw.layout', 'labels', 'image-label', 'plate',
    'well', 'series',
}  # fmt: skip
_VERSIONS: dict[str, Version] = {'0.5': '0.5', '0.6': '0.6'}


@dataclass(frozen=True)
class Edited:
    """The file that is edited, and what of it is neither pixels nor a property.

    :param path: of the file or directory.
    :param multiscale: its metadata.
    :param levels: its arrays, the full resolution first; ``layout``: where frames lie in them.
    :param version: in which it is written again unless another is asked for.
    :param labels: names of the files below ``labels``.
    :param form: the parameters of ``write`` that store it as it was stored.
    :param foreign: attributes that other programs put beside the metadata.
    :param height: of the image in the file; ``width`` likewise.
    """

    path: Path
    store: KeyStore
    multiscale: Multiscale
    levels: tuple[LevelReader, ...]
    layout: FrameLayout
    version: Version
    labels: tuple[str, ...]
    form: dict[str, Any]
    foreign: dict[str, Any]
    height: int
    width: int

    @classmethod
    def read(cls, path: Path, store: KeyStore, opened: Opened, series: Series) -> Edited:
        """Collect what carries over from an opened file."""
        multiscale, shape = series.multiscale, series.levels[0].shape
        sides = [shape[multiscale.axis_index(name) or 0] for name in 'yx']
        version = _VERSIONS.get((opened.parsed.version or '0.5')[:3], '0.4')
        foreign = {name: value for name, value in opened.attributes.items() if name not in _OF_NGFF}
        form = stored_form(series.levels[0], multiscale)
        labels, levels, layout = tuple(store.keys('labels/')), tuple(series.levels), lay_out([series])
        return cls(path, store, multiscale, levels, layout, version, labels, form, foreign, *sides)

    def axis(self, name: str) -> Axis | None:
        """Return an axis of the file."""
        index = self.multiscale.axis_index(name)
        return None if index is None else self.multiscale.axes[index]

    def transform(self, name: str) -> tuple[float, float]:
        """Return the size of a step along an axis and the offset of the first, in the axis's unit."""
        index, base = self.multiscale.axis_index(name), self.multiscale.levels[0]
        return (1.0, 0.0) if index is None else (base.scale[index], base.translation[index])

    def options(self, bands: int, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of ``write``: those that are asked for, and others that follow from the file.

        :param bands: of one pixel.
        """
        found: dict[str, Any] = {'version': self.version, **self.form}
        if 'chunk' in asked or asked.get('version') == '0.4':
            found.pop('shard', None)
        if self.multiscale.name:
            found['name'] = self.multiscale.name
        windows = [channel.window for channel in self.multiscale.channels or ()][::bands]
        if windows and all(window is not None and window.start < window.end for window in windows):
            found['windows'] = [(window.start, window.end) for window in windows if window is not None]
        return found | dict(asked)

    def lies_at(self, path: Path) -> bool:
        """Return whether what is written to ``path`` takes the place of this file."""
        return path.exists() and path.samefile(self.path)

    def check_labels(self, version: Version, *, moved: bool, sides: tuple[int, int]) -> None:
        """Raise EditError where the labels of the file do not belong to what will be written.

        :param moved: whether the first pixel is another than in the file.
        :param sides: height and width of what is written.
        """
        if not self.labels:
            return
        what = 'The labels of the image cannot be kept: '
        how = ' Write it to another file, or leave them out with labels=False'
        if (version == '0.4') != (self.version == '0.4'):
            raise EditError(f'{what}they are NGFF {self.version}, and {version} was asked for.{how}')
        if moved or sides != (self.height, self.width):
            raise EditError(
                f'{what}they are {self.width} x {self.height} pixels from the upper left one on, and the '
                f'image is now {sides[1]} x {sides[0]}{" from another one on" if moved else ""}.{how}'
            )

    def label_documents(self) -> dict[str, bytes]:
        """Return the metadata files of the labels by their path."""
        names = [name for name in self.labels if name.rpartition('/')[2] in ROOT_KEYS]
        found = {name: self.store.read(name) for name in names}
        return {name: content for name, content in found.items() if content is not None}

    def copy_labels(self, outlet: Outlet) -> None:
        """Write the labels as they are."""
        for name in self.labels:
            content = self.store.read(name)
            if content is not None:
                outlet.put(name, content)


def check_single(opened: Opened) -> None:
    """Raise EditError unless a file holds one image and nothing that would be lost."""
    if opened.kind not in {'image', 'arrays'} or len(opened.series) != 1 or opened.others:
        raise EditError(
            f'Only a single image can be edited; found {len(opened.series) + len(opened.others)} images '
            f'({opened.kind})'
        )


class EditMixin:
    """What the writing half needs to begin with an image that exists."""

    _edited: Edited | None = None
    _describesEdits = True

    def _initEdit(
        self, opened: Opened, store: KeyStore, location: object, options: Mapping[str, Any]
    ) -> None:
        """Make an image that was just opened one that can be added to; nothing of it is read yet.

        :param location: the path of the file; other sources can only be read.
        :param options: ``memory`` and ``temporary`` as for new images.
        :raises EditError: it is not a file of this machine, or not a single image.
        """
        source: Any = self
        if hasattr(source, 'girderSource') or not isinstance(location, (str, Path)) or '://' in str(location):
            raise EditError(f'Only a file of this machine can be edited, not {location}')
        check_single(opened)
        series = opened.series[0]
        multiscale, layout = series.multiscale, lay_out(opened.series)
        path = Path(location)
        if path.name in ROOT_KEYS:
            path = path.parent
        self._edited = Edited.read(path, store, opened, series)
        source._uniqueName = uuid.uuid4().hex
        source._own(Scratch(source._uniqueName, options.get('temporary')))
        source._canvas = Canvas(
            source._scratch,
            memory=options.get('memory', MEMORY),
            underlay=Underlay(series.levels[0], layout),
        )
        source._newAssociated = _associated(opened, multiscale)
        source._revision = 0
        names = source._channels
        source._channelNames = list(names) if names else None
        source._channelColors = source._fileColors() or None
        source._frameAxes, source._frameUnits, source._frameValues = frame_values(multiscale, layout, None)
        source._cacheValue = source._uniqueName
        self._describesEdits = False
        source._editable = True


def _associated(opened: Opened, multiscale: Multiscale) -> dict[str, LevelReader]:
    """Return the associated images that we wrote ourselves."""
    stored = multiscale.extra.get('associated')
    keys = stored if isinstance(stored, dict) else ()
    return {key: StoredPicture.of(opened.associated[key]()) for key in keys}
