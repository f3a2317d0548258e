"""What tiles say of their frames: true whenever it is read, and no work for addTile until then."""

from __future__ import annotations

import json
import pickle
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import girder_zarr.image as gz
from girder_zarr.image.sink import frame_values, tile_axes

if TYPE_CHECKING:
    from collections.abc import Callable

TILE = np.zeros((8, 8), np.uint8)

Place = tuple[int, int]
Values = dict[str, Any]

values = st.one_of(st.integers(-5, 5), st.floats(-9, 9).map(lambda one: round(one, 3)), st.sampled_from('ab'))
tiles = st.tuples(
    st.just('add'),
    st.tuples(st.integers(0, 9), st.integers(0, 4)),
    st.one_of(st.none(), st.tuples(values, values)),
)
#: Their values may become the size of a step.
rising = st.tuples(st.just('add'), st.integers(0, 9).map(lambda z: (z, 0)), st.just('steps'))
reads = st.tuples(
    st.sampled_from(['values', 'frames', 'internal', 'series', 'pixels', 'picture', 'pickle', 'unit'])
)
histories = st.lists(st.one_of(tiles, rising, reads), max_size=25)


class Model:
    """The image as dictionaries: what was said of each position (z, t), and a pixel of it."""

    def __init__(self) -> None:
        self.said: dict[Place, tuple[Any, Any]] = {}
        self.pixels: dict[Place, int] = {}

    def add(self, source: Any, place: Place, said: Any) -> None:
        z, t = place
        pixel = len(self.pixels) + 1
        told: Values = {}
        if said is not None:
            self.said[place] = said = (z * 0.25, t) if said == 'steps' else said
            told = {'z_value': said[0], 't_value': said[1]}
        source.addTile(np.full_like(TILE, pixel), 0, 0, z=z, t=t, **told)
        self.pixels[place] = pixel

    @property
    def sizes(self) -> tuple[int, int]:
        return tuple(1 + max(place[axis] for place in self.pixels) for axis in (0, 1))  # type: ignore[return-value]

    def value(self, axis: str, place: Place) -> Any:
        return self.said.get(place, (0, 0))['zt'.index(axis)]


def check_values(source: Any, model: Model) -> None:
    if not model.said:
        assert source.frameValues is None
        return
    assert sorted(source.frameAxes) == ['t', 'z']
    # as large as the furthest position of which something was said
    sizes = {axis: 1 + max(place['zt'.index(axis)] for place in model.said) for axis in 'zt'}
    found = source.frameValues
    assert found.shape == (*(sizes[axis] for axis in source.frameAxes), 2)
    for where in np.ndindex(*found.shape[:-1]):
        at = dict(zip(source.frameAxes, where, strict=True))
        expected = [model.value(axis, (at['z'], at['t'])) for axis in source.frameAxes]
        assert found[where].tolist() == expected


def check_frames(source: Any, model: Model) -> None:
    if not model.pixels or model.sizes == (1, 1):
        return
    frames = source.getMetadata()['frames']
    assert len(frames) == model.sizes[0] * model.sizes[1]
    for frame in frames:
        place = frame['IndexZ'], frame['IndexT']
        if model.said:
            assert (frame['ValueZ'], frame['ValueT']) == tuple(model.value(axis, place) for axis in 'zt')


def check_axes(multiscale: Any, model: Model) -> None:
    """The axes of the metadata, with a value for each position or each frame."""
    axes = [axis for axis in multiscale['axes'] if axis['name'] in {'z', 't'}]
    sizes = [model.sizes['zt'.index(axis['name'])] for axis in axes]
    for number, axis in enumerate(axes):
        if not model.said:
            assert axis['values'] is None
            continue
        listed = list(axis['values'])
        assert len(listed) in {sizes[number], sizes[0] * sizes[1]}
        for frame, where in enumerate(np.ndindex(*sizes)):
            at = dict(zip((axis['name'] for axis in axes), where, strict=True))
            value = listed[where[number]] if len(listed) == sizes[number] else listed[frame]
            assert value == model.value(axis['name'], (at['z'], at['t']))


def read(kind: str, source: Any, model: Model) -> None:
    if kind == 'values':
        check_values(source, model)
    elif kind == 'frames':
        check_frames(source, model)
    elif kind == 'internal' and model.pixels:
        check_axes(source.getInternalMetadata()['zarr']['multiscale'], model)
    elif kind == 'series' and model.pixels:
        axes = [{'name': axis.name, 'values': axis.values} for axis in source._series[0].multiscale.axes]
        check_axes({'axes': axes}, model)
    elif kind == 'pixels' and model.pixels:
        place, pixel = list(model.pixels.items())[-1]
        frames = source.getMetadata().get('frames', ())
        at = next((one['Frame'] for one in frames if place == (one['IndexZ'], one['IndexT'])), 0)
        assert source.getRegion(format='numpy', frame=at)[0].ravel().tolist() == [pixel] * TILE.size
    elif kind == 'picture' and model.pixels:
        source.getThumbnail()
    elif kind == 'pickle':
        assert pickle.loads(pickle.dumps(source)) is source
    elif kind == 'unit':
        source.mm_z = 0.5


def documents(source: Any) -> dict[str, Any]:
    """Return the metadata documents of the image as it is written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'image.zarr'
        source.write(path)
        return {str(one.relative_to(path)): json.loads(one.read_text()) for one in path.rglob('zarr.json')}


@given(histories)
@settings(max_examples=120, deadline=None)
def test_reads_between_tiles_are_true_and_change_nothing(history: list[Any]) -> None:
    source, model = gz.new(), Model()
    for kind, *rest in history:
        if kind == 'add':
            model.add(source, *rest)
        else:
            read(kind, source, model)
    unread = gz.new()
    other = Model()
    for kind, *rest in history:
        if kind == 'add':
            other.add(unread, *rest)
        elif kind == 'unit':
            read(kind, unread, other)
    if model.pixels:
        assert source.getMetadata() == unread.getMetadata()
        assert source.getInternalMetadata() == unread.getInternalMetadata()
        check_frames(unread, other)
        check_values(unread, other)
        assert documents(source) == documents(unread)
    source.close()
    unread.close()


class Work:
    """Counts what is done with all values of an image: how often they are described, what is copied."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.described = self.steps = self.copied = 0
        self._count(monkeypatch, tile_axes, 'axis_values', 'described', lambda _: 1)
        self._count(monkeypatch, tile_axes, 'equal_steps', 'steps', lambda args: len(args[0].values or ()))
        self._count(monkeypatch, frame_values, '_enlarged', 'copied', lambda args: args[0].size)

    def _count(
        self,
        monkeypatch: pytest.MonkeyPatch,
        module: Any,
        name: str,
        counter: str,
        size: Callable[[Any], int],
    ) -> None:
        function = getattr(module, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            setattr(self, counter, getattr(self, counter) + size(args))
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)


ORDERS: dict[str, Callable[[int, int], list[Place]]] = {
    'one axis': lambda n, _: [(at, 0) for at in range(n)],
    'backwards': lambda n, _: [(at, 0) for at in reversed(range(n))],
    'rows': lambda n, side: [divmod(at, side)[::-1] for at in range(n)],
    'columns': lambda n, side: [divmod(at, side) for at in range(n)],
    'squares': lambda n, side: sorted(
        (divmod(at, side) for at in range(n)), key=lambda place: (max(place), place)
    ),
}


@pytest.mark.parametrize('order', ORDERS)
def test_the_work_of_a_tile_does_not_grow_with_frames(monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    side, work = 24, Work(monkeypatch)
    count = side * side
    source, model = gz.new(), Model()
    for z, t in ORDERS[order](count, side):
        source.addTile(TILE, 0, 0, z=z, t=t, z_value=z * 0.5, t_value=f'day {t}')
        model.pixels[z, t] = 0
        model.said[z, t] = z * 0.5, f'day {t}'
    assert (work.described, work.steps) == (0, 0)
    # two values a frame, each copied at most twice for each axis that grows, as twice the room is made
    assert work.copied <= 8 * count
    check_frames(source, model)
    described = work.described
    assert described > 0
    source.getMetadata()
    source.getInternalMetadata()
    source.getRegion(format='numpy')
    assert work.described == described
    check_values(source, model)


def test_views_share_what_was_described(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(monkeypatch)
    source = gz.new()
    for z in range(4):
        source.addTile(np.full((300, 300), z, np.uint16), 0, 0, z=z, z_value=z)
    source.getTile(0, 0, 0, frame=1)
    described = work.described
    assert described > 0
    for frame in range(4):
        source.getTile(0, 0, 0, frame=frame)
    source.getMetadata()
    assert work.described == described


def test_threads_that_read_see_each_value_whose_tile_was_added() -> None:
    source, count, added = gz.new(), 150, [1]
    source.addTile(TILE, 0, 0, z=1, z_value=0.5)

    def add() -> None:
        for z in range(2, count):
            source.addTile(TILE, 0, 0, z=z, z_value=z * 0.5)
            added[0] = z

    with ThreadPoolExecutor(3) as threads:
        adding = threads.submit(add)

        def look() -> int:
            looks = 0
            while not adding.done() or not looks:
                surely = added[0]
                listed = [frame['ValueZ'] for frame in source.getMetadata()['frames']]
                assert listed[: surely + 1] == [z * 0.5 for z in range(surely + 1)]
                assert set(listed) <= {z * 0.5 for z in range(count)}
                looks += 1
            return looks

        assert all(one.result() for one in [threads.submit(look) for _ in range(2)])
        adding.result()
    found: Any = source.frameValues
    assert found.ravel().tolist() == [z * 0.5 for z in range(count)]
    source.close()


def test_values_that_cannot_be_described_are_the_error_of_their_tile() -> None:
    source = gz.new()
    source.addTile(TILE, 0, 0, z=0, z_value=0)
    with pytest.raises(OverflowError):
        source.addTile(TILE, 0, 0, z=1, z_value=10**400)


def test_an_array_of_values_is_not_written_to_when_it_is_part_of_another() -> None:
    whole = np.full((6, 1), None, object)
    source = gz.new()
    source.addTile(TILE, 0, 0, z=2)
    source.frameAxes = ['z']
    source.frameValues = whole[:3]
    for z in (3, 4, 5):
        source.addTile(TILE, 0, 0, z=z, z_value=z)
    assert whole[3:].ravel().tolist() == [None] * 3
    found: Any = source.frameValues
    assert found.ravel().tolist() == [0, 0, 0, 3, 4, 5]
