"""Images at addresses: only from hosts on the list, by ranged requests, the same pixels as from the disk."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import girder_zarr.image as gz
from girder_zarr.errors import MissingImageError, UnreadableImageError
from girder_zarr.image.store import addresses, remote
from girder_zarr.image.store.addresses import locate, parse_allowed, resolve
from girder_zarr.image.store.buffered import BufferedBytes
from girder_zarr.image.store.bytesource import FileBytes
from girder_zarr.image.store.stores import open_store
from support.images import halves, opened, region, write
from support.stores import CountedBytes, image_database, zip_folder

if TYPE_CHECKING:
    from pathlib import Path

    from support.web import Served

pytest.importorskip('urllib3')


@pytest.mark.parametrize('zarr_format', [2, 3])
def test_the_same_image_from_an_address(
    web: Served, tmp_path: Path, picture: np.ndarray, zarr_format: Any
) -> None:
    levels = halves(picture[..., 0], 2, 0, 1)
    folder = write(web.folder / 'my image.zarr', levels, 'yx', zarr_format=zarr_format, chunks=(128, 128))
    zip_folder(folder, web.folder / 'image.zip')
    zip_folder(folder, web.folder / 'no suffix', top='top/')
    names = ['my%20image.zarr', 'my%20image.zarr/', 'image.zip', 'image.zip?key=1', 'no%20suffix']
    names.append('my%20image.zarr/' + ('.zattrs' if zarr_format == 2 else 'zarr.json'))
    if zarr_format == 2:
        image_database(tmp_path, picture[..., 0]).rename(web.folder / 'image.db')
        names.append('image.db')
    for name in names:
        source = opened(f'{web.address}/{name}')
        np.testing.assert_array_equal(region(source)[..., 0], picture[..., 0], err_msg=name)
        assert gz.canRead(f'{web.address}/{name}')
    import large_image

    found = large_image.open(f'{web.address}/image.zip', noCache=True)
    assert (found.name, found.sizeX) == ('zarr', 640)


def test_a_tile_costs_one_ranged_request(web: Served, tmp_path: Path, picture: np.ndarray) -> None:
    pixels = np.random.default_rng(1).integers(0, 65535, (2048, 2048)).astype('uint16')
    folder = write(tmp_path / 'a.zarr', [pixels], 'yx', chunks=(512, 512))
    zip_folder(folder, web.folder / 'image.ozx')
    source = opened(f'{web.address}/image.ozx')
    assert len(web.asked) <= 4
    size = (web.folder / 'image.ozx').stat().st_size
    for x in (0, 1, 2):
        web.asked.clear()
        tile = source.getTile(x, 1, source.levels - 1, numpyAllowed='always')[..., 0]
        np.testing.assert_array_equal(tile, pixels[512:1024, x * 512 : x * 512 + 512])
        assert [bool(asked) for _, asked in web.asked] == [True]
    assert size > 8_000_000


def test_no_host_is_allowed_unless_it_is_listed(web: Served) -> None:
    addresses.allow_hosts([])
    for address in (
        web.address, 'https://example.org/a.zarr', 's3://bucket/a.zarr', 'gs://bucket/a.zarr',
        'http://127.1/a', 'http://2130706433/a', 'http://[::1]/a',
    ):  # fmt: skip
        with pytest.raises(UnreadableImageError, match='not on the list'):
            gz.open(address)
        assert not gz.canRead(address)
    assert not web.asked


def test_what_is_no_address_that_is_read() -> None:
    allowed = parse_allowed(['example.org', '127.0.0.1'])
    for address in (
        'file:///etc/passwd', 'ftp://example.org/a', 'http://', 'https://user:word@example.org/a',
        'http://example.org@127.0.0.1/a', 'http://example.org/a/../b', 'http://example.org/a#b',
        'http://example.org\\@127.0.0.1/', 'http://example.org/a\nb', 'http://example.org:99999/a',
        'http://example.org/' + 'a' * 5000, 'http://[::1', 'dask://x',
    ):  # fmt: skip
        with pytest.raises(UnreadableImageError):
            locate(address, allowed)


@pytest.mark.parametrize(
    ('entries', 'address', 'fits'),
    [
        (['example.org'], 'https://example.org/a', True),
        (['example.org'], 'https://EXAMPLE.org./a', True),
        (['example.org'], 'https://a.example.org/a', False),
        (['example.org'], 'https://notexample.org/a', False),
        (['*.example.org'], 'https://a.example.org/a', True),
        (['*.example.org'], 'https://example.org/a', False),
        (['*.example.org'], 'https://example.org.evil.com/a', False),
        (['example.org:8080'], 'http://example.org:8080/a', True),
        (['example.org:8080'], 'http://example.org/a', False),
        (['10.0.0.0/8'], 'http://10.1.2.3/a', True),
        (['10.0.0.0/8'], 'http://11.1.2.3/a', False),
        (['s3://slides'], 's3://slides/a', True),
        (['s3://slides'], 's3://other/a', False),
        (['s3://slides'], 'https://slides.s3.us-east-1.amazonaws.com/a', False),
        (['gs://slides'], 'gs://slides/a', True),
        (['storage.googleapis.com'], 'gs://slides/a', True),
    ],
)
def test_the_list(entries: list[str], address: str, fits: bool) -> None:
    allowed = parse_allowed(entries)
    if fits:
        assert locate(address, allowed).host
    else:
        with pytest.raises(UnreadableImageError, match='not on the list'):
            locate(address, allowed)


def test_credentials_are_for_buckets_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('AWS_ENDPOINT_URL', raising=False)
    named = locate('s3://slides/a', parse_allowed(['s3://slides']))
    assert (named.host, named.bucket) == ('slides.s3.us-east-1.amazonaws.com', 's3://slides')
    assert locate('s3://slides/a', parse_allowed(['*.s3.us-east-1.amazonaws.com'])).bucket is None


@pytest.mark.parametrize('entry', ['', 'a b', 'http://example.org', '*', '*.*', 5, None, 'a/b', 's3://'])
def test_entries_that_are_not_understood(entry: object) -> None:
    with pytest.raises(ValueError, match='expected host names'):
        parse_allowed([entry])


@pytest.mark.parametrize(
    'number',
    ['127.0.0.1', '10.0.0.1', '169.254.169.254', '::1', '::ffff:127.0.0.1', 'fd00::1', '64:ff9b::a00:1',
     '2002:7f00:1::', '100.64.0.1', '0.0.0.0', '224.0.0.1'],
)  # fmt: skip
def test_a_listed_host_may_not_lead_into_other_networks(monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    def answer(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (number, port))]

    monkeypatch.setattr(socket, 'getaddrinfo', answer)
    allowed = parse_allowed(['data.example.org'])
    with pytest.raises(UnreadableImageError, match='not public'):
        resolve(locate('https://data.example.org/a', allowed), allowed)


def test_a_host_is_looked_up_once_and_pinned(
    web: Served, monkeypatch: pytest.MonkeyPatch, picture: np.ndarray
) -> None:
    write(web.folder / 'a.zarr', [picture[..., 0]], 'yx', chunks=(128, 128))
    addresses.allow_hosts(['images.test', '127.0.0.1'])
    answers = iter(['127.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.1'])
    real = socket.getaddrinfo
    looked_up = []

    def answer(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        if host != 'images.test':
            return list(real(host, port, *args, **kwargs))
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (next(answers), port))]

    monkeypatch.setattr(socket, 'getaddrinfo', answer)
    source = opened(f'http://images.test:{web.port}/a.zarr')
    np.testing.assert_array_equal(region(source)[..., 0], picture[..., 0])
    assert looked_up == ['images.test']


def test_redirects_stay_on_the_list(web: Served, tmp_path: Path, picture: np.ndarray) -> None:
    write(web.folder / 'a.zarr', [picture[..., 0]], 'yx')
    zip_folder(web.folder / 'a.zarr', web.folder / 'a.zip')
    web.redirects['/moved.zip'] = '/a.zip'
    np.testing.assert_array_equal(region(opened(f'{web.address}/moved.zip'))[..., 0], picture[..., 0])
    for target in (
        f'http://localhost:{web.port}/a.zip', 'http://169.254.169.254/latest', 'file:///etc/passwd',
        f'{web.address}/moved.zip',
    ):  # fmt: skip
        web.redirects['/moved.zip'] = target
        with pytest.raises(UnreadableImageError):
            gz.open(f'{web.address}/moved.zip', noCache=True)


def test_what_a_server_may_get_wrong(web: Served) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (640, 640), np.uint8)
    folder = write(web.folder / 'a.zarr', [noise], 'yx', chunks=(128, 128))
    zip_folder(folder, web.folder / 'a.zip')
    (web.folder / 'notes.txt').write_text('words')
    (web.folder / 'empty.zip').touch()
    with pytest.raises(MissingImageError):
        gz.open(f'{web.address}/absent.zip')
    with pytest.raises(MissingImageError):
        gz.open(f'{web.address}/absent.zarr')
    for name in ('notes.txt', 'empty.zip'):
        with pytest.raises(UnreadableImageError):
            gz.open(f'{web.address}/{name}')
    source = opened(f'{web.address}/a.zip')
    (web.folder / 'a.zip').write_bytes((web.folder / 'a.zip').read_bytes() + b' ' * 10)
    with pytest.raises(UnreadableImageError, match='changed'):
        remote.RemoteBytes.read(source._store._source._source, 270_000, 1000)  # type: ignore[union-attr]
    web.ranges, web.endless = False, True
    with pytest.raises(UnreadableImageError, match='more than'):
        gz.open(f'{web.address}/a.zip', noCache=True)


def test_consolidated_metadata_saves_requests(web: Served, picture: np.ndarray) -> None:

    folder = write(
        web.folder / 'a.zarr', halves(picture[..., 0], 3, 0, 1), 'yx', zarr_format=2, chunks=(64, 64)
    )
    zarr.consolidate_metadata(folder, zarr_format=2)
    source = opened(f'{web.address}/a.zarr')
    assert len(source._series[0].levels) == 4
    assert not any(path.endswith('s1/.zarray') for path, _ in web.asked)
    np.testing.assert_array_equal(region(source)[..., 0], picture[..., 0])


@pytest.mark.filterwarnings('ignore:Consolidated metadata')
@pytest.mark.parametrize(
    ('zarr_format', 'consolidated', 'labels', 'most'),
    [(2, False, False, 12), (2, True, False, 6), (2, True, True, 4),
     (3, False, False, 8), (3, True, False, 2), (3, True, True, 1)],
)  # fmt: skip
def test_opening_a_directory_costs_few_requests(
    web: Served, zarr_format: Any, consolidated: bool, labels: bool, most: int
) -> None:
    """One for each level and a few for the root, or those alone where its metadata is consolidated."""

    pixels = np.random.default_rng(4).integers(0, 255, (1024, 1024)).astype('uint8')
    folder = write(
        web.folder / 'a.zarr', halves(pixels, 5, 0, 1), 'yx', zarr_format=zarr_format, chunks=(256, 256)
    )
    if labels:
        named: dict[str, Any] = {'labels': []}
        zarr.open_group(folder, mode='r+').create_group(
            'labels', attributes=named if zarr_format == 2 else {'ome': named}
        )
    if consolidated:
        zarr.consolidate_metadata(folder, zarr_format=zarr_format)
    source = opened(f'{web.address}/a.zarr')
    assert len(source._series[0].levels) == 6
    asked = [path for path, _ in web.asked]
    assert len(asked) == len(set(asked)) <= most, asked
    for x, y in ((0, 0), (3, 2)):
        web.asked.clear()
        tile = source.getTile(x, y, source.levels - 1, numpyAllowed='always')[..., 0]
        np.testing.assert_array_equal(tile, pixels[y * 256 : y * 256 + 256, x * 256 : x * 256 + 256])
        assert len(web.asked) == 1


@pytest.mark.parametrize('missing', ['s2', 's0'])
def test_a_level_that_is_not_there_is_as_in_a_directory(
    web: Served, picture: np.ndarray, missing: str
) -> None:
    import shutil

    folder = write(web.folder / 'a.zarr', halves(picture[..., 0], 3, 0, 1), 'yx', chunks=(64, 64))
    shutil.rmtree(folder / missing)
    (folder / 's3' / 'zarr.json').write_text('no JSON')
    if missing == 's2':
        with pytest.raises(UnreadableImageError, match=r's3/zarr\.json'):
            opened(f'{web.address}/a.zarr')
        shutil.rmtree(folder / 's3')
    else:
        shutil.rmtree(folder / 's3')
    np.testing.assert_array_equal(region(opened(f'{web.address}/a.zarr')), region(opened(folder)))


def test_blocks_are_those_of_the_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    data = random.bytes(3_000_001)
    path = tmp_path / 'noise'
    path.write_bytes(data)
    counted = CountedBytes(path)
    buffered = BufferedBytes(counted, block=4096, max_blocks=100)
    for _ in range(3000):
        length = int(random.choice([1, 10, 4095, 4096, 30_000]))
        offset = int(random.integers(0, len(data) - length))
        assert buffered.read(offset, length) == data[offset : offset + length]
    assert len(buffered._cache) <= 100
    for offset, length in ((-1, 2), (len(data), 1), (len(data) - 10, 11)):
        with pytest.raises(UnreadableImageError):
            buffered.read(offset, length)
    assert buffered.read(len(data), 0) == b''
    assert FileBytes(path).size == buffered.size


def test_links_out_of_a_directory_are_followed_only_for_a_path_in_python(
    tmp_path: Path, picture: np.ndarray
) -> None:
    folder = write(tmp_path / 'a.zarr', [picture[..., 0]], 'yx', chunks=(480, 640))
    other = write(tmp_path / 'b.zarr', [picture[..., 1]], 'yx', chunks=(480, 640))
    chunk = folder / 's0' / 'c' / '0' / '0'
    inside = folder / 'kept'
    chunk.rename(inside)
    chunk.symlink_to(inside)
    key = 's0/c/0/0'
    bytes_inside = open_store(folder).read_view(key, 2**20)
    assert bytes_inside == inside.read_bytes()
    outside = other / 's0' / 'c' / '0' / '0'
    for link in (chunk, chunk.parent):
        if link.is_dir():
            chunk.unlink()
            link.rmdir()
        else:
            link.unlink()
        link.symlink_to(outside if link == chunk else outside.parent)
        with pytest.raises(UnreadableImageError, match='link'):
            open_store(folder).read_view(key, 2**20)
        np.testing.assert_array_equal(region(opened(folder))[..., 0], picture[..., 1])


def test_neighbours_in_a_shard_are_one_request(web: Served, tmp_path: Path) -> None:

    pixels = np.random.default_rng(2).integers(0, 255, (3, 1024, 1024)).astype('uint8')
    folder = write(tmp_path / 'a.zarr', [pixels], 'cyx', chunks=(1, 512, 512))
    root = zarr.open_group(folder, mode='r+')
    del root['s0']
    array = root.create_array(
        's0', shape=pixels.shape, chunks=(1, 256, 256), shards=(3, 512, 512), dtype='uint8'
    )
    array[...] = pixels
    zip_folder(folder, web.folder / 'a.ozx')
    for location in (f'{web.address}/a.ozx', folder):
        source = opened(location)
        z = source.levels - 1
        source.getTile(0, 0, z, numpyAllowed='always')
        web.asked.clear()
        tile = source.getTile(1, 1, z, numpyAllowed='always')
        np.testing.assert_array_equal(tile, np.moveaxis(pixels[:, 256:512, 256:512], 0, -1))
        assert len(web.asked) <= 3  # three bands, each in a chunk of its own, apart in the shard
        whole = region(source)
        np.testing.assert_array_equal(whole, np.moveaxis(pixels, 0, -1))
    web.asked.clear()
    level = opened(f'{web.address}/a.ozx')._series[0].levels[0]
    web.asked.clear()
    found = level.read((slice(0, 3), slice(512, 1024), slice(512, 1024)))
    np.testing.assert_array_equal(found, pixels[:, 512:, 512:])
    assert len(web.asked) <= 3  # the entry's header, the index, all twelve chunks
