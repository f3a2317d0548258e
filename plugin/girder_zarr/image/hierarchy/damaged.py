"""Fields of a plate that cannot be read: left out of pictures for people, and named among the problems."""

from __future__ import annotations

import contextlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from girder_zarr.errors import ForbiddenPartError, UnreadableChunkError, UnreadableImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .plate_fields import Alike, LaterField

_T = TypeVar('_T')
#: Fields that are looked at for one answer, and values of each: some ten microseconds a field of a file here.
MAX_LOOKED_AT = 2000
MAX_VALUES = 2**20

_leaves_out: ContextVar[bool] = ContextVar('leaves_out_damaged', default=False)


@contextlib.contextmanager
def leaving_out_damaged() -> Iterator[None]:
    """Let this thread see plates without the fields that cannot be read; else these are errors.

    For pictures alone: numbers should not come from a field that is not there.
    """
    token = _leaves_out.set(True)
    try:
        yield
    finally:
        _leaves_out.reset(token)


def are_left_out() -> bool:
    """Whether this thread sees plates without the fields that cannot be read."""
    return _leaves_out.get()


class DamagedFields:
    """Decides which errors of fields a picture goes on without, and notes them.

    :param paths: of the fields.
    """

    def __init__(self, alike: Alike, paths: Sequence[str]) -> None:
        self._alike = alike
        self._paths = paths
        #: One sentence a field is enough: all of its chunks may be damaged.
        self._noted: set[int] = set()

    def guarded(self, read: Callable[[int], _T]) -> Callable[[int], _T | None]:
        """Return what reads a field by its number, in any thread: None where this thread leaves it out."""
        if not are_left_out():
            return read

        def read_or_leave_out(number: int) -> _T | None:
            try:
                return read(number)
            except UnreadableImageError as error:
                self.note(number, error)
                return None

        return read_or_leave_out

    def note(self, number: int, error: UnreadableImageError) -> None:
        """Note that a field cannot be read.

        :raises UnreadableImageError: the error, where it says nothing of the field: a part that nobody may
            see, or a far store that may answer the next time.
        """
        if isinstance(error, ForbiddenPartError) or (self._alike.store.is_remote and not _is_lasting(error)):
            raise error
        if number in self._noted:
            return
        self._noted.add(number)
        self._alike.note(f'The field {self._paths[number]!r} cannot be read: {error}')

    def look(self, fields: Sequence[LaterField]) -> int:
        """Read the lowest level of each field, and note those that cannot be read; return how many that were.

        :raises UnreadableImageError: as :meth:`note`.
        """
        alike = self._alike
        level = len(alike.names) - 1
        shape = alike.shapes[level]
        whole = math.prod(shape) <= MAX_VALUES
        region = tuple(
            slice(0, side if whole or axis in (alike.y, alike.x) else 1) for axis, side in enumerate(shape)
        )

        with leaving_out_damaged():
            read = self.guarded(lambda number: fields[number].read(level, region))
        count = min(len(fields), MAX_LOOKED_AT)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for _ in pool.map(read, range(count)):
                pass
        return count

    def cost(self, count: int) -> tuple[int, int]:
        """Return how many fields, and stored pixels of them, :meth:`look` reads of so many fields."""
        count = min(count, MAX_LOOKED_AT)
        return count, count * min(MAX_VALUES, math.prod(self._alike.shapes[-1]))


def _is_lasting(error: UnreadableImageError) -> bool:
    """Return whether bytes came and were no chunk: asking again would not help."""
    return isinstance(error, UnreadableChunkError) and not isinstance(error.__cause__, UnreadableImageError)
