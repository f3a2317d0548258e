"""Several processes that add to one new image: no tile is lost, no value, and nothing is left behind."""

from __future__ import annotations

import concurrent.futures
import gc
import itertools
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import large_image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import girder_zarr.image as gz
from girder_zarr.errors import EditError
from girder_zarr.image.canvas.scratch import Scratch
from girder_zarr.image.sink.mailbox import Mailbox, take
from girder_zarr.image.sink.tiles import NewTile, read_tile
from support.tile_workers import add_associated, add_tiles, die_while_sending, message_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.usefixtures('temporary_directory')


@pytest.fixture(scope='module')
def spawned() -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """Four processes that were spawned, for all tests of this module."""
    context = multiprocessing.get_context('spawn')
    with concurrent.futures.ProcessPoolExecutor(4, mp_context=context) as pool:
        yield pool


def pixels_of(source: Any, **kwargs: Any) -> np.ndarray:
    return np.asarray(source.getRegion(format=large_image.constants.TILE_FORMAT_NUMPY, **kwargs)[0])


def frames_of(source: Any) -> dict[tuple[int, int], tuple[np.ndarray, Any, Any]]:
    """Pixels and values of every frame, by its positions along t and c."""
    found = {}
    for frame in source.getMetadata()['frames']:
        values = frame.get('ValueT'), frame.get('ValueC')
        found[frame['IndexT'], frame['IndexC']] = pixels_of(source, frame=frame['Frame']), *values
    return found


def test_four_processes_lose_no_tile_and_no_value(
    tmp_path: Path, spawned: concurrent.futures.ProcessPoolExecutor
) -> None:
    """Tiles of 100 x 100 pixels share the chunks of 512 x 512 among all processes."""
    rng = np.random.default_rng(0)
    expected = rng.integers(1, 255, (4, 2, 300, 400, 3), np.uint8)
    source = gz.new()
    jobs = []
    for worker in range(4):
        tiles: list[tuple[np.ndarray, dict[str, Any]]] = []
        for t, c, y in itertools.product(range(4), range(2), range(0, 300, 100)):
            part = expected[t, c, y : y + 100, worker * 100 : worker * 100 + 100]
            values = {'t_value': t * 1.5, 'c_value': f'dye {c}'}
            tiles.append((part, {'x': worker * 100, 'y': y, 't': t, 'c': c, **values}))
        jobs.append(spawned.submit(add_tiles, source, tiles))
    processes = {job.result() for job in jobs}
    assert os.getpid() not in processes
    source.write(tmp_path / 'image.zip')
    for one in (source, gz.open(str(tmp_path / 'image.zip'))):
        found = frames_of(one)
        assert len(found) == 8
        for (t, c), (pixels, t_value, c_value) in found.items():
            assert (pixels == expected[t, c]).all()
            assert (t_value, c_value) == (t * 1.5, f'dye {c}')


def test_the_image_shows_what_others_have_added(spawned: concurrent.futures.ProcessPoolExecutor) -> None:
    source = large_image.new()
    source.addTile(np.full((50, 50), 1, np.uint8))
    spawned.submit(add_tiles, source, [(np.full((50, 50), 2, np.uint8), {'x': 40})]).result()
    assert source.getMetadata()['sizeX'] == 90
    assert pixels_of(source)[0, [0, 39, 40, 89], 0].tolist() == [1, 1, 2, 2]
    spawned.submit(add_tiles, source, [(np.full((50, 50), 3, np.uint8), {'x': 0})]).result()
    assert source.getTile(0, 0, 0, numpyAllowed=True)[0, 0, 0] == 3
    spawned.submit(add_tiles, source, [(np.full((9, 9), 4, np.uint8), {'z': 1, 'z_value': 'top'})]).result()
    assert source.frameAxes == ['z']
    spawned.submit(add_tiles, source, [(np.full((9, 9), 5, np.uint16), {})]).result()
    source.addTile(np.full((9, 9), 6, np.uint8), 5, 0)
    assert source.dtype == np.uint16
    assert pixels_of(source)[0, [0, 5], 0].tolist() == [5, 6]


def test_the_order_of_one_process_is_kept(spawned: concurrent.futures.ProcessPoolExecutor) -> None:
    source = gz.new()
    jobs = []
    for worker in range(4):
        tiles = [(np.full((20, 20), n, np.uint8), {'x': worker * 20}) for n in range(1, 60)]
        jobs.append(spawned.submit(add_tiles, source, tiles))
    for job in jobs:
        job.result()
    assert (pixels_of(source) == 59).all()


def test_processes_that_are_forked_add_as_well(temporary_directory: Path) -> None:
    source = gz.new()
    source.addTile(np.full((10, 10), 7, np.uint8))
    child = os.fork()
    if not child:
        status = 1
        try:
            source.addTile(np.full((10, 10), 8, np.uint8), 10, 0)
            assert message_of(source, 'read').startswith('EditError')
            source.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert pixels_of(source)[0, ::9, 0].tolist() == [7, 7, 8]
    source.close()
    assert not any(temporary_directory.iterdir())


def test_associated_images_of_other_processes(spawned: concurrent.futures.ProcessPoolExecutor) -> None:
    source = gz.new()
    spawned.submit(add_associated, source, 'label', np.full((5, 6, 3), 9, np.uint8)).result()
    spawned.submit(add_associated, source, None, np.full((5, 6), 8, np.uint8)).result()
    source.addTile(np.zeros((4, 4), np.uint8))
    assert source.getAssociatedImagesList() == ['label', 'image_2']


def test_what_only_the_process_that_made_the_image_can_do(
    spawned: concurrent.futures.ProcessPoolExecutor,
) -> None:
    source = gz.new()
    for work in ('read', 'tile', 'thumbnail', 'describe', 'write', 'name'):
        message = spawned.submit(message_of, source, work).result()
        assert message.startswith('EditError: This process can only add to the image'), work
    assert 'must be JSON' in spawned.submit(message_of, source, 'value').result()


def test_a_process_that_is_killed_while_it_sends_a_tile_does_no_harm() -> None:
    source = gz.new()
    source.addTile(np.full((4, 8), 1, np.uint8))
    process = multiprocessing.get_context('spawn').Process(target=die_while_sending, args=(source,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(list((source._scratch.path / 'mailbox').iterdir())) == 2, (
        'one whole tile and one that was cut off'
    )
    assert pixels_of(source)[0, :, 0].tolist() == [7] * 4 + [1] * 4
    source.addTile(np.full((4, 4), 3, np.uint8), x=4)
    assert pixels_of(source)[0, :, 0].tolist() == [7] * 4 + [3] * 4
    folder = source._scratch.path
    source.close()
    assert not folder.exists()


def test_a_tile_that_does_not_fit_is_told_where_the_image_is(
    spawned: concurrent.futures.ProcessPoolExecutor,
) -> None:
    source = gz.new()
    source.addTile(np.full((4, 4), 1, np.float32))
    tiles: list[tuple[Any, dict[str, Any]]] = [
        (np.full((4, 4), 2**60, np.int64), {}),
        (np.full((4, 4), 5, np.uint8), {'x': 4}),
    ]
    spawned.submit(add_tiles, source, tiles).result()
    with pytest.raises(EditError, match='int64 does not fit'):
        source.getMetadata()
    assert pixels_of(source)[0, ::4, 0].tolist() == [1, 5]


def test_pickling_in_the_same_process_gives_the_image_itself() -> None:
    source = gz.new()
    assert pickle.loads(pickle.dumps(source)) is source


def test_a_closed_image_says_so(
    tmp_path: Path, temporary_directory: Path, spawned: concurrent.futures.ProcessPoolExecutor
) -> None:
    source = gz.new()
    content = pickle.dumps(source)
    source.close()
    assert not any(temporary_directory.iterdir())
    del source
    with pytest.raises(EditError, match='The image was closed'):
        pickle.loads(content)
    source = gz.new()
    source.close()
    with pytest.raises(pickle.PicklingError, match='closed'):
        pickle.dumps(source)
    written = gz.new()
    written.addTile(np.ones((4, 4), np.uint8))
    written.write(tmp_path / 'image.zarr')
    opened = pickle.loads(pickle.dumps(gz.open(str(tmp_path / 'image.zarr'))))
    assert opened.sizeX == 4


def test_an_image_that_is_edited_takes_tiles_of_other_processes(
    tmp_path: Path, spawned: concurrent.futures.ProcessPoolExecutor
) -> None:
    source = gz.new()
    source.addTile(np.full((40, 60), 1, np.uint8))
    source.write(tmp_path / 'image.zarr')
    edited = gz.open(str(tmp_path / 'image.zarr'), editable=True)
    spawned.submit(add_tiles, edited, [(np.full((40, 60), 2, np.uint8), {'x': 30})]).result()
    edited.write(tmp_path / 'image.zarr')
    pixels = pixels_of(gz.open(str(tmp_path / 'image.zarr')))
    assert (pixels[:, :30] == 1).all()
    assert (pixels[:, 30:] == 2).all()
    assert pixels.shape == (40, 90, 1)


def test_a_fork_after_close_makes_no_folder(temporary_directory: Path) -> None:
    source = gz.new()
    source.close()
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    assert not any(temporary_directory.iterdir())


tiles = st.fixed_dictionaries(
    {
        'y': st.integers(-40, 60),
        'x': st.integers(-40, 60),
        'height': st.integers(1, 50),
        'width': st.integers(1, 50),
        'dtype': st.sampled_from(['uint8', 'uint8', 'uint16', 'float32']),
        'bands': st.sampled_from([1, 1, 3]),
        'frame': st.dictionaries(st.sampled_from(['t', 'w']), st.integers(0, 2), max_size=2),
        'masked': st.booleans(),
        'posted': st.booleans(),
        'read': st.booleans(),
    }
)


@given(st.lists(tiles, min_size=1, max_size=7))
@settings(max_examples=60, deadline=None)
def test_several_processes_give_the_image_that_one_makes(sequence: list[dict[str, Any]]) -> None:
    """The same tiles in the same order, all added here, and some of them by way of the mailbox."""
    rng = np.random.default_rng(0)
    plain, shared = gz.new(), gz.new()
    mailbox = Mailbox(shared._share())
    for tile in sequence:
        shape = (tile['height'], tile['width'], tile['bands'])
        pixels = (rng.random(shape) * 200).astype(tile['dtype'])
        mask = rng.random(shape[:2]) > 0.5 if tile['masked'] else None
        place = {**tile['frame'], **{f'{axis}_value': at * 1.5 for axis, at in tile['frame'].items()}}
        plain.addTile(pixels, tile['x'], tile['y'], mask, **place)
        if tile['posted']:
            mailbox.post_tile(read_tile(pixels, tile['x'], tile['y'], mask, None, place, ()))
        else:
            shared.addTile(pixels, tile['x'], tile['y'], mask, **place)
        if tile['read']:
            shared.getMetadata()
    expected, found = plain.getMetadata(), shared.getMetadata()
    assert found == expected
    assert shared.dtype == plain.dtype
    for frame in range(plain.frames):
        np.testing.assert_array_equal(pixels_of(shared, frame=frame), pixels_of(plain, frame=frame))
    plain.close()
    shared.close()


OWNER_THAT_DIES = """
import os, pickle, sys
import numpy as np, girder_zarr.image as gz
source = gz.new()
sys.stdout.buffer.write(pickle.dumps(source))
sys.stdout.buffer.flush()
os.kill(os.getpid(), 9)
"""


def test_the_owner_is_gone_after_a_crash(temporary_directory: Path) -> None:
    done = subprocess.run([sys.executable, '-c', OWNER_THAT_DIES], check=False, capture_output=True)
    assert done.returncode == -9
    assert any(temporary_directory.iterdir())
    with pytest.raises(EditError, match='has ended'):
        pickle.loads(done.stdout)


def test_posting_to_an_image_that_was_closed_meanwhile(tmp_path: Path) -> None:
    scratch = Scratch('gone', tmp_path)
    mailbox = Mailbox(scratch.directory())
    mailbox.open()
    tile = NewTile(np.zeros((4, 4, 1)), (), {'y': 0, 'x': 0}, None, None, {})
    mailbox.post_tile(tile)
    scratch.close()
    with pytest.raises(EditError, match='closed'):
        mailbox.post_tile(tile)
    assert list(tmp_path.iterdir()) == []


posted = st.fixed_dictionaries(
    {
        'shape': st.lists(st.integers(1, 5), min_size=0, max_size=3).map(tuple),
        'dtype': st.sampled_from(['uint8', 'int16', 'float64', 'bool', 'uint64']),
        'order': st.sampled_from(['C', 'F']),
        'masked': st.booleans(),
        'start': st.dictionaries(st.sampled_from(['t', 'w']), st.integers(0, 9)),
        'band': st.none() | st.integers(0, 4),
        'values': st.dictionaries(st.sampled_from(['t', 'w']), st.text() | st.floats(allow_nan=False)),
    }
)


@given(st.lists(posted, max_size=6))
@settings(max_examples=60, deadline=None)
def test_what_is_posted_arrives_as_it_was_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, items: list[dict[str, Any]]
) -> None:
    scratch = Scratch('post', tmp_path_factory.mktemp('post'))
    mailbox = Mailbox(scratch.directory())
    mailbox.open()
    rng = np.random.default_rng(0)
    tiles = []
    for item in items:
        frames = item['shape']
        pixels = np.array(rng.random((*frames, 4, 5, 2)) * 99, item['dtype'], order=item['order'])
        mask = rng.random((*frames, 4, 5)) > 0.5 if item['masked'] else None
        axes = tuple(f'axis{index}' for index in range(len(frames)))
        tile = NewTile(pixels, axes, {'y': -3, 'x': 5, **item['start']}, mask, item['band'], item['values'])
        mailbox.post_tile(tile)
        tiles.append(tile)
    waiting = mailbox.waiting()
    assert len(waiting) == len(tiles)
    for path, tile in zip(waiting, tiles, strict=True):
        found = take(path)
        assert isinstance(found, NewTile)
        assert found.pixels.dtype == tile.pixels.dtype
        np.testing.assert_array_equal(found.pixels, tile.pixels)
        np.testing.assert_array_equal(found.mask, tile.mask)
        assert (found.axes, found.start, found.band) == (tile.axes, tile.start, tile.band)
        assert found.values == tile.values
    assert mailbox.waiting() == []
    scratch.close()


@pytest.mark.parametrize('make', [gz.new, large_image.new])
def test_temporary_data_goes_with_the_last_reference(make: Any, temporary_directory: Path) -> None:
    """Neither large_image's cache of sources nor a cycle of references keeps an image that nobody has."""
    gc.collect()
    gc.disable()
    try:
        source = make(memory=0)
        source.addTile(np.ones((600, 600), np.uint8))
        assert any(temporary_directory.iterdir())
        del source
        assert not any(temporary_directory.iterdir())
    finally:
        gc.enable()


def test_without_posix_locks_the_message_says_why() -> None:
    code = "import sys; sys.modules['fcntl'] = None; import girder_zarr.image"
    done = subprocess.run([sys.executable, '-c', code], check=False, capture_output=True, text=True)
    assert 'ImportError: girder_zarr.image needs the file locks of Linux' in done.stderr
