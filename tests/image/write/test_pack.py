"""Hierarchies into files: what others read, what is replaced when, and what is left after a failure."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from large_image.constants import TILE_FORMAT_NUMPY

import girder_zarr.image as gz
from girder_zarr.errors import EditError
from girder_zarr.image.write.outlet import ZipOutlet
from girder_zarr.image.write.output_spec import OutputSpec
from girder_zarr.image.write.pack import outlet_for, pack
from girder_zarr.image.write.pyramid import write_image

if TYPE_CHECKING:
    from girder_zarr.image.ngff.metadata import Version

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 200, 150), np.uint8)


def written(folder: Path, version: Version = '0.5') -> Path:
    spec = OutputSpec.create(PIXELS.shape, 'uint8', axes='cyx', bands=3, chunk=64, version=version)
    folder.mkdir()
    write_image(folder, spec, lambda region: PIXELS[region])
    return folder


def pixels_in(path: Path) -> np.ndarray:
    store: Any = path if path.is_dir() else zarr.storage.ZipStore(path, mode='r')
    group: Any = zarr.open_group(store, mode='r')
    result = group['0'][:]
    if path.is_file():
        store.close()
    return np.asarray(result)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize('version', ['0.4', '0.5'])
@pytest.mark.parametrize('suffix', ['.zarr', '.zip', '.zarr.zip', '.ozx'])
def test_others_read_what_is_packed(tmp_path: Path, suffix: str, version: Version) -> None:
    source = written(tmp_path / 'source', version)
    target = tmp_path / f'an image{suffix}'
    if suffix == '.ozx' and version == '0.4':
        with pytest.raises(EditError, match=r'\.ozx holds NGFF 0.5 or later'):
            pack(source, target)
        assert names_in(tmp_path) == {'source'}
        return
    pack(source, target)
    assert (pixels_in(target) == PIXELS).all()
    assert names_in(tmp_path) == {'source', target.name}


def test_an_ozx_is_what_rfc_9_says(tmp_path: Path) -> None:
    target = tmp_path / 'image.ozx'
    pack(written(tmp_path / 'source'), target)
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert min(archive.infolist(), key=lambda entry: entry.header_offset).filename == 'zarr.json'
        assert json.loads(archive.comment) == {
            'ome': {'version': '0.5', 'zipFile': {'centralDirectory': {'jsonFirst': True}}}
        }
    documents = [name for name in names if name.endswith('zarr.json')]
    assert names[: len(documents)] == ['zarr.json', '0/zarr.json', '1/zarr.json', '2/zarr.json']
    assert b'PK\6\6' in target.read_bytes()[-400:]


@pytest.mark.parametrize('edited', [False, True])
def test_an_ozx_with_images_beside_it_has_all_its_metadata_first(tmp_path: Path, *, edited: bool) -> None:
    """RFC-9: the root's zarr.json first, all others next, breadth first, in the file and in its directory."""
    target = tmp_path / 'image.ozx'
    source: Any = gz.new()
    source.addTile(np.random.default_rng(0).integers(1, 255, (3000, 2500, 3), np.uint8))
    for key in ('label', 'macro'):
        source.addAssociatedImage(np.full((60, 70, 3), 9, np.uint8), key)
    source.write(target)
    if edited:
        source = gz.open(str(target), editable=True)
        source.addTile(np.ones((100, 100, 3), np.uint8), 20, 20)
        source.write(target)
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        listed = archive.infolist()
        assert {entry.compress_type for entry in listed} == {zipfile.ZIP_STORED}
        assert {entry.flag_bits & 0b1001 for entry in listed} == {0}, (
            'not encrypted, sizes ahead of the content'
        )
        assert not any(entry.is_dir() for entry in listed)
        assert archive.comment.decode('utf-8') == (
            '{"ome":{"version":"0.5","zipFile":{"centralDirectory":{"jsonFirst":true}}}}'
        )
        level = json.loads(archive.read('0/zarr.json'))
    expected = [
        'zarr.json',
        '0/zarr.json',
        '1/zarr.json',
        '2/zarr.json',
        '3/zarr.json',
        'associated/zarr.json',
    ]
    expected += [f'associated/{key}/zarr.json' for key in ('label', 'macro')]
    expected += [f'associated/{key}/0/zarr.json' for key in ('label', 'macro')]
    for entries in (listed, sorted(listed, key=lambda entry: entry.header_offset)):
        names = [entry.filename for entry in entries]
        assert names[: len(expected)] == expected
        assert not any(name.endswith('.json') for name in names[len(expected) :])
    content = target.read_bytes()
    end = content.rindex(b'PK\5\6')
    assert content[end - 20 : end - 16] == b'PK\6\7', 'the locator of the ZIP64 end record'
    assert content[end - 20 - 56 : end - 20 - 52] == b'PK\6\6', 'the ZIP64 end record'
    assert level['chunk_grid']['configuration']['chunk_shape'] == [3, 2048, 2048]
    assert level['codecs'][0]['name'] == 'sharding_indexed'
    found, kept = (one.getRegion(format=TILE_FORMAT_NUMPY)[0] for one in (gz.open(str(target)), source))
    assert (found == kept).all()


def test_an_ozx_may_be_asked_to_have_no_shards(tmp_path: Path) -> None:
    source: Any = gz.new()
    source.addTile(np.ones((600, 700), np.uint8))
    source.write(tmp_path / 'image.ozx', shard=None)
    with zipfile.ZipFile(tmp_path / 'image.ozx') as archive:
        assert json.loads(archive.read('0/zarr.json'))['codecs'][0]['name'] == 'bytes'


def test_a_zip_of_more_entries_than_16_bits_count(tmp_path: Path) -> None:
    with ZipOutlet(tmp_path / 'many.zip') as outlet:
        for number in range(70_000):
            outlet.put(f'c/{number}', b'x')
        outlet.put('ünïcode', b'y')
        assert outlet.get('c/69999') == b'x'
        assert outlet.get('c/70000') is None
        with pytest.raises(EditError, match='written twice'):
            outlet.put('c/0', b'z')
        outlet.finish()
    with zipfile.ZipFile(tmp_path / 'many.zip') as archive:
        assert len(archive.namelist()) == 70_001
        assert archive.read('ünïcode') == b'y'


def test_entries_beyond_four_gigabytes_are_found(tmp_path: Path) -> None:
    path = tmp_path / 'far.zip'
    with ZipOutlet(path) as outlet:
        outlet.put('near', b'near')
        # a hole in a sparse file stands for the chunks in between
        far = 2**32 + 10
        outlet._file.seek(far)
        outlet._offset = far
        outlet.put('far', b'far away')
        outlet.finish()
    with zipfile.ZipFile(path) as archive:
        assert archive.read('far') == b'far away'
        assert archive.read('near') == b'near'
    assert path.stat().st_size > 2**32


def test_a_database_has_the_table_of_zarr_python_2(tmp_path: Path) -> None:
    source = written(tmp_path / 'source', '0.4')
    pack(source, tmp_path / 'image.db')
    database = sqlite3.connect(tmp_path / 'image.db')
    stored = dict(database.execute('SELECT k, v FROM zarr').fetchall())
    database.close()
    files = {
        path.relative_to(source).as_posix(): path.read_bytes() for path in source.rglob('*') if path.is_file()
    }
    assert stored == files


@pytest.mark.parametrize('suffix', ['.zarr', '.zip'])
def test_what_exists_is_replaced_only_where_that_is_allowed(tmp_path: Path, suffix: str) -> None:
    source = written(tmp_path / 'source')
    target = tmp_path / f'image{suffix}'
    pack(source, target)
    before = target.stat().st_ino
    with pytest.raises(EditError, match='may not be replaced'):
        pack(source, target, overwrite=False)
    assert target.stat().st_ino == before
    pack(source, target)
    assert target.stat().st_ino != before
    assert names_in(tmp_path) == {'source', target.name}


@pytest.mark.parametrize(('old', 'suffix'), [('directory', '.zip'), ('file', '.zarr')])
def test_a_directory_and_a_file_replace_each_other(tmp_path: Path, old: str, suffix: str) -> None:
    target = tmp_path / f'image{suffix}'
    if old == 'file':
        target.write_bytes(b'old')
    else:
        target.mkdir()
        (target / 'zarr.json').write_bytes(b'{}')
    pack(written(tmp_path / 'source'), target)
    assert (pixels_in(target) == PIXELS).all()
    assert names_in(tmp_path) == {'source', target.name}


@pytest.mark.parametrize('suffix', ['.zarr', '.zip', '.ozx', '.sqlite'])
def test_a_failure_leaves_the_old_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f'image{suffix}'
    target.write_bytes(b'the old one')

    def fail() -> None:
        with outlet_for(target) as outlet:
            outlet.put('zarr.json', b'{}')
            raise RuntimeError('half way')

    with pytest.raises(RuntimeError, match='half way'):
        fail()
    assert target.read_bytes() == b'the old one'
    assert names_in(tmp_path) == {target.name}


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / 'image.zip'

    def write() -> None:
        with outlet_for(target, overwrite=False) as outlet:
            outlet.put('zarr.json', b'{}')
            target.write_bytes(b'theirs')

    with pytest.raises(EditError, match='may not be replaced'):
        write()
    assert target.read_bytes() == b'theirs'
    assert names_in(tmp_path) == {target.name}


def test_nothing_is_done_for_a_name_that_cannot_be_written(tmp_path: Path) -> None:
    source = written(tmp_path / 'source')
    with pytest.raises(EditError, match='must end in'):
        pack(source, tmp_path / 'image.tar')
    with pytest.raises(EditError, match='not an existing folder'):
        pack(source, tmp_path / 'nowhere' / 'image.zip')
    assert names_in(tmp_path) == {'source'}


def test_everything_is_on_the_disk_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    sync, rename = os.fsync, Path.replace

    def note_sync(handle: int) -> None:
        events.append('sync')
        sync(handle)

    def note_rename(self: Path, other: Path) -> Path:
        events.append('rename')
        return rename(self, other)

    monkeypatch.setattr(os, 'fsync', note_sync)
    monkeypatch.setattr(Path, 'replace', note_rename)
    pack(written(tmp_path / 'source'), tmp_path / 'image.zip')
    assert events == ['sync', 'rename', 'sync']


def test_local_headers_agree_with_the_central_directory(tmp_path: Path) -> None:
    target = tmp_path / 'image.zip'
    pack(written(tmp_path / 'source'), target)
    content = target.read_bytes()
    with zipfile.ZipFile(target) as archive:
        for entry in archive.infolist():
            signature, crc, size = struct.unpack_from('<4s10xII', content, entry.header_offset)
            assert (signature, crc, size) == (b'PK\3\4', entry.CRC, entry.file_size)


@pytest.mark.parametrize('suffix', ['.zip', '.zarr', '.db'])
def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f'image{suffix}'
    left, young = (tmp_path / f'.{target.name}.{name * 12}.tmp' for name in 'ab')
    for path in (left, young):
        path.mkdir() if suffix == '.zarr' else path.touch()
    os.utime(left, (0, 0))
    with outlet_for(target) as outlet:
        assert not left.exists()
        outlet.put('zarr.json', b'{}')
        # a second writer of the same name takes nothing from the first, however long that takes
        own = next(path for path in tmp_path.iterdir() if path not in {young, target})
        os.utime(own, (0, 0))
        with outlet_for(target) as other:
            other.put('zarr.json', b'{}')
        assert own.exists()
    assert names_in(tmp_path) == {young.name, target.name}


def test_a_directory_takes_the_place_of_another_in_one_step(tmp_path: Path) -> None:
    if sys.platform != 'linux':
        pytest.skip('only Linux lets two names change places')
    source = written(tmp_path / 'source')
    target = tmp_path / 'image.zarr'
    pack(source, target)
    seen: list[bool] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.append((target / 'zarr.json').is_file())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(5):
        pack(source, target)
    stop.set()
    watcher.join()
    assert all(seen)
    assert names_in(tmp_path) == {'source', 'image.zarr'}


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from girder_zarr.errors import EditError
from girder_zarr.image.write.pack import outlet_for

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with outlet_for(Path(sys.argv[1])) as outlet:
        for number in range(4):
            outlet.put(str(number), np.random.default_rng(number).bytes(100_000 * (number + 1)))
except EditError as error:
    print(error)
"""


@pytest.mark.parametrize('suffix', ['.zip', '.ozx', '.zarr', '.db'])
def test_where_there_is_no_room_it_says_so_and_the_old_one_stays(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f'image{suffix}'
    target.write_bytes(b'the old one')
    done = subprocess.run(
        [sys.executable, '-c', FULL, str(target)], capture_output=True, text=True, check=False
    )
    assert f'There is no room for {target}' in done.stdout, done.stderr
    assert target.read_bytes() == b'the old one'
    assert names_in(tmp_path) == {target.name}
