"""One new image that several processes of a machine add to.

The process that made the image holds its pixels. Others get the image by pickling or by fork; what they add
goes to a mailbox in the image's temporary folder (`mailbox.py`), and is taken from there whenever the image
is read, written or added to where it was made.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from large_image.cache_util import LruCacheMetaclass
from large_image.constants import NEW_IMAGE_PATH_FLAG

from girder_zarr.errors import EditError
from girder_zarr.image.canvas.scratch import Scratch, is_owned

from .frame_values import Room
from .mailbox import Mailbox, take
from .tiles import NewTile

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

#: The images of this process that can be added to, by their temporary folders.
_images: weakref.WeakValueDictionary[Path, SharedMixin] = weakref.WeakValueDictionary()


class SourceMeta(LruCacheMetaclass):
    """Keeps images that can be added to out of large_image's cache of sources.

    Each belongs to the caller that made it, and its temporary data goes with the last reference to it.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - the first argument is a class
        """Return a source; see the base class."""
        if args and str(args[0]).startswith(NEW_IMAGE_PATH_FLAG):
            path = scratch_of(str(args[0]), kwargs.get('temporary')).path
            live = _images.get(path)
            if live is not None and live._editable:
                return live
            if is_owned(path):
                kwargs.setdefault('follow', (str(path), ()))
            kwargs['noCache'] = True
        elif kwargs.get('editable'):
            kwargs['noCache'] = True
        return super().__call__(*args, **kwargs)


class SharedMixin:
    """Lets several processes add to one new image; see the head of this module."""

    _editable: bool = False
    _follows: bool = False
    _scratch: Scratch
    _mailbox: Mailbox | None = None
    _knownAxes: tuple[str, ...] = ()
    _map: Any
    _initValues: tuple[tuple[Any, ...], dict[str, Any]]
    _path: Any = None

    @property
    def largeImagePath(self) -> Any:
        """What the source was opened with; another process that opens that of a new image adds to it."""
        if self._editable and str(self._path).startswith(NEW_IMAGE_PATH_FLAG):
            self._share()
        return self._path

    @largeImagePath.setter
    def largeImagePath(self, path: Any) -> None:
        self._path = path

    def _getLargeImagePath(self) -> Any:
        """Return the path; see the base class. Nothing is made for other processes by it."""
        return self._path

    def _accept(self, tile: NewTile) -> bool:
        """Put a tile down; return whether the metadata that readers see has to be described anew."""
        raise NotImplementedError

    def _acceptAssociated(self, key: str | None, pixels: np.ndarray) -> None:
        raise NotImplementedError

    def _changed(self, *, later: bool = False) -> None:
        raise NotImplementedError

    def _frameAxesNow(self) -> tuple[str, ...]:
        """Return the frame axes that a tile without names for its axes may have."""
        raise NotImplementedError

    def _own(self, scratch: Scratch) -> None:
        """Make this the image that holds the pixels."""
        self._scratch = scratch
        self._room = Room()
        # the map refers to its source; as strongly, memory would stay until the garbage collector comes by
        self._map._ts = weakref.proxy(self)
        self._sinkLock = threading.RLock()
        self._takeLock = threading.RLock()
        _images[scratch.path] = self

    def _follow(self, path: Path, axes: Sequence[str]) -> None:
        """Make this an image whose tiles go to the process that made it."""
        self._follows = True
        self._sinkLock = threading.RLock()
        self._takeLock = threading.RLock()
        self._mailbox = Mailbox(path)
        self._knownAxes = tuple(axes)
        _images[path] = self

    def _forked(self) -> None:
        """Go on as a follower in a process that was forked from the one that made the image."""
        if not self._follows and self._editable:
            self._scratch.leave()
            self._follow(self._scratch.path, self._knownAxes)

    def _share(self) -> Path:
        """Get ready for other processes; return the temporary folder."""
        if self._follows and self._mailbox is not None:
            return self._mailbox.scratch
        if self._mailbox is None:
            mailbox = Mailbox(self._scratch.directory())
            mailbox.open()
            self._mailbox = mailbox
            self._knownAxes = ()
        self._tellAxes(self._frameAxesNow())
        return self._scratch.path

    def _tellAxes(self, axes: Sequence[str]) -> None:
        """Let other processes know the frame axes, if there are any that may ask."""
        if self._mailbox is not None and tuple(axes) != self._knownAxes:
            self._mailbox.note_axes(axes)
            self._knownAxes = tuple(axes)

    def __reduce__(self) -> Any:
        """Pickle: in another process, a new image becomes one whose tiles go to this process."""
        if not hasattr(self, '_takeLock'):
            return super().__reduce__()
        if not self._editable:
            raise pickle.PicklingError('A new image that was closed cannot be pickled')
        args, kwargs = self._initValues
        return _join, (type(self), args, kwargs, str(self._share()), self._knownAxes)

    def _takeNew(self) -> None:
        """Take in what other processes have added since the last time.

        :raises EditError: this image follows another, or a tile does not fit: it is dropped, what came after
            it is taken in by the next call.
        """
        if self._follows:
            raise EditError(
                'This process can only add to the image; it is read and written in the one that made it'
            )
        if self._mailbox is None or not self._editable or hasattr(self, '_derivedSource'):
            return
        with self._takeLock:
            changed = False
            try:
                for path in self._mailbox.waiting():
                    found = take(path)
                    if isinstance(found, NewTile):
                        changed |= self._accept(found)
                    else:
                        self._acceptAssociated(*found)
            finally:
                if changed:
                    self._changed(later=True)


def scratch_of(path: str, temporary: Any = None) -> Scratch:
    """Return the folder for temporary data of a new image, which another process finds by its path.

    :param path: large_image's NEW_IMAGE_PATH_FLAG followed by a unique name.
    :param temporary: the folder that it lies in; None: what ``TMPDIR`` says.
    """
    return Scratch(path.strip('_'), temporary)


def _join(
    kind: type[SharedMixin],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    path: str,
    axes: tuple[str, ...],
) -> SharedMixin:
    """Unpickle: the image itself in the process that has it, elsewhere one that follows it."""
    live = _images.get(Path(path))
    if live is not None and live._editable:
        return live
    if not is_owned(Path(path)):
        raise EditError(
            'The image was closed, or the process that made it has ended or is on another machine'
        )
    found: SharedMixin = kind(*args, **(kwargs | {'follow': (path, axes)}))
    return found


def _before_fork() -> None:
    for image in list(_images.values()):
        with contextlib.suppress(EditError, OSError):
            if image._editable:
                image._share()


def _after_fork() -> None:
    for image in list(_images.values()):
        image._forked()


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
