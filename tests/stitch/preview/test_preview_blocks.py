"""Coarse blocks that outlive a process: what a later process shows is what it would have made itself."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.preview import patch_overview
from girder_zarr.stitch.preview.image import PreviewImage
from girder_zarr.stitch.preview.preview_blocks import Sources, block_cache
from girder_zarr.stitch.spec.model import StitchSpec
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from girder_zarr.stitch.preview.index import BlockKey

SIDE = 64
#: So many patches, so far apart, that all of them touch one coarse block.
COUNT, STEP = 25, 2600


@dataclass
class Shelf:
    """What all processes share: the patches and the stored blocks."""

    spec: StitchSpec = field(default_factory=StitchSpec)
    patches: dict[str, Patch] = field(default_factory=dict)
    blocks: dict[BlockKey, tuple[str, np.ndarray]] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    changes: int = 0
    meanwhile: Callable[[], None] | None = None

    def put(self, key: str, color: int, x: int, y: int) -> None:
        self.changes += 1
        source = f'{color} {self.changes}'
        place = Placement.make(x, y, {})
        self.patches[key] = Patch(key, place, (SIDE, SIDE, 1), 'uint8', 0, source, arrival=self.changes)

    def load(self, key: BlockKey, fingerprint: str) -> np.ndarray | None:
        stored = self.blocks.get(key)
        return stored[1] if stored is not None and stored[0] == fingerprint else None

    def store(self, key: BlockKey, fingerprint: str, block: np.ndarray) -> None:
        self.blocks[key] = fingerprint, block

    def start(self, stores: bool = True) -> PreviewImage:
        """Return the image in a process that has just started."""
        sources = Sources(self._full, self._small, self if stores else None)
        image = PreviewImage('shelf', self.spec, sources, block_cache(2**26))
        self.tell(image)
        return image

    def tell(self, image: PreviewImage) -> None:
        image.put(self.patches.values())
        image.keep_only(set(self.patches))

    def _full(self, patch: Patch) -> np.ndarray:
        self.opened.append(patch.key)
        return np.full((SIDE, SIDE, 1), int(patch.source.split()[0]), np.uint8)

    def _small(self, patches: Sequence[Patch], level: int) -> Mapping[str, np.ndarray | str]:
        if self.meanwhile is not None:
            self.meanwhile()
        return {patch.key: patch_overview.make_overview(patch, self._full(patch), level) for patch in patches}


@pytest.fixture
def shelf() -> Shelf:
    return filled()


def filled() -> Shelf:
    shelf = Shelf()
    for number in range(COUNT):
        shelf.put(f'{number}', 10 + 9 * number, number % 5 * STEP, number // 5 * STEP)
    return shelf


def coarse(image: PreviewImage) -> list[np.ndarray]:
    """Return all levels from an eighth on."""
    levels = image.series().levels[3:]
    assert len(levels) >= 3
    return [level.read(tuple(slice(0, size) for size in level.shape)) for level in levels]


def is_right(shelf: Shelf, image: PreviewImage) -> bool:
    """Whether an image shows what one would that has never stored anything."""
    pairs = zip(coarse(image), coarse(shelf.start(stores=False)), strict=True)
    return all(np.array_equal(found, expected) for found, expected in pairs)


def test_after_a_restart_no_patch_is_opened_for_the_coarsest_level(shelf: Shelf) -> None:
    shelf.start().compose()
    assert shelf.blocks
    shelf.opened.clear()
    levels = shelf.start().series().levels
    assert levels[-1].read(tuple(slice(0, size) for size in levels[-1].shape)).any()
    assert not shelf.opened
    assert is_right(shelf, shelf.start())


def test_composing_again_makes_only_what_has_changed(shelf: Shelf) -> None:
    image = shelf.start()
    image.compose()
    before = dict(shelf.blocks)
    shelf.put('7', 250, 2 * STEP, STEP)
    image = shelf.start()
    shelf.opened.clear()
    image.compose()
    changed = {key for key, stored in shelf.blocks.items() if stored is not before.get(key)}
    assert changed
    assert all(shelf.blocks[key][0] != before[key][0] for key in changed)
    assert '7' in shelf.opened
    assert is_right(shelf, shelf.start())


def test_few_patches_are_not_worth_a_block() -> None:
    shelf = Shelf()
    for number in range(4):
        shelf.put(f'{number}', 200, number * 9000, 0)
    shelf.start().compose()
    assert not shelf.blocks


CHANGE = st.tuples(
    st.sampled_from(['put', 'drop', 'move']),
    st.integers(0, COUNT),
    st.integers(0, 255),
    st.integers(-300, 11_000),
)


@given(
    changes=st.lists(CHANGE, min_size=1, max_size=4), which=st.lists(st.booleans(), min_size=4, max_size=4)
)
@settings(max_examples=6, deadline=None)
def test_whatever_changes_in_whichever_process(
    changes: list[tuple[str, int, int, int]], which: list[bool]
) -> None:
    shelf = filled()
    processes = [shelf.start(), shelf.start()]
    processes[0].compose()
    for (what, number, color, place), second in zip(changes, which, strict=False):
        key = f'{number}'
        if what == 'drop':
            shelf.patches.pop(key, None)
        elif what == 'put' and key in shelf.patches:
            at = shelf.patches[key].placement
            shelf.put(key, color, at.x, at.y)
        else:
            shelf.put(key, color, place, place)
        # The other process is left behind, and stores what it still knows.
        shelf.tell(processes[second])
        processes[not second].compose()
        processes[second].compose()
        assert is_right(shelf, processes[second])
    assert is_right(shelf, shelf.start())


def test_a_patch_that_comes_and_goes_while_a_block_is_made_is_in_none(shelf: Shelf) -> None:
    image = shelf.start()
    known = dict(shelf.patches)

    def come() -> None:
        shelf.meanwhile = go
        shelf.put('guest', 255, 5000, 100)
        shelf.tell(image)

    def go() -> None:
        # By now the guest is in what is being made.
        shelf.meanwhile = None
        shelf.patches = dict(known)
        shelf.tell(image)

    shelf.meanwhile = come
    image.compose()
    assert shelf.meanwhile is None
    assert 'guest' in shelf.opened
    assert is_right(shelf, shelf.start())


@pytest.mark.parametrize('change', [{'background': 9}, {'overlap': 'first'}])
def test_another_spec_has_blocks_of_its_own(shelf: Shelf, change: dict[str, object]) -> None:
    for number in range(COUNT):
        shelf.put(f'over {number}', 3 * number, number % 5 * STEP + 30, number // 5 * STEP + 30)
    shelf.start().compose()
    shelf.spec = replace(shelf.spec, **change)  # type: ignore[arg-type]
    assert is_right(shelf, shelf.start())


def test_a_block_is_not_taken_for_whole_by_a_thread_that_waited_for_it(shelf: Shelf) -> None:
    """One thread makes a block without a patch that cannot be read; another needs it for the level above."""
    image = shelf.start()
    level = image.series().levels[4]
    region = tuple(slice(0, size) for size in level.shape)
    asked, go, failing = threading.Event(), threading.Event(), {'0'}

    def overviews(patches: Sequence[Patch], level: int) -> Mapping[str, np.ndarray | str]:
        asked.set()
        assert go.wait(30)
        made = shelf._small(patches, level)
        return {key: 'not now' if key in failing else pixels for key, pixels in made.items()}

    image._sources = replace(image._sources, overviews=overviews)
    with ThreadPoolExecutor(2) as pool:
        below = pool.submit(image.read, 3, (), 0, 0, (1, 64, 64))
        assert asked.wait(30)
        above = pool.submit(level.read, region)
        wait_until(lambda: len(image._cache._flights) > 1, 30, 'the second thread')
        go.set()
        assert not below.result()[0, :4, :4].any()
        assert not above.result()[:2, :2].any()
    failing.clear()
    assert level.read(region)[:2, :2].all()
    assert is_right(shelf, image)
