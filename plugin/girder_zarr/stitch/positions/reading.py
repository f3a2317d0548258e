"""Shared by all readers of position files: text, numbers, units, XML, JSON, and finding files by name."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from girder_zarr.common import bounded_json
from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.image.ngff.units import MILLIMETERS, unit_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .entry import OwnPlaces

#: Bytes of a position file: the index of a whole plate of Harmony has some hundred million.
MAX_FILE_BYTES = 2**29
#: How deeply JSON may be nested before it is parsed; position files have less than ten levels.
MAX_JSON_DEPTH = 64
#: Bytes of one JSON document, and so many of them for each value beyond the first hundred thousand: what
#: Micro-Manager writes of a frame has twenty bytes a value and more.
MAX_JSON_BYTES, MIN_JSON_VALUES, JSON_BYTES_A_VALUE = 2**29, 100_000, 6
#: The same of what stands in one cell of a table, or in the tag of one page.
MAX_CELL_BYTES, MAX_CELL_VALUES = 2**20, 20_000
PIXEL = 'pixel'
_PIXEL_NAMES = {'px', 'pix', 'pixel', 'pixels', 'reference frame'}
_BOMS = (
    (b'\xef\xbb\xbf', 'utf-8-sig'),
    (b'\xff\xfe', 'utf-16'),
    (b'\xfe\xff', 'utf-16'),
)
IMAGE_SUFFIXES = frozenset(
    (
        '.tif',
        '.tiff',
        '.btf',
        '.tf8',
        '.png',
        '.jpg',
        '.jpeg',
        '.jp2',
        '.j2k',
        '.webp',
        '.jxl',
        '.npy',
        '.bmp',
    )
)


def read_text(path: Path) -> str:
    """Return the text of a position file, whichever encoding it has.

    :raises InvalidInputError: it cannot be read, is too large, or is not text.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InvalidInputError(f'{path}: expected at most {MAX_FILE_BYTES} bytes, found {size}.')
        return decode_text(path.read_bytes(), str(path))
    except OSError as error:
        raise InvalidInputError(f'{path} cannot be read as csv or otherwise: {error.strerror}.') from error


def decode_text(data: bytes, where: str) -> str:
    """Return bytes as text: by their byte order mark, else UTF-8 or UTF-16, else the Windows code page.

    :raises InvalidInputError: they are not text.
    """
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), None)
    if encoding is None:
        # text in a European language has a zero in every second byte of UTF-16
        head = data[:1024]
        zeros = head[1::2].count(0), head[::2].count(0)
        half = max(len(head) // 4, 1)
        encoding = 'utf-16-le' if zeros[0] > half else 'utf-16-be' if zeros[1] > half else 'utf-8'
    for name in (encoding, 'cp1252'):
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            if name != 'utf-8':
                break
        else:
            if '\0' not in text:
                return text
    expected = 'expected text in UTF-8, UTF-16 or Windows-1252'
    raise InvalidInputError(f'{where} cannot be read as csv or otherwise: {expected}.')


def number(where: str, name: str, text: str | None, *, comma: bool = False) -> float:
    """Return a finite number; whole ones as integers.

    :param comma: a comma may stand for the decimal point.
    :raises InvalidInputError: it is none; the message begins with `where` and `name`.
    """
    plain = (text or '').strip()
    if comma and plain.count(',') == 1 and '.' not in plain:
        plain = plain.replace(',', '.')
    try:
        value = float(plain)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        found = repr(text) if text else 'nothing'
        raise InvalidInputError(f'{where}: {name}: expected a number, found {found:.80}.')
    return int(value) if value.is_integer() else value


def whole(where: str, name: str, text: str | None) -> int:
    """Return a whole number.

    :raises InvalidInputError: it is none.
    """
    plain = (text or '').strip()
    if not re.fullmatch(r'[+-]?[0-9]{1,15}', plain):
        raise InvalidInputError(f'{where}: {name}: expected a whole number, found {text!r:.80}.')
    return int(plain)


def unit_of(where: str, text: str) -> str:
    """Return ``pixel`` or the name that NGFF has for a unit of length.

    :raises InvalidInputError: it is not known.
    """
    plain = text.strip()
    if plain.lower() in _PIXEL_NAMES:
        return PIXEL
    name = unit_name(plain)
    if name is None:
        expected = 'px, nm, um, \u00b5m, mm, m or a unit of OME-NGFF such as micrometer'
        raise InvalidInputError(f'{where}: unit: expected {expected}, found {text!r:.80}.')
    return name


def in_micrometers(value: float, unit: str) -> float:
    """Return a length in micrometers, free of the last digits that binary fractions add."""
    return float(f'{value * MILLIMETERS[unit] * 1000:.12g}')


# XML


def parse_xml(text: str, where: str) -> ET.Element:
    """Return the root of an XML document; names of elements come without their namespace.

    Entities are refused: no position file has any, and they can make a small file a large one.

    :raises InvalidInputError: it is not XML.
    """
    if '<!ENTITY' in text:
        raise InvalidInputError(f'{where}: expected XML without entities, found a declaration of one.')
    # the declaration names the encoding of the bytes, which are text by now
    body = re.sub(r'^\ufeff?\s*<\?xml[^>]*\?>', '', text, count=1)
    try:
        root = ET.fromstring(body)  # noqa: S314 - entities are refused above, others are not loaded
    except ET.ParseError as error:
        raise InvalidInputError(f'{where} cannot be read as XML: {error}.') from error
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition('}')[2]
    return root


def child_text(element: ET.Element, name: str) -> str | None:
    """Return the text of a child, or None where it is missing or empty."""
    found = element.find(name)
    return found.text.strip() or None if found is not None and found.text else None


# JSON


def parse_json(text: str, where: str) -> Any:
    """Return a JSON document; a file of Micro-Manager that was cut off before its last brace is completed.

    Bytes, values and depth are counted before anything is made of it.

    :raises InvalidInputError: it is not JSON. :raises LimitExceededError: it is more than is read.
    """
    text = text.rstrip().rstrip(',')
    max_values = max(MIN_JSON_VALUES, len(text) // JSON_BYTES_A_VALUE)
    for tail in ('', '}', '\n}}'):
        try:
            return bounded_json.parse_json(text + tail, MAX_JSON_BYTES, max_values, MAX_JSON_DEPTH)
        except bounded_json.JsonLimitError as error:
            raise LimitExceededError(f'{where} is more than is read as JSON: {error}.') from error
        except ValueError as error:
            first = error
            if not text.lstrip().startswith('{'):
                break
    raise InvalidInputError(f'{where} cannot be read as JSON: {first}.')


def parse_small_json(text: str | bytes) -> Any:
    """Return the JSON of one cell of a table or of one tag; None where it is none or more than one holds."""
    try:
        return bounded_json.parse_json(text, MAX_CELL_BYTES, MAX_CELL_VALUES, MAX_JSON_DEPTH)
    except ValueError:
        return None


# Files


class FileLookup:
    """Finds files as position files name them: with Windows paths, in another case, moved together.

    :param folder: where they lie on disk; None: only `names` are known.
    :param names: the files there are, relative with slashes; read from the folder where it is None.
    :param pages_along: the axis of the pages of files that do not say it: c, z, t or None.
    :param pages: of files that are not here, by name: the number of each page and its place along c, z and t.
    :param own: of files that are not here, by name: where they say that they lie.
    """

    def __init__(
        self,
        folder: Path | None,
        names: Sequence[str] | None = None,
        *,
        pages_along: str | None = None,
        pages: Mapping[str, Sequence[tuple[int, Mapping[str, int]]]] | None = None,
        own: Mapping[str, OwnPlaces] | None = None,
    ) -> None:
        self.folder = folder
        self.pages_along = pages_along
        self.pages = pages or {}
        self.own = own or {}
        self._names = None if names is None else list(names)
        self._by_name: dict[str, list[str]] | None = None

    @property
    def names(self) -> list[str]:
        """All files below the folder, sorted."""
        if self._names is None:
            assert self.folder is not None
            self._names = sorted(path.relative_to(self.folder).as_posix() for path in walk_files(self.folder))
        return self._names

    @property
    def images(self) -> list[str]:
        """The files whose suffix is that of a picture, in the order of their numbers."""
        found = [name for name in self.names if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]
        return sorted(found, key=natural)

    def find(self, name: str) -> str | None:
        """Return the file that is meant by a name, or None where there is none or more than one."""
        plain = name.strip().strip('"').replace('\\', '/')
        if not plain:
            return None
        if self.folder is not None:
            for given in dict.fromkeys((name.strip(), plain)):
                if (self.folder / given).is_file():
                    return given
        elif plain in self.names:
            return plain
        return self._moved(plain)

    def _moved(self, plain: str) -> str | None:
        """Find a file by the end of its path: folders are moved to other machines as a whole."""
        if self._by_name is None:
            self._by_name = {}
            for name in self.names:
                self._by_name.setdefault(PurePosixPath(name).name.lower(), []).append(name)
        wanted = PurePosixPath(plain.lower()).parts
        found = self._by_name.get(wanted[-1], [])
        while len(found) > 1 and len(wanted) > 1:
            # the more of the path agrees, the better
            longest = max(found, key=lambda one: _agreement(one.lower(), wanted))
            best = _agreement(longest.lower(), wanted)
            found = [one for one in found if _agreement(one.lower(), wanted) == best]
            break
        return found[0] if len(found) == 1 else None

    def require(self, where: str, name: str) -> str:
        """Return the file that is meant by a name.

        :raises InvalidInputError: there is none; the message gives `where`.
        """
        found = self.find(name)
        if found is None:
            place = f' ({self.folder / name})' if self.folder is not None else ''
            raise InvalidInputError(
                f'{where}: file: expected the name of a file, found {name!r:.200}{place}.'
            )
        return found


def _agreement(name: str, wanted: tuple[str, ...]) -> int:
    parts = PurePosixPath(name).parts
    pairs = zip(reversed(parts), reversed(wanted), strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(parts), len(wanted)))


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, without hidden ones and without following links to folders."""
    for root, folders, files in folder.walk() if hasattr(folder, 'walk') else _walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        yield from (root / name for name in files if not name.startswith('.'))


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    import os

    # Path.walk came with Python 3.12
    for root, folders, files in os.walk(folder):
        yield Path(root), folders, files


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return what names are sorted by so that 2 comes before 10."""
    return [
        (1, int(part), '') if part.isdecimal() else (0, 0, part)
        for part in re.split(r'([0-9]{1,18})', name.lower())
    ]


def steady_step(values: Iterable[float]) -> float | None:
    """Return the distance between sorted values where it is the same between all, to a thousandth."""
    ordered = sorted(set(values))
    gaps = [after - before for before, after in pairwise(ordered)]
    if not gaps or max(gaps) - min(gaps) > 1e-3 * max(gaps):
        return None
    return float(f'{sum(gaps) / len(gaps):.9g}')
