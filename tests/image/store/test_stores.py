"""One image, however it is kept: directory, zip, top folder, no suffix, ranged reads, SQLite."""

from __future__ import annotations

import sqlite3
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import girder_zarr.image as gz
from girder_zarr.errors import MissingImageError, UnreadableChunkError, UnreadableImageError
from girder_zarr.image.chunk.memory import allocate
from girder_zarr.image.store.keystore import ALIGNED, THREAD_MEMORY, THREAD_MEMORY_BYTES, aligned
from girder_zarr.image.store.stores import open_store
from support.stores import CountedBytes, zip_folder

if TYPE_CHECKING:
    from girder_zarr.image.store.keystore import KeyStore


def write_image(folder: Path, pixels: np.ndarray, zarr_format: int) -> None:
    """Write a one-level image with zarr itself."""
    axes = [{'name': name, 'type': 'channel' if name == 'c' else 'space'} for name in 'cyx']
    multiscale = {
        'axes': axes,
        'datasets': [
            {'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': [1.0, 1.0, 1.0]}]}
        ],
    }
    inner: dict[str, Any] = {'multiscales': [multiscale]}
    if zarr_format == 3:
        attributes = {'ome': {'version': '0.5', **inner}}
    else:
        multiscale['version'] = '0.4'
        attributes = inner
    group = zarr.open_group(folder, mode='w', zarr_format=zarr_format, attributes=attributes)  # type: ignore[arg-type]
    array = group.create_array('0', shape=pixels.shape, chunks=(1, 100, 100), dtype=pixels.dtype)
    array[...] = pixels


def to_sqlite(folder: Path, target: Path) -> Path:
    database = sqlite3.connect(target)
    database.execute('CREATE TABLE zarr(k TEXT PRIMARY KEY, v BLOB)')
    for path in folder.rglob('*'):
        if path.is_file():
            database.execute(
                'INSERT INTO zarr VALUES (?, ?)', (str(path.relative_to(folder)), path.read_bytes())
            )
    database.commit()
    database.close()
    return target


@pytest.fixture(params=[2, 3])
def image_folder(request: pytest.FixtureRequest, tmp_path: Path, picture: np.ndarray) -> Path:
    folder = tmp_path / 'my image.zarr'
    write_image(folder, np.moveaxis(picture, -1, 0), request.param)
    return folder


def whole(location: Any) -> np.ndarray:
    source = gz.open(location, noCache=True)
    region: np.ndarray = source.getRegion(format='numpy')[0]
    return region


def test_the_same_image_from_every_store(image_folder: Path, tmp_path: Path, picture: np.ndarray) -> None:
    deflated = zip_folder(image_folder, tmp_path / 'deflated.zip', method=zipfile.ZIP_DEFLATED)
    stored = zip_folder(image_folder, tmp_path / 'stored.ozx')
    topped = zip_folder(image_folder, tmp_path / 'top', top='a folder/inner.zarr/')
    metadata = image_folder / 'zarr.json'
    if not metadata.exists():
        metadata = image_folder / '.zattrs'
    locations = [
        image_folder,
        metadata,
        deflated,
        stored,
        topped,
        CountedBytes(stored),
        CountedBytes(deflated),
        to_sqlite(image_folder, tmp_path / 'image.db'),
    ]
    for location in locations:
        np.testing.assert_array_equal(whole(location), picture, err_msg=str(location))
        assert gz.canRead(location)


def test_zarr_itself_reads_through_our_stores(image_folder: Path, tmp_path: Path) -> None:
    expected = zarr.open_group(image_folder, mode='r')
    for location in (
        image_folder,
        zip_folder(image_folder, tmp_path / 'a.zip'),
        to_sqlite(image_folder, tmp_path / 'a.db'),
    ):
        store = open_store(location)
        group = zarr.open_group(store, mode='r')
        assert dict(group.attrs) == dict(expected.attrs)
        assert sorted(name for name, _ in group.arrays()) == ['0']
        np.testing.assert_array_equal(group['0'][...], expected['0'][...])  # type: ignore[index]
        assert gz.open(location, noCache=True)._zarr['0'].shape == (3, 480, 640)


def test_parts_of_values(image_folder: Path, tmp_path: Path) -> None:
    directory = open_store(image_folder)
    key = next(key for key in sorted(directory.keys()) if not Path(key).name.startswith(('z', '.')))
    value = (image_folder / key).read_bytes()
    stores: list[KeyStore] = [
        directory,
        open_store(zip_folder(image_folder, tmp_path / 'a.zip')),
        open_store(zip_folder(image_folder, tmp_path / 'b.zip', 'x/', zipfile.ZIP_DEFLATED)),
        open_store(to_sqlite(image_folder, tmp_path / 'a.db')),
    ]
    for store in stores:
        assert store.read(key) == value
        assert bytes(store.read_view(key, len(value)) or b'') == value
        assert store.read_range(key, 3, 10) == value[3:13]
        assert store.read_range(key, -7, 7) == value[-7:]
        assert store.read('nothing/here') is None
        assert store.read_range('nothing/here', 0, 1) is None
        assert store.has(key)
        assert not store.has('nothing')
        assert store.names('') == directory.names('')
        assert set(store.keys()) == set(directory.keys())
        with pytest.raises(UnreadableImageError, match='bytes'):
            store.read_range(key, len(value) - 1, 2)
        with pytest.raises(UnreadableImageError, match='at most 5'):
            store.read(key, 5)


def test_a_tile_from_an_object_store_takes_one_read(tmp_path: Path, picture: np.ndarray) -> None:
    folder = tmp_path / 'image.zarr'
    write_image(folder, np.ascontiguousarray(np.moveaxis(picture, -1, 0)), 3)
    source = CountedBytes(zip_folder(folder, tmp_path / 'image.ozx'))
    store = open_store(source)
    before = source.reads
    assert store.read('0/c/0/1/1') is not None
    assert source.reads == before + 1


def test_nothing_there(tmp_path: Path) -> None:
    for location in (tmp_path / 'absent.zarr', str(tmp_path / 'absent' / 'zarr.json'), tmp_path / 'nul\0'):
        with pytest.raises(MissingImageError):
            gz.open(location)
        assert not gz.canRead(location)


def test_what_is_not_zarr(tmp_path: Path) -> None:
    text, empty, folder = tmp_path / 'notes.zarr', tmp_path / 'empty.zip', tmp_path / 'folder'
    text.write_text('only words')
    empty.touch()
    folder.mkdir()
    other = tmp_path / 'other.zip'
    with zipfile.ZipFile(other, 'w') as archive:
        archive.writestr('a.txt', 'words')
    with zipfile.ZipFile(tmp_path / 'hollow.zip', 'w'):
        pass
    database = tmp_path / 'other.db'
    connection = sqlite3.connect(database)
    connection.execute('CREATE TABLE things (a INT)')
    connection.commit()
    connection.close()
    for location in (text, empty, folder, other, tmp_path / 'hollow.zip', database, '/dev/null'):
        assert not gz.canRead(location)
        with pytest.raises(UnreadableImageError):
            gz.open(location)
    with pytest.raises(UnreadableImageError, match='list of hosts'):
        gz.open('https://example.org/image.zarr')


def test_a_file_that_changes_is_not_read_any_further(tmp_path: Path, image_folder: Path) -> None:
    packed = zip_folder(image_folder, tmp_path / 'image.zip')
    source = gz.open(packed, noCache=True)
    packed.write_bytes(packed.read_bytes()[:-1] + b'x')
    with pytest.raises(UnreadableImageError, match='changed'):
        source.getTile(0, 0, source.levels - 1, numpyAllowed='always')
    packed.unlink()
    with pytest.raises(UnreadableImageError):
        source.getTile(1, 0, source.levels - 1, numpyAllowed='always')


def test_a_replaced_image_is_opened_anew(tmp_path: Path, picture: np.ndarray) -> None:
    folder = tmp_path / 'image.zarr'
    planes = np.moveaxis(picture, -1, 0)
    write_image(folder, planes, 3)
    packed = zip_folder(folder, tmp_path / 'image.zip')
    assert gz.open(packed).sizeX == 640
    write_image(folder, planes[:, :, :200], 3)
    zip_folder(folder, tmp_path / 'new.zip').rename(packed)
    assert gz.open(packed).sizeX == 200


def test_memory_that_is_copied_into_begins_at_a_cache_line() -> None:
    for size in (0, 1, 1000, 2**16, 2**20, THREAD_MEMORY_BYTES + 1):
        for block in (aligned(size), np.frombuffer(THREAD_MEMORY.take(size), np.uint8), allocate(size)):
            assert block.nbytes == size
            assert size == 0 or block.ctypes.data % ALIGNED == 0
            block[:] = 1


@pytest.mark.parametrize(('method', 'top'), [(zipfile.ZIP_STORED, ''), (zipfile.ZIP_DEFLATED, 'top/')])
def test_neighboring_chunks_of_a_far_zip_take_one_read(
    tmp_path: Path, picture: np.ndarray, method: int, top: str
) -> None:
    """Chunks without shards; those that are missing or lie elsewhere in the zip make no difference."""
    folder = tmp_path / 'a.zarr'
    write_image(folder, np.moveaxis(picture, -1, 0), 3)
    names = sorted(path for path in folder.rglob('*') if path.is_file())
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w', method) as archive:
        for path in names:
            if path.name != '2':  # some chunks are missing
                archive.write(path, top + str(path.relative_to(folder)))
        archive.writestr('far away', b'0' * 2**20, zipfile.ZIP_STORED)
        for path in names:
            if path.name == '2':
                archive.write(path, top + str(path.relative_to(folder)))
    source = CountedBytes(tmp_path / 'a.zip')
    image = gz.open(source, noCache=True)
    source.reads = 0
    found, _ = image.getRegion(format='numpy')
    np.testing.assert_array_equal(found, picture)
    assert source.reads <= 2
    for _ in range(2):
        np.testing.assert_array_equal(image.getRegion(format='numpy')[0], picture)


def test_a_damaged_neighbor_is_named(tmp_path: Path, picture: np.ndarray) -> None:
    folder = tmp_path / 'a.zarr'
    write_image(folder, np.moveaxis(picture, -1, 0), 3)
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob('*') if path.is_file()):
            archive.write(path, str(path.relative_to(folder)))
    with zipfile.ZipFile(tmp_path / 'a.zip') as archive:
        chunk = next(entry for entry in archive.infolist() if '/c/' in entry.filename)
    data = bytearray((tmp_path / 'a.zip').read_bytes())
    place = chunk.header_offset + 30 + len(chunk.filename) + chunk.compress_size // 2
    data[place : place + 8] = bytes(255 - value for value in data[place : place + 8])
    (tmp_path / 'b.zip').write_bytes(data)
    image = gz.open(CountedBytes(tmp_path / 'b.zip'), noCache=True)
    with pytest.raises(UnreadableChunkError, match=r'/c/'):
        image.getRegion(format='numpy')
