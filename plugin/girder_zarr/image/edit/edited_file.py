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
from girder_zarr.image.limits import DEFAULT, load_json
from girder_zarr.image.ngff.carried import Carried, carried_of
from girder_zarr.image.ngff.metadata import Axis
from girder_zarr.image.series.frames import frame_values, lay_out
from girder_zarr.image.store.sqlitestore import SqliteStore
from girder_zarr.image.store.stores import DirectoryStore
from girder_zarr.image.store.zarr_names import DATABASE_SUFFIXES, DIRECTORY_SUFFIX, ROOT_KEYS, ZIP_SUFFIXES

from .beside import Beside, level_paths
from .stored_form import stored_form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from girder_zarr.image.hierarchy.opening import Opened
    from girder_zarr.image.ngff.metadata import Multiscale, Version
    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.series import LevelReader, Series
    from girder_zarr.image.store.keystore import KeyStore

#: What `export.write` makes anew of the attribute ``girder_zarr``.
_EXTRA = {
    'description', 'additionalMetadata', 'magnification', 'frameAxes', 'projection', 'gcps', 'folded',
    'channelNames', 'associated', 'bands',
}  # fmt: skip
_VERSIONS: dict[str, Version] = {'0.5': '0.5', '0.6': '0.6'}


@dataclass(frozen=True)
class Edited:
    """The file that is edited, and what of it is neither pixels nor a property.

    :param path: of the file or directory.
    :param multiscale: its metadata.
    :param levels: its arrays, the full resolution first; ``layout``: where frames lie in them.
    :param version: in which it is written again unless another is asked for.
    :param beside: the files that are not the image.
    :param form: the parameters of ``write`` that store it as it was stored.
    :param carried: metadata that is not understood.
    :param extra: what is not understood of our own attribute ``girder_zarr``.
    :param container: one of ``zarr_names.SUFFIXES``: what it is, whatever it is called.
    :param height: of the image in the file; ``width`` likewise.
    """

    path: Path
    store: KeyStore
    multiscale: Multiscale
    levels: tuple[LevelReader, ...]
    layout: FrameLayout
    version: Version
    beside: Beside
    form: dict[str, Any]
    carried: Carried
    extra: dict[str, Any]
    container: str
    height: int
    width: int

    @classmethod
    def read(cls, path: Path, store: KeyStore, opened: Opened, series: Series) -> Edited:
        """Collect what carries over from an opened file."""
        multiscale, shape = series.multiscale, series.levels[0].shape
        sides = [shape[multiscale.axis_index(name) or 0] for name in 'yx']
        paths = _array_paths(opened, multiscale)
        version = _version(store, opened, paths)
        arrays = [_array_attributes(store, path) for path in paths]
        carried = carried_of(opened.attributes, _stored_names(opened, multiscale), arrays)
        if opened.kind == 'arrays' and '' in paths:  # the attributes are the array's own
            carried = Carried(arrays=carried.arrays)
        extra = {name: value for name, value in multiscale.extra.items() if name not in _EXTRA}
        beside = Beside.of(store, paths, _associated_paths(multiscale))
        form = stored_form(series.levels[0], multiscale)
        form['paths'] = level_paths(paths, beside.taken(), DEFAULT.levels)
        levels, layout = tuple(series.levels), lay_out([series])
        return cls(
            path,
            store,
            multiscale,
            levels,
            layout,
            version,
            beside,
            form,
            carried,
            extra,
            _container(store, path),
            *sides,
        )

    def axis(self, name: str) -> Axis | None:
        """Return an axis of the file."""
        index = self.multiscale.axis_index(name)
        return None if index is None else self.multiscale.axes[index]

    def channel_axis(self) -> Axis:
        """Return the axis of channels as the file calls it, or one called ``c``."""
        found = self.axis('c') or Axis('c', 'channel')
        return Axis('c', 'channel', label=found.label)

    def transform(self, name: str) -> tuple[float | None, float]:
        """Return the size of a step along an axis and the offset of the first, in the axis's unit.

        The size is None where the file does not give it.
        """
        index, base = self.multiscale.axis_index(name), self.multiscale.levels[0]
        return (None, 0.0) if index is None else (base.size(index), base.translation[index])

    def options(self, bands: int, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of ``write``: those that are asked for, and others that follow from the file.

        :param bands: of one pixel.
        """
        found: dict[str, Any] = {'version': self.version, **self.form}
        if 'chunk' in asked or asked.get('version') == '0.4':
            found.pop('shard', None)
        if self.multiscale.name:
            found['name'] = self.multiscale.name
        windows = [channel.window for channel in self.multiscale.channels or ()]
        usable = [one if one is not None and one.start < one.end else None for one in windows]
        if bands == self.layout.bands and any(usable):
            found |= {'windows': usable, 'keptWindows': 'windows' not in asked}
        return found | dict(asked)

    def lies_at(self, path: Path) -> bool:
        """Return whether what is written to ``path`` takes the place of this file."""
        return path.exists() and path.samefile(self.path)

    def target(self, path: Path) -> Path:
        """Return where to write to: a file of metadata stands for the folder that it is in."""
        return path.parent if path.name in ROOT_KEYS and self.lies_at(path.parent) else path

    def check_labels(self, version: Version, *, moved: bool, sides: tuple[int, int]) -> None:
        """Raise EditError where the labels of the file do not belong to what will be written.

        :param moved: whether the first pixel is another than in the file.
        :param sides: height and width of what is written.
        """
        if not self.beside.labels:
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


def _version(store: KeyStore, opened: Opened, paths: Sequence[str]) -> Version:
    """Return the version of NGFF to write: of the same generation of zarr, whatever the file claims.

    large-image-source-zarr 1.35.6 says 0.5 in zarr v2.
    """
    prefix = f'{paths[0]}/' if paths and paths[0] else ''
    if store.has(f'{prefix}.zarray') and not store.has(f'{prefix}zarr.json'):
        return '0.4'
    return _VERSIONS.get((opened.parsed.version or '0.5')[:3], '0.5')


def _array_paths(opened: Opened, multiscale: Multiscale) -> list[str]:
    """Return the paths of all arrays of the image, levels that are not shown included."""
    found = [level.path for level in multiscale.levels]
    declared = [level.path for one in opened.parsed.multiscales for level in one.levels]
    return found + [path for path in declared if path not in found]


def _array_attributes(store: KeyStore, path: str) -> dict[str, Any]:
    prefix = f'{path}/' if path else ''
    for key, inner in ((f'{prefix}zarr.json', True), (f'{prefix}.zattrs', False)):
        data = store.read(key, DEFAULT.json_bytes)
        if data is not None:
            document = load_json(data, key)
            found = document.get('attributes') if inner else document
            return found if isinstance(found, dict) else {}
    return {}


def _stored_names(opened: Opened, multiscale: Multiscale) -> list[str]:
    """Return the axes in the order of the file, in which an axis ``c`` may stand for several."""
    stored = opened.parsed.multiscales[0].axes if opened.parsed.multiscales else multiscale.axes
    return [axis.name for axis in stored]


def _associated_paths(multiscale: Multiscale) -> list[str]:
    stored = multiscale.extra.get('associated')
    return [str(path) for path in stored.values()] if isinstance(stored, dict) else []


def _container(store: KeyStore, path: Path) -> str:
    if isinstance(store, DirectoryStore):
        return DIRECTORY_SUFFIX
    suffix = path.suffix.lower()
    if isinstance(store, SqliteStore):
        return suffix if suffix in DATABASE_SUFFIXES else DATABASE_SUFFIXES[0]
    return suffix if suffix in ZIP_SUFFIXES else ZIP_SUFFIXES[0]


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
