"""Damaged and made-up files: an image, or a TileSourceError; in bounded time and memory, without a crash.

The short form runs with the other tests. ``GIRDER_ZARR_FUZZ_SECONDS=3600 pytest tests/image/test_fuzz.py`` is
the long one; ``GIRDER_ZARR_FUZZ_SEED`` repeats or varies it. What fails is written to the folder that the
message names.
"""

from __future__ import annotations

import copy
import io
import json
import os
import random
import signal
import time
import tracemalloc
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from large_image.exceptions import TileSourceError
from zarr.codecs import Crc32cCodec, GzipCodec, TransposeCodec

import girder_zarr.image as gz
from girder_zarr.errors import UnreadableImageError
from support.plates import write_plate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = float(os.environ.get('GIRDER_ZARR_FUZZ_SECONDS', '24'))
SEED = int(os.environ.get('GIRDER_ZARR_FUZZ_SEED', '1'))
#: What one case may take: memory that Python and numpy allocate, and time.
MAX_BYTES = 300 * 2**20
MOST_SECONDS = 20

Files = dict[str, bytes]

NASTY: list[Any] = [
    None, True, False, -1, 0, 1, 2, 3, 7, 255, 4096, 10**6, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64,
    10**30, 0.5, -0.0, 1e308, -1e308, float('nan'), float('inf'), '', ' ', '.', '..', '/',
    '../../etc/passwd', '/etc/passwd', 'file:///etc/passwd', 'http://127.0.0.1:1/x', '\0', 'x' * 5000,
    '0', '0/0', ',', 'NaN', '<f8', '>u2', '|b1', '|O', '<U9', '|V999999', 'uint8', 'uint16', 'float64',
    'bool', 'bytes', 'blosc', 'zstd', 'gzip', 'crc32c', 'delta', 'imagecodecs_jpeg',
    'imagecodecs_jpeg2k', 'sharding_indexed', 'transpose', 'x', 'y', 'c', 't', 'z', 's', 'space',
    'channel', 'scale', 'translation', 'micrometer', '0.4', '0.5', '0.6', [], {}, [[]], [0], [1, 1],
    [2**40] * 2, [1] * 40, [None], [{}], [-1, -1], {'': {}}, {'id': 'zlib'}, {'name': 'bytes'},
]  # fmt: skip


class MemoryBytes:
    """A file in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.name = 'a file in memory'
        self.size = len(data)
        self.identity = f'{hash(data)}'

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise UnreadableImageError('The file ends before that.')
        return self.data[offset : offset + length]


def zipped(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def folder_files(folder: Path) -> Files:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file() and path.stat().st_size < 2**20
    }


def written(folder: Path) -> Iterator[Files]:
    """Write images of all kinds."""
    values = np.random.default_rng(3).integers(0, 200, (2, 90, 70), dtype=np.uint16)
    chains: list[dict[str, Any]] = [
        {'zarr_format': 2, 'compressors': numcodecs.Blosc()},
        {'zarr_format': 2, 'compressors': numcodecs.Zlib(), 'filters': [numcodecs.Delta('<u2')]},
        {'zarr_format': 2, 'compressors': numcodecs.LZ4(), 'order': 'F'},
        {'zarr_format': 2, 'compressors': numcodecs.LZMA(), 'filters': [numcodecs.Shuffle(2)]},
        {'zarr_format': 2, 'compressors': numcodecs.BZ2()},
        {'zarr_format': 3},
        {'zarr_format': 3, 'shards': (2, 64, 64)},
        {'zarr_format': 3, 'compressors': [GzipCodec(), Crc32cCodec()]},
        {'zarr_format': 3, 'compressors': None, 'filters': [TransposeCodec(order=(2, 0, 1))]},
    ]
    for number, chain in enumerate(chains):
        group = zarr.create_group(folder / f'{number}.zarr', zarr_format=chain['zarr_format'])
        for level in range(2):
            step = 2**level
            shape = (2, 90 // step, 70 // step)
            array = group.create_array(
                str(level), shape=shape, chunks=(1, 32, 32), dtype='uint16',
                **{key: value for key, value in chain.items() if key != 'zarr_format'},
            )  # fmt: skip
            array[...] = values[:, ::step, ::step][:, : shape[1], : shape[2]]
        multiscale = {
            'axes': [
                {'name': 'c', 'type': 'channel'},
                {'name': 'y', 'type': 'space', 'unit': 'micrometer'},
                {'name': 'x', 'type': 'space', 'unit': 'micrometer'},
            ],
            'datasets': [
                {
                    'path': str(level),
                    'coordinateTransformations': [{'type': 'scale', 'scale': [1, 2**level, 2**level]}],
                }
                for level in range(2)
            ],
            'version': '0.4',
        }
        channel = {'label': 'a', 'color': 'FF0000', 'window': {'start': 0, 'end': 200, 'min': 0, 'max': 255}}
        found: dict[str, Any] = {'multiscales': [multiscale], 'omero': {'channels': [channel, channel]}}
        group.attrs.update(found if chain['zarr_format'] == 2 else {'ome': {**found, 'version': '0.5'}})
        yield folder_files(folder / f'{number}.zarr')
    sink = gz.new()
    sink.addTile(np.full((60, 80, 3), 90, np.uint8), x=0, y=0)
    sink.write(str(folder / 'sink.zarr'), lossy=False)
    yield folder_files(folder / 'sink.zarr')
    yield folder_files(write_plate(folder / 'plate.zarr', 1, 2, 2))
    # An image with labels, whose colors are a table.
    group = zarr.open_group(folder / '5.zarr', mode='r+')
    group.create_group('labels', attributes={'ome': {'version': '0.5', 'labels': ['cells']}})
    colors = [{'label-value': 1, 'rgba': [255, 0, 0, 255]}, {'label-value': 2, 'rgba': [0, 9, 0, 99]}]
    axes = [{'name': 'y', 'type': 'space'}, {'name': 'x', 'type': 'space'}]
    scale = {'type': 'scale', 'scale': [1, 1]}
    datasets = [{'path': '0', 'coordinateTransformations': [scale]}]
    found = {
        'version': '0.5',
        'multiscales': [{'axes': axes, 'datasets': datasets}],
        'image-label': {'colors': colors, 'source': {'image': '../../'}},
    }
    cells = group.create_group('labels/cells', attributes={'ome': found})
    array = cells.create_array('0', shape=(90, 70), chunks=(32, 32), dtype='uint16')
    array[...] = values[0] % 3
    yield folder_files(folder / '5.zarr')


@pytest.fixture(scope='module')
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Files]:
    return list(written(tmp_path_factory.mktemp('written')))


@pytest.fixture(scope='module')
def real_seeds(shared_data: Path) -> list[Files]:
    found = [folder_files(path) for path in sorted((shared_data / 'zarr').iterdir()) if path.is_dir()]
    return [files for files in found if files]


@contextmanager
def bounded() -> Iterator[None]:
    """Fail where a case takes too much memory or time."""

    def late(*_: object) -> None:
        msg = f'over {MOST_SECONDS} seconds'
        raise TimeoutError(msg)

    # Processor time, and the clock for what waits: other work may take most of the machine.
    before = [(one, signal.signal(one, late)) for one in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS * 10)
    tracemalloc.reset_peak()
    start = tracemalloc.get_traced_memory()[0]
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for one, handler in before:
            signal.signal(one, handler)
    taken = tracemalloc.get_traced_memory()[1] - start
    assert taken < MAX_BYTES, f'{taken} bytes were allocated'


def use(source: Any) -> None:
    """Do what a viewer does."""
    metadata = source.getMetadata()
    json.dumps(metadata, default=str)
    json.dumps(source.getInternalMetadata(), default=str)
    middle = source.levels // 2
    scale = 2 ** (source.levels - 1 - middle)
    x = (source.sizeX - 1) // (source.tileWidth * scale)
    for frame in {0, source.frames - 1}:
        tile = source.getTile(0, 0, 0, numpyAllowed='always', frame=frame)
        assert tile.ndim == 3
        source.getTile(x, 0, middle, frame=frame)
    source.getThumbnail(width=64, height=64)
    for name in source.getAssociatedImagesList()[:2]:
        source.getAssociatedImage(name)


#: What else an image is opened with, by chance.
OPTIONS_OF_OPEN: list[dict[str, Any]] = [
    *({},) * 5, {'labels': True}, {'labels': 'true', 'series': 0}, {'series': 1}, {'series': -1},
    {'series': 'overview'}, {'series': 'A/1/1'}, {'series': 'labels/cells'}, {'series': '../0'},
]  # fmt: skip


def try_file(data: bytes, folder: Path, case: str, **options: Any) -> bool:
    """Open and use a file; return whether it is an image."""
    try:
        with bounded():
            try:
                use(gz.open(MemoryBytes(data), noCache=True, **options))
            except TileSourceError:
                return False
    except BaseException as error:
        (folder / 'case.zip').write_bytes(data)
        error.add_note(f'case {case} of seed {SEED} with {options}, kept in {folder / "case.zip"}')
        raise
    return True


def damaged(chance: random.Random, data: bytes) -> bytes:
    """Return bytes with some changed, left out, added or repeated."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        place = chance.randrange(len(found) + 1)
        kind = chance.randrange(6)
        if kind == 0 and place < len(found):
            found[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del found[place:]
        elif kind == 2:
            found[place:place] = chance.randbytes(chance.choice((1, 4, 100)))
        elif kind == 3:
            del found[place : place + chance.choice((1, 2, 8, 64))]
        elif kind == 4:
            found[place : place + 4] = chance.choice((b'\0' * 4, b'\xff' * 4, b'\x7f\xff\xff\xff'))
        else:
            found[place : place + 1] = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF))])
    return bytes(found)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def twisted(chance: random.Random, data: bytes) -> bytes:
    """Return a JSON document with some values replaced, removed, repeated or made deeper."""
    try:
        document = json.loads(data)
    except ValueError:
        return damaged(chance, data)
    for _ in range(chance.choice((1, 1, 2, 3))):
        paths = list(places(document))
        if not paths:
            break
        *way, last = chance.choice(paths)
        parent = document
        for key in way:
            parent = parent[key]
        kind = chance.randrange(8)
        if kind == 0:
            del parent[last]
        elif kind == 1 and isinstance(parent, list):
            parent.extend([parent[last]] * chance.choice((1, 3, 50)))
        elif kind == 2:
            deep: Any = parent[last]
            for _ in range(chance.choice((1, 5, 100))):
                deep = [deep] if chance.random() < 0.5 else {'a': deep}
            parent[last] = deep
        elif kind == 3 and isinstance(parent[last], (int, float)):
            parent[last] = parent[last] * chance.choice((-1, 0, 2, 100, 2**20)) + chance.choice((-1, 0, 1))
        else:
            parent[last] = copy.deepcopy(chance.choice(NASTY))  # what is put in may be changed as well
    return json.dumps(document).encode()


def changed(chance: random.Random, files: Files) -> Files:
    """Return an image with some of its files changed, lost, exchanged or renamed."""
    found = dict(files)
    documents = [name for name in found if name.rpartition('/')[2][:1] in ('.', 'z')]
    for _ in range(chance.choice((1, 1, 2, 4))):
        name = chance.choice(documents if chance.random() < 0.7 else list(found))
        kind = chance.randrange(10)
        if name not in found:
            continue
        if kind == 0 and len(found) > 1:
            del found[name]
        elif kind == 1:
            found[name] = found[chance.choice(list(found))]
        elif kind == 2:
            folder, ending = chance.choice(('', '../', 'a/', '0/')), chance.choice(('', '/', 'x'))
            found[folder + name + ending] = found.pop(name)
        elif name in documents and kind < 9:
            found[name] = twisted(chance, found[name])
        else:
            found[name] = damaged(chance, found[name])
    return found


@contextmanager
def traced() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def run(seeds: list[Files], seconds: float, folder: Path) -> tuple[int, int]:
    """Return how many cases were tried and how many of them were images."""
    chance = random.Random(SEED)
    packed = [zipped(files) for files in seeds]
    tried = images = 0
    end = time.monotonic() + seconds
    with traced():
        while time.monotonic() < end:
            number = chance.randrange(len(seeds))
            whole = chance.random() < 0.2
            data = damaged(chance, packed[number]) if whole else zipped(changed(chance, seeds[number]))
            images += try_file(data, folder, f'{tried}', **chance.choice(OPTIONS_OF_OPEN))
            tried += 1
    return tried, images


FUZZED = pytest.mark.filterwarnings('ignore:Duplicate name')


@FUZZED
def test_seeds_are_images(seeds: list[Files], tmp_path: Path) -> None:
    with traced():
        assert all(try_file(zipped(files), tmp_path, f'seed {n}') for n, files in enumerate(seeds))


@FUZZED
def test_written_images_that_are_changed(seeds: list[Files], tmp_path: Path) -> None:
    tried, images = run(seeds, SECONDS * 2 / 3, tmp_path)
    assert 0 < images < tried


@FUZZED
def test_real_images_that_are_changed(real_seeds: list[Files], tmp_path: Path) -> None:
    tried, images = run(real_seeds, SECONDS / 3, tmp_path)
    assert 0 < images < tried


PLAIN = [value for value in NASTY if not isinstance(value, (list, dict))]
JSON = st.recursive(
    st.sampled_from(PLAIN) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
CODEC_NAMES = (
    'bytes', 'blosc', 'gzip', 'transpose', 'crc32c', 'zstd', 'sharding_indexed', 'numcodecs.delta',
    'numcodecs.packbits', 'imagecodecs_jpeg', 'imagecodecs_qoi',
)  # fmt: skip
OPTIONS = ('endian', 'order', 'chunk_shape', 'codecs', 'index_codecs', 'level', 'dtype', 'astype')
CODEC = st.fixed_dictionaries(
    {'name': st.sampled_from(CODEC_NAMES)},
    optional={'configuration': st.dictionaries(st.sampled_from(OPTIONS), JSON, max_size=3)},
)
ARRAY = st.fixed_dictionaries(
    {
        'zarr_format': st.just(3),
        'node_type': st.just('array'),
        'shape': st.lists(st.integers(0, 100), min_size=2, max_size=3) | JSON,
        'data_type': st.sampled_from(['uint8', 'uint16', 'float32', 'bool', 'int64']) | JSON,
        'chunk_grid': st.lists(st.integers(1, 64), min_size=2, max_size=3).map(
            lambda sides: {'name': 'regular', 'configuration': {'chunk_shape': sides}}
        ) | JSON,
        'chunk_key_encoding': st.just({'name': 'default'}) | JSON,
        'fill_value': st.just(0) | JSON,
        'codecs': st.lists(CODEC, max_size=4) | JSON,
    },
    optional={'attributes': JSON, 'dimension_names': JSON, 'storage_transformers': JSON},
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(ARRAY, st.binary(max_size=300))
def test_arrays_that_are_made_up(tmp_path_factory: pytest.TempPathFactory, array: Any, chunk: bytes) -> None:
    files = {'zarr.json': json.dumps(array).encode(), 'c/0/0': chunk, 'c/0/0/0': chunk}
    with traced():
        try_file(zipped(files), tmp_path_factory.getbasetemp(), 'made up')
