"""Which page of an OME-TIFF is which plane, from OME-XML read element by element.

Form: the OME data model of 2016-06 (https://docs.openmicroscopy.org/ome-model/), Pixels and TiffData.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from girder_zarr.errors import UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_AXES = {'C': 'c', 'Z': 'z', 'T': 't'}
#: Images and runs of pages of one document, which may describe many files.
_MAX_BLOCKS = 2**17
_WHOLE = re.compile(r'[0-9]{1,9}')


@dataclass
class _Block:
    """A run of pages, TiffData.

    :param uuid: of the file in which it lies; None: this one.
    """

    given: Mapping[str, str]
    uuid: str | None = None
    file: str | None = None


@dataclass
class _Image:
    """One image of a document: its sizes, and its blocks."""

    given: Mapping[str, str]
    blocks: list[_Block] = field(default_factory=list)
    channels: int = 0
    samples: int = 0

    @property
    def sizes(self) -> dict[str, int]:
        """The size along each axis, the one that changes fastest first."""
        order = [_AXES[name] for name in self.given.get('DimensionOrder', 'XYCZT')[2:] if name in _AXES]
        if sorted(order) != ['c', 't', 'z']:
            raise _damaged(f'DimensionOrder is {self.given.get("DimensionOrder")!r:.40}')
        sizes = {axis: _number(self.given, f'Size{axis.upper()}', None) for axis in order}
        # the bands of a color are one channel, and one page
        if self.channels and self.samples == sizes['c']:
            sizes['c'] = self.channels
        if min(sizes.values()) < 1:
            raise _damaged('a size is 0')
        return sizes


def is_ome_xml(description: str) -> bool:
    """Return whether a description is OME-XML that describes pixels, and not only names a file."""
    head = description[:8192]
    return '<OME' in head[:4096] and 'BinaryOnly' not in head and 'Pixels' in description


def read_ome_planes(text: str, pages: int) -> dict[int, dict[str, int]]:
    """Return the place of pages along c, z and t, by the number of the page.

    Blocks that lie in other files are passed over. Axes of size 1 are not named.

    :param pages: that the file has.
    :raises UnsupportedFormatError: the document is damaged, or does not fit the file, or has several images.
    """
    root_uuid, images = _read(text)
    own = [(image, blocks) for image in images if (blocks := list(_own_blocks(image, root_uuid)))]
    if len(own) != 1:
        msg = (
            f'The tiff has pages of {len(own)} images by its OME-XML; give each its place by its number with '
            'page, as girder-zarr stitch does.'
        )
        raise UnsupportedFormatError(msg)
    image, blocks = own[0]
    sizes = image.sizes
    found: dict[int, dict[str, int]] = {}
    for block in blocks:
        for page, plane in _run(block, sizes, pages):
            if page in found:
                raise _damaged(f'page {page} is there twice')
            found[page] = _place(plane, sizes)
    return found


def _run(block: _Block, sizes: Mapping[str, int], pages: int) -> Iterator[tuple[int, int]]:
    """Yield page and number of the plane for each plane of a block."""
    step, first, total = 1, 0, 1
    for axis, size in sizes.items():
        at = _number(block.given, f'First{axis.upper()}', 0)
        if at >= size:
            raise _damaged(f'First{axis.upper()} is {at}, and the size {size}')
        first, step, total = first + at * step, step * size, total * size
    begin = _number(block.given, 'IFD', 0)
    count = _number(block.given, 'PlaneCount', 1 if 'IFD' in block.given else total)
    if begin + count > pages or first + count > total:
        raise _damaged(f'it names {count} planes from page {begin} on, and the file has {pages} pages')
    yield from ((begin + at, first + at) for at in range(count))


def _place(plane: int, sizes: Mapping[str, int]) -> dict[str, int]:
    found = {}
    for axis, size in sizes.items():
        plane, at = divmod(plane, size)
        if size > 1:
            found[axis] = at
    return found


def _own_blocks(image: _Image, root_uuid: str | None) -> Iterator[_Block]:
    """Yield the blocks that lie in the file itself.

    :raises UnsupportedFormatError: it cannot be known which these are.
    """
    files = {block.file for block in image.blocks if block.file}
    for block in image.blocks:
        if block.uuid in {None, root_uuid} or (root_uuid is None and len(files) < 2):
            yield block
        elif root_uuid is None:
            raise _damaged(f'it names {len(files)} files and does not say which one this is')


class _Reader:
    """Takes the elements of a document one by one."""

    def __init__(self) -> None:
        self.root_uuid: str | None = None
        self.images: list[_Image] = []
        self._parents: list[ET.Element] = []
        self._count = 0

    def start(self, element: ET.Element) -> None:
        """Take what an element says by itself."""
        name = _name(element)
        if not self._parents:
            self.root_uuid = element.get('UUID')
        elif name == 'Pixels':
            self._count += 1
            self.images.append(_Image(dict(element.attrib)))
        elif name == 'Channel' and self.images:
            self.images[-1].channels += 1
            self.images[-1].samples += _number(element.attrib, 'SamplesPerPixel', 1)
        elif name == 'TiffData' and self.images:
            self._count += 1
            self.images[-1].blocks.append(_Block(dict(element.attrib)))
        if self._count > _MAX_BLOCKS:
            raise _damaged(f'it names more than {_MAX_BLOCKS} images and runs of pages')
        self._parents.append(element)

    def end(self, element: ET.Element) -> None:
        """Take the text of an element, and forget it."""
        self._parents.pop()
        if not self._parents:
            return
        parent = self._parents[-1]
        if _name(element) == 'UUID' and _name(parent) == 'TiffData' and self.images:
            block = self.images[-1].blocks[-1]
            block.uuid, block.file = (element.text or '').strip(), element.get('FileName')
        parent.remove(element)


def _name(element: ET.Element) -> str:
    return element.tag.rpartition('}')[2]


def _read(text: str) -> tuple[str | None, list[_Image]]:
    """Return the document's UUID and its images."""
    if '<!ENTITY' in text or '<!DOCTYPE' in text:
        raise _damaged('it declares entities or a type')
    body = re.sub(r'^\s*<\?xml[^>]*\?>', '', text, count=1).encode()
    reader = _Reader()
    try:
        for event, element in ET.iterparse(io.BytesIO(body), ('start', 'end')):  # noqa: S314 - no entities
            (reader.start if event == 'start' else reader.end)(element)
    except ET.ParseError as error:
        raise _damaged(str(error)) from error
    return reader.root_uuid, reader.images


def _number(given: Mapping[str, str], name: str, default: int | None) -> int:
    text = given.get(name)
    if text is None and default is not None:
        return default
    if text is None or not _WHOLE.fullmatch(text):
        raise _damaged(f'{name} is {text!r:.40}')
    return int(text)


def _damaged(why: str) -> UnsupportedFormatError:
    return UnsupportedFormatError(f'The OME-XML of the tiff does not describe its pages: {why}.')
