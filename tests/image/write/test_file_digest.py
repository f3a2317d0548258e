"""The digest of a zip that is made while it is written is that of the file, or it says that it is none."""

import ctypes
import hashlib
import os
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from girder_zarr.errors import EditError
from girder_zarr.image.write import file_digest
from girder_zarr.image.write.file_digest import FileDigest
from girder_zarr.image.write.outlet import ZipOutlet, crc32
from girder_zarr.image.write.pack import outlet_for
from support.waiting import wait_until


def contents() -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    # beside the sizes of the buffer, of a piece and of what is sent to the disk
    sizes = [0, 1, 100, 8191, 8192, 2**20 - 1, 2**20, 2**20 + 1, 9 * 2**20]
    return {f'{at}': rng.bytes(size) for at, size in enumerate(sizes)}


def sha512(path: Path) -> str:
    return hashlib.sha512(path.read_bytes()).hexdigest()


def test_it_is_that_of_the_file(tmp_path: Path) -> None:
    target, digest, files = tmp_path / 'a.zip', FileDigest(), contents()
    with outlet_for(target, digest=digest) as outlet:
        for name, content in files.items():
            outlet.put(name, content)
        # its checksum is written into the header afterwards
        outlet.put_blocks('pieces', 3 * 2**20, [bytes([at]) * 2**20 for at in range(3)])
        assert outlet.get('8') == files['8']
    assert digest.covers(target)
    assert digest.hash.hexdigest() == sha512(target)
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in files} == files


def test_it_is_of_one_file_alone(tmp_path: Path) -> None:
    target, digest = tmp_path / 'a.zip', FileDigest()
    with ZipOutlet(target, digest=digest) as outlet:
        outlet.put('a', b'content')
        outlet.finish(sync=False)
    assert digest.covers(target)
    other = tmp_path / 'b.zip'
    other.write_bytes(target.read_bytes())
    assert not digest.covers(other)
    with target.open('ab') as stream:
        stream.write(b'more')
    assert not digest.covers(target)


def test_a_write_that_fails_has_none(tmp_path: Path) -> None:
    target, digest = tmp_path / 'a.zip', FileDigest()

    def write() -> None:
        with outlet_for(target, digest=digest) as outlet:
            outlet.put('a', bytes(3 * 2**20))
            outlet.put('a', b'again')

    with pytest.raises(EditError, match='written twice'):
        write()
    target.write_bytes(b'other')
    assert not digest.covers(target)


def test_a_file_that_cannot_be_read_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError

    monkeypatch.setattr(os, 'preadv', fail)
    target, digest = tmp_path / 'a.zip', FileDigest()
    with outlet_for(target, digest=digest) as outlet:
        outlet.put('a', bytes(3 * 2**20))
    assert not digest.covers(target)


@pytest.mark.parametrize('suffix', ['.db', '.zarr'])
def test_what_is_no_zip_has_none(tmp_path: Path, suffix: str) -> None:
    target, digest = tmp_path / f'a{suffix}', FileDigest()
    with outlet_for(target, digest=digest) as outlet:
        outlet.put('zarr.json', b'{}')
    assert not digest.covers(target)


def test_systems_that_cannot_be_told_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, 'CDLL', lambda _: object())
    target, digest = tmp_path / 'a.zip', FileDigest()
    with outlet_for(target, digest=digest) as outlet:
        outlet.put('a', bytes(9 * 2**20))
    assert digest.covers(target)
    assert digest.hash.hexdigest() == sha512(target)


def test_hashing_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    may_go_on = threading.Event()

    def wait(_handle: int, offset: int, length: int) -> None:
        sent.append((offset, length))
        assert may_go_on.wait(60)

    monkeypatch.setattr(file_digest, '_begin_to_write', wait)
    target, digest, files = tmp_path / 'a.zip', FileDigest(), contents()
    with outlet_for(target, digest=digest) as outlet:
        for name, content in files.items():
            outlet.put(name, content)
        for number in range(4):
            outlet.put(f'more{number}', bytes(9 * 2**20))
        wait_until(lambda: sent)
    assert digest.covers(target)
    assert digest.hash.hexdigest() == sha512(target)
    may_go_on.set()
    assert sent[0][0] == 0
    assert sent[0][1] >= 8 * 2**20


def test_checksums_are_those_of_zip_files() -> None:
    contents: tuple[Any, ...] = (b'', b'123456789', memoryview(b'123456789'), bytearray(b'123456789'))
    for content in contents:
        assert crc32(content) == (0xCBF43926 if content else 0)
    assert crc32(b'6789', crc32(b'12345')) == 0xCBF43926
