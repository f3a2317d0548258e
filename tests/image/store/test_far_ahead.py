"""Far images that somebody looks at: what lies next comes while nothing else waits, pixels stay the same."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import girder_zarr.image as gz
from girder_zarr.common.chunk_cache import CHUNKS, DEFAULT_BYTES
from girder_zarr.common.read_ahead import AHEAD, DEFAULT_CHUNKS
from girder_zarr.common.request_pool import MAX_AHEAD, REQUESTS
from girder_zarr.errors import UnreadableChunkError, UnreadableImageError
from girder_zarr.image.iiif.picture_request import PictureLimits, read_request
from girder_zarr.image.iiif.picture_source import PictureSource
from girder_zarr.image.limits import FieldBudget, within
from girder_zarr.image.render import next_tiles
from girder_zarr.image.store import objectstore, remote
from support.stores import zip_folder
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.web import Served

SIDE, TILE, DEPTH = 640, 128, 6
LIMITS = PictureLimits(1000, 10**6)
#: Each chunk is a tile; the highest of large_image's levels is the one that is stored.
TOP = 3
VALUES = np.random.default_rng(5).integers(0, 256, (DEPTH, SIDE, SIDE)).astype('uint8')


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is cached, and reading ahead begins as soon as it may."""
    CHUNKS.clear()
    monkeypatch.setattr(AHEAD, '_quiet', 0.0)
    # What is cached stays valid, however long the test takes.
    monkeypatch.setattr(objectstore, 'FRESH_SECONDS', 1e9)
    yield
    rest()
    AHEAD.bind(lambda: DEFAULT_CHUNKS)
    CHUNKS.bind(lambda: DEFAULT_BYTES)
    CHUNKS.clear()


def rest() -> None:
    wait_until(lambda: AHEAD.is_idle, what='what is read ahead')


def stack(web: Served, values: np.ndarray = VALUES, axes: str = 'zyx', **options: Any) -> str:
    kinds = {'t': 'time', 'c': 'channel'}
    transform = {'type': 'scale', 'scale': [1.0] * len(axes)}
    multiscale: Any = {
        'axes': [{'name': name, 'type': kinds.get(name, 'space')} for name in axes],
        'datasets': [{'path': '0', 'coordinateTransformations': [transform]}],
    }
    ome: Any = {'version': '0.5', 'multiscales': [multiscale]}
    group = zarr.open_group(web.folder / 'a.zarr', mode='w', attributes={'ome': ome})
    options = {'chunks': (1,) * (len(axes) - 2) + (TILE, TILE), **options}
    group.create_array('0', shape=values.shape, dtype=values.dtype, **options)[...] = values
    return f'{web.address}/a.zarr'


def opened(address: Any, web: Served | None = None, **options: Any) -> Any:
    source = gz.open(str(address), noCache=True, encoding='PNG', **options)
    if web is not None:
        web.asked.clear()
    return source


def chunks_asked(web: Served) -> list[tuple[int, ...]]:
    """The numbers of the chunks that were asked for, in the order in which the requests came."""
    return [
        tuple(map(int, path.partition('/0/c/')[2].split('/'))) for path, _ in web.asked if '/0/c/' in path
    ]


def around(z: int, y: int, x: int) -> set[tuple[int, int, int]]:
    return {(z, y, x + 1), (z, y, x - 1), (z, y + 1, x), (z, y - 1, x)}


def test_the_next_plane_and_the_tiles_around_come_after_the_tile(web: Served) -> None:
    source = opened(stack(web), web)
    source.getTile(2, 2, TOP, frame=1)
    rest()
    asked = chunks_asked(web)
    assert asked[0] == (1, 2, 2)
    assert set(asked[1:]) == {(2, 2, 2)} | around(1, 2, 2)
    # Now they are there.
    count = len(asked)
    before = AHEAD._quiet
    AHEAD._quiet = 3600  # what follows is asked for by readers alone
    for place in ((2, 2, 2), (3, 2, 1), (2, 1, 1)):
        source.getTile(place[0], place[1], TOP, frame=place[2])
    assert len(chunks_asked(web)) == count
    AHEAD._quiet = before
    source.getTile(2, 3, TOP, frame=1)
    rest()
    assert max(Counter(chunks_asked(web)).values()) == 1


def test_the_direction_is_that_of_the_last_step(web: Served) -> None:
    source = opened(stack(web), web)
    source.getTile(0, 0, TOP, frame=4)
    source.getTile(0, 0, TOP, frame=3)
    rest()
    asked = set(chunks_asked(web))
    assert (2, 0, 0) in asked
    source.getTile(0, 0, TOP, frame=2)
    source.getTile(4, 4, TOP, frame=2)
    rest()
    new = set(chunks_asked(web)) - asked
    assert {(1, 0, 0), (1, 4, 4)} <= new
    assert not any(z > 2 for z, _, _ in new)


def test_what_was_dropped_is_offered_again(web: Served) -> None:
    source = opened(stack(web), web)
    following = source._nextTiles
    following.note(next_tiles.Tile(0, 0, TOP, 3))
    following._left = DEPTH
    assert following.next_requests()
    following.offer()
    rest()
    assert (4, 0, 0) in chunks_asked(web)


def test_along_time_where_that_is_what_moves(web: Served) -> None:
    values = np.stack([VALUES[:3]] * 4)
    source = opened(stack(web, values, 'tzyx'), web)
    source.getTile(1, 1, TOP, frame=0)
    rest()
    assert (0, 1, 1, 1) in chunks_asked(web)
    source.getTile(1, 1, TOP, frame=3)  # the next time
    rest()
    asked = chunks_asked(web)
    assert (2, 0, 1, 1) in asked
    assert (1, 1, 1, 1) not in asked


def test_all_channels_of_a_view_come(web: Served) -> None:
    values = np.stack([VALUES[:3], VALUES[3:]])
    style = {'bands': [{'framedelta': 0, 'palette': '#FF0000'}, {'framedelta': 1, 'palette': '#00FF00'}]}
    source = opened(stack(web, values, 'czyx', chunks=(1, 1, TILE, TILE)), web, style=style)
    source.getTile(0, 0, TOP, frame=0)
    rest()
    assert {(0, 1, 0, 0), (1, 1, 0, 0), (0, 0, 0, 1), (1, 0, 0, 1)} <= set(chunks_asked(web))


def test_the_next_chunk_comes_where_chunks_are_thick(web: Served) -> None:
    values = np.repeat(VALUES, 2, axis=0)
    source = opened(stack(web, values, chunks=(4, TILE, TILE)), web)
    for frame in (0, 1):
        source.getTile(0, 0, TOP, frame=frame)
    rest()
    assert (1, 0, 0) in chunks_asked(web)
    count = len(web.asked)
    for frame in range(2, 7):
        source.getTile(0, 0, TOP, frame=frame)
        rest()
    # One further chunk, the one after the next, with what lies beside it.
    assert (2, 0, 0) in chunks_asked(web)
    assert len(web.asked) <= count + 3


@pytest.mark.parametrize('form', ['folder', 'shards', 'zip', 'thick'])
def test_pixels_are_the_same_and_no_chunk_is_asked_for_twice(
    web: Served, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    shards: Any = {'shards': (1, 2 * TILE, 2 * TILE)} if form == 'shards' else {}
    chunks = (4, 64, 64) if form == 'thick' else (1, TILE, TILE)
    address = stack(web, chunks=chunks, fill_value=0, **shards)
    near = web.folder / 'a.zarr'
    if form == 'zip':
        zip_folder(near, web.folder / 'a.zip')
        address, near = f'{web.address}/a.zip', web.folder / 'a.zip'
    far, expected = opened(address, web), opened(near)
    sent: list[tuple[str, str]] = []
    original = remote._ask

    def ask(place: str, size: int, headers: Any) -> remote.Answer:
        sent.append((place, str(headers)))
        return original(place, size, headers)

    monkeypatch.setattr(remote, '_ask', ask)
    random = np.random.default_rng(11)
    x = y = frame = 0
    for _ in range(80):
        step = random.integers(-1, 2, 3)
        x, y, frame = (int(v) for v in np.clip(np.add((x, y, frame), step), 0, (9, 9, DEPTH - 1)))
        place = x % far.levels, y % far.levels, far.levels - 1
        assert far.getTile(*place, frame=frame) == expected.getTile(*place, frame=frame)
        if random.random() < 0.5:
            rest()
    rest()
    # Blocks of a zip hold several chunks, and two requests at a time may ask for one block.
    assert max(Counter(sent).values()) == 1 or form == 'zip'
    assert len(sent) <= (SIDE // chunks[1]) ** 2 * DEPTH
    assert REQUESTS.bytes_in_use == 0


def test_one_pass_asks_for_what_it_needs(web: Served) -> None:
    source = opened(stack(web), web)
    offered: list[Any] = []
    original = AHEAD.offer
    AHEAD.offer = lambda *given: offered.append(given)  # type: ignore[method-assign]
    try:
        source.getThumbnail(width=100, frame=0)
        source.getRegion(region={'left': 0, 'top': 0, 'width': 300, 'height': 300}, frame=1)
        source.getRegion(format='numpy', scale={'magnification': None}, frame=1)
        source.histogram(frame=2)
        for tile in source.tileIterator(format='numpy', frame=3):
            assert tile['tile'].size
        source.getTile(1, 1, TOP, frame=4, numpyAllowed='always')
        source.getTile(1, 2, TOP, frame=4, pilImageAllowed=True)
        with within(FieldBudget(100, 2**26)):  # somebody who has not signed in
            source.getTile(2, 2, TOP, frame=4)
        pictures = PictureSource(source, 4)
        size = f'{TILE},{TILE}'
        request = read_request(
            (f'0,0,{size}', size, '0', 'default.png'), pictures.size, LIMITS, is_color=pictures.is_color
        )
        pictures.picture(request, 2**26)
    finally:
        AHEAD.offer = original  # type: ignore[method-assign]
    assert offered == []
    source.getTile(3, 3, TOP, frame=4)
    rest()
    assert (5, 3, 3) in chunks_asked(web)


def test_near_files_are_not_read_ahead(web: Served) -> None:
    stack(web)
    source = opened(web.folder / 'a.zarr')
    assert source._nextTiles is None
    source.getTile(2, 2, TOP, frame=1)
    assert AHEAD.is_idle


def test_an_administrator_switches_it_off(web: Served) -> None:
    source = opened(stack(web), web)
    AHEAD.bind(lambda: 0)
    source.getTile(2, 2, TOP, frame=1)
    rest()
    assert chunks_asked(web) == [(1, 2, 2)]
    AHEAD.bind(lambda: 2)
    source.getTile(2, 3, TOP, frame=1)
    rest()
    assert len(chunks_asked(web)) == 4
    AHEAD.bind(lambda: DEFAULT_CHUNKS)
    CHUNKS.bind(lambda: 0)  # nothing is kept, and so nothing is asked for
    source.getTile(0, 0, TOP, frame=5)
    rest()
    assert len(chunks_asked(web)) == 5


class Held:
    """Stands in for what sends requests: answers of chunks are held until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.original = remote._ask
        self.go_on = threading.Event()
        self.asked: list[str] = []
        self.failing: set[str] = set()
        monkeypatch.setattr(remote, '_ask', self.ask)

    def ask(self, address: str, *given: Any) -> remote.Answer:
        name = address.partition('/0/c/')[2]
        if name:
            self.asked.append(name)
            assert self.go_on.wait(60)
            if name in self.failing:
                msg = f'{address} cannot be read: it is too busy.'
                raise UnreadableImageError(msg)
        return self.original(address, *given)


def test_a_tile_that_is_needed_goes_first(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(stack(web), web)
    held = Held(monkeypatch)
    held.go_on.set()
    monkeypatch.setattr(AHEAD, '_quiet', 3600.0)
    for x in range(5):
        source.getTile(x, 2, TOP, frame=1)
    held.asked.clear()
    held.go_on.clear()
    monkeypatch.setattr(AHEAD, '_quiet', 0.0)
    source._nextTiles.offer()
    wait_until(lambda: len(held.asked) == MAX_AHEAD)
    # One that is not under way is asked for at once; one that is, is waited for.
    found: list[Any] = []
    tiles = [(0, 0, 5), (0, 2, 2)]
    assert '5/0/0' not in held.asked
    readers = [
        threading.Thread(target=lambda t=t: found.append(source.getTile(t[0], t[1], TOP, frame=t[2])))
        for t in tiles
    ]
    monkeypatch.setattr(AHEAD, '_quiet', 3600.0)
    readers[0].start()
    wait_until(lambda: len(held.asked) == MAX_AHEAD + 1)
    assert held.asked[-1] == '5/0/0'
    readers[1].start()
    held.go_on.set()
    for reader in readers:
        reader.join(60)
    assert len(found) == 2
    # What had not begun was dropped, and nothing was asked for twice.
    assert max(Counter(held.asked).values()) == 1
    assert len(held.asked) <= MAX_AHEAD + 2
    source._nextTiles._tiles.clear()
    monkeypatch.setattr(AHEAD, '_quiet', 0.0)
    source._nextTiles.offer()


def test_it_ends_with_the_source(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(stack(web), web)
    held = Held(monkeypatch)
    held.go_on.set()
    for x in range(5):
        source._nextTiles.note(next_tiles.Tile(x, 2, TOP, 1))
    held.go_on.clear()
    source._nextTiles.offer()
    wait_until(lambda: len(held.asked) == MAX_AHEAD)
    del source
    gc.collect()
    held.go_on.set()
    rest()
    assert len(held.asked) == MAX_AHEAD


def test_what_fails_ahead_of_need_is_asked_for_again(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    address = stack(web)
    source, near = opened(address, web), opened(web.folder / 'a.zarr')
    held = Held(monkeypatch)
    held.go_on.set()
    held.failing = {'2/2/2'}
    source.getTile(2, 2, TOP, frame=1)
    rest()
    assert held.asked.count('2/2/2') == 1
    with pytest.raises(UnreadableChunkError, match='2/2/2'):
        source.getTile(2, 2, TOP, frame=2)
    rest()
    held.failing = set()
    assert source.getTile(2, 2, TOP, frame=2) == near.getTile(2, 2, TOP, frame=2)
    # It was asked for ahead of need once only.
    assert held.asked.count('2/2/2') == 3


def test_a_damaged_chunk_is_an_error_of_who_needs_it(web: Served) -> None:
    source = opened(stack(web), web)
    path = web.folder / 'a.zarr' / '0' / 'c' / '2' / '2' / '2'
    whole = path.read_bytes()
    path.write_bytes(b'broken')
    source.getTile(2, 2, TOP, frame=1)
    rest()
    with pytest.raises(UnreadableChunkError, match='2/2/2'):
        source.getTile(2, 2, TOP, frame=2)
    rest()
    path.write_bytes(whole)
    assert source.getTile(2, 2, TOP, frame=2)


def test_a_missing_chunk_is_known_to_be_missing(web: Served) -> None:
    values = VALUES.copy()
    values[2] = 0
    source = opened(stack(web, values), web)
    (web.folder / 'a.zarr' / '0' / 'c' / '2' / '2' / '2').unlink(missing_ok=True)
    source.getTile(2, 2, TOP, frame=1)
    rest()
    assert not source.getTile(2, 2, TOP, frame=2, numpyAllowed='always').any()
    assert chunks_asked(web).count((2, 2, 2)) == 1


def test_a_tile_of_an_image_without_a_pyramid_is_not_followed(
    web: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(next_tiles, 'MAX_TILE_CHUNKS', 9)
    source = opened(stack(web), web)
    source.getTile(0, 0, 0, frame=1)
    rest()
    assert {z for z, _, _ in chunks_asked(web)} == {1}
