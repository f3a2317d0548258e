"""Parts of a large image: each is made from the patches that touch it, and all are merged in the end."""

from __future__ import annotations

import math
import os
import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from girder_zarr.image.write.outlet import ZipOutlet
from girder_zarr.image.write.subtrees import HALVES, Trees, write_above, write_trees

from .assemble import BlockMaker, making_threads, output_spec, write_file
from .provenance import beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from girder_zarr.image.write.file_digest import FileDigest
    from girder_zarr.image.write.outlet import Outlet
    from girder_zarr.stitch.blend.patch_loader import Load
    from girder_zarr.stitch.plan import Plan


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A part of an image: consecutive subtrees of its pyramid.

    :param first: the number of the first subtree; see `image.write.parts.Trees`.
    :param end: the number after that of the last.
    :param values: the number of values that the progress of :meth:`PartMaker.write` adds up to.
    """

    first: int
    end: int
    values: int


def cut(plan: Plan, values: int) -> list[ImagePart]:
    """Cut the image of a plan into parts of about ``values`` values; areas without patches are in none."""
    trees = Trees(output_spec(plan), values)
    each, found = max(1, values // trees.values), []
    for first in range(0, trees.count, each):
        end = min(first + each, trees.count)
        regions = [trees.region(number) for number in range(first, end)]
        if any(plan.occupied(region) for region in regions):
            sizes = (math.prod(side.stop - side.start for side in region) for region in regions)
            found.append(ImagePart(first, end, sum(sizes)))
    return found


class PartMaker:
    """Makes parts of one image. Loaded patches are cached from one part to the next.

    :param load: as for `assemble.assemble`.
    :param values: the argument of :func:`cut`.
    """

    def __init__(self, plan: Plan, load: Load, values: int) -> None:
        self._plan, self._blocks = plan, BlockMaker(plan, load)
        self._trees = Trees(output_spec(plan), values)

    def write(
        self, part: ImagePart, target: Path, *, digest: FileDigest | None = None, **options: Any
    ) -> None:
        """Write a part into a new zip.

        :param target: the path of the zip.
        :param digest: made of the zip meanwhile.
        :param options: ``progress``, ``check`` and ``threads`` as for `assemble.write_plan`.
        :raises UnsupportedFormatError: a patch cannot be decoded; the message names it.
        """
        with ZipOutlet(target, digest=digest) as outlet:
            numbers = range(part.first, part.end)
            read = self._blocks.read
            options['threads'] = options.get('threads') or making_threads()
            write_trees(self._trees, numbers, outlet, read, occupied=self._plan.occupied, **options)
            outlet.finish(sync=False)  # it is read by this process, or never


def merge_file(
    plan: Plan,
    parts: Iterable[IO[bytes]],
    target: Path,
    values: int,
    *,
    name: str | None = None,
    check: Callable[[], None] | None = None,
    threads: int | None = None,
    digest: FileDigest | None = None,
) -> None:
    """Merge parts into the file that `assemble.assemble_file` would write.

    Encoded chunks are copied unchanged. Temporary files lie beside the target.

    :param parts: the zips of :meth:`PartMaker.write`, each as a seekable stream; read one after the other.
    :param target: as for `assemble.assemble_file`.
    :param values: the argument of :func:`cut`.
    :param name: of the image, for its metadata.
    :param check: called for each file of a part; raises to stop.
    :param digest: as for `assemble.assemble_file`.
    :raises zipfile.BadZipFile: a part is damaged.
    """

    def write(outlet: Outlet) -> None:
        for path, content in beside(plan):
            outlet.put(path, content)
        with (target.parent / 'halves').open('x+b') as scratch:
            halves = _Halves(scratch)
            for stream in parts:
                _copy(stream, outlet, halves, check)
            trees = Trees(output_spec(plan, name), values)
            write_above(trees, outlet, halves.get, threads=threads, check=check, occupied=plan.occupied)
        (target.parent / 'halves').unlink()

    write_file(plan, target, write, check=check, digest=digest)


def _copy(stream: IO[bytes], outlet: Outlet, halves: _Halves, check: Callable[[], None] | None) -> None:
    with zipfile.ZipFile(stream) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            if check is not None:
                check()
            content = archive.read(info)
            if info.filename.startswith(HALVES):
                halves.put(int(info.filename.removeprefix(HALVES)), content)
            else:
                outlet.put(info.filename, content)


class _Halves:
    """Halved regions by number, in a file instead of memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._size = file, 0
        self._places: dict[int, tuple[int, int]] = {}

    def put(self, number: int, content: bytes) -> None:
        """Store bytes under a number."""
        self._file.write(content)
        self._file.flush()
        self._places[number] = self._size, len(content)
        self._size += len(content)

    def get(self, number: int) -> bytes | None:
        """Return the bytes of a number, or None."""
        place = self._places.get(number)
        return None if place is None else os.pread(self._file.fileno(), place[1], place[0])
