"""The image of a growing session, held against a plain composition of all its pixels."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.errors import InvalidInputError, UnreadableImageError
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.preview import patch_overview
from girder_zarr.stitch.preview.image import PreviewImage
from girder_zarr.stitch.preview.preview_blocks import Sources, block_cache
from girder_zarr.stitch.spec.model import StitchSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from girder_zarr.image.series.series import Series

BUDGET = 64 * 2**20


class Desk:
    """Patches with their pixels, and what a preview asks them for."""

    def __init__(self, spec: StitchSpec | None = None, budget: int = BUDGET) -> None:
        self.pixels: dict[str, np.ndarray] = {}
        self.patches: dict[str, Patch] = {}
        self.opened: list[str] = []
        self.spec = spec or StitchSpec()
        self.image = PreviewImage('desk', self.spec, Sources(self._full, self._small), block_cache(budget))

    def put(
        self, key: str, pixels: np.ndarray, x: int, y: int, order: int = 0, alpha: bool = False, **frame: int
    ) -> None:
        shape = (pixels.shape[0], pixels.shape[1], pixels.shape[2] - alpha)
        source = f'{key} {len(self.pixels)}'
        patch = Patch(key, Placement.make(x, y, frame), shape, pixels.dtype.name, order, source, alpha=alpha)
        self.patches[key], self.pixels[source] = patch, pixels
        self.image.put([patch])

    def drop(self, key: str) -> None:
        del self.patches[key]
        self.image.keep_only(set(self.patches))

    def _full(self, patch: Patch) -> np.ndarray:
        self.opened.append(patch.key)
        return self.pixels[patch.source]

    def _small(self, patches: Sequence[Patch], level: int) -> Mapping[str, np.ndarray | str]:
        found: dict[str, np.ndarray | str] = {}
        for patch in patches:
            data = patch_overview.encode_pixels(patch_overview.make_overview(patch, self._full(patch), level))
            found[patch.key] = patch_overview.decode_overview(patch, data, level)
        return found

    def compose(
        self, series: Series, z: int | None = None, c: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the full resolution of one frame as ``(y, x, bands)`` and where it is covered."""
        level: Any = series.levels[0]
        top, left = level.origin
        height, width = level.shape[-2:]
        first = next(iter(self.patches.values()))
        canvas = np.full((height, width, first.shape[2]), self.spec.background, first.dtype)
        covered = np.zeros((height, width), bool)
        for patch in sorted(self.patches.values(), key=lambda one: (one.order, one.key)):
            if {'z': z, 'c': c} != {axis: dict(patch.placement.frame).get(axis) for axis in ('z', 'c')}:
                continue
            y, x = patch.placement.y - top, patch.placement.x - left
            place = slice(max(y, 0), y + patch.shape[0]), slice(max(x, 0), x + patch.shape[1])
            canvas[place] = self.pixels[patch.source][max(-y, 0) :, max(-x, 0) :][
                : height - place[0].start, : width - place[1].start
            ]
            covered[place] = True
        return canvas, covered


def whole(series: Series, level: int) -> np.ndarray:
    """Return a level as ``(y, x, bands)``; without other axes."""
    reader = series.levels[level]
    pixels = reader.read(tuple(slice(0, size) for size in reader.shape))
    return pixels[..., np.newaxis] if pixels.ndim == 2 else np.moveaxis(pixels, 0, -1)


def reduced(canvas: np.ndarray, level: int, background: float) -> np.ndarray:
    """Return the mean of the squares of 2**level pixels, with background beyond the edges."""
    step = 2**level
    height, width = (-(-side // step) for side in canvas.shape[:2])
    shape = (height * step, width * step, *canvas.shape[2:])
    padded = np.full(shape, background, np.float64)
    padded[: canvas.shape[0], : canvas.shape[1]] = canvas
    mean: np.ndarray = padded.reshape(height, step, width, step, -1).mean(axis=(1, 3))
    return mean


def smooth(height: int, width: int, bands: int = 3, dtype: str = 'uint8') -> np.ndarray:
    """Return a picture whose values change by less than 10 over 8 pixels."""
    y, x, band = np.mgrid[:height, :width, :bands]
    values = 128 + 60 * np.sin(y / 60 + band) + 60 * np.cos(x / 70 - band)
    picture: np.ndarray = values.astype(dtype)
    return picture


def check_levels(desk: Desk, tolerance: float = 12) -> None:
    """Compare all levels with the plain composition, apart from what is covered in part by small copies."""
    series = desk.image.series()
    canvas, covered = desk.compose(series)
    for level in range(len(series.levels)):
        expected = reduced(canvas, level, desk.spec.background)
        difference = np.abs(whole(series, level).astype(np.float64) - expected)
        if level == 0:
            assert not difference.any()
        elif level < patch_overview.MIN_LEVEL:
            assert difference.max() <= 1.5
        else:
            edges = covered_in_part(covered, level)
            assert difference[~edges].max(initial=0) <= tolerance
            # At an edge, small copies take a pixel for the patch's own that is only partly so.
            assert np.median(difference) <= 2


def covered_in_part(covered: np.ndarray, level: int) -> np.ndarray:
    """Return which pixels of a level hold at least one pixel of small copies that a patch covers in part."""
    own = min(level, patch_overview.MAX_LEVEL)
    share = reduced(covered[..., np.newaxis], own, 0)[..., 0]
    part = (share > 0) & (share < 1)
    found: np.ndarray = reduced(part[..., np.newaxis], level - own, 0)[..., 0] > 0
    return found


def test_a_growing_image_shows_what_has_arrived_at_every_level() -> None:
    desk, picture = Desk(), smooth(2300, 3100, 1)
    for number, (y, x) in enumerate([(1000, 500), (0, 0), (1800, 2500), (900, 1500), (1003, 1007)]):
        desk.put(f'p{number}', picture[y : y + 500, x : x + 600], x, y)
        check_levels(desk)
    assert len(desk.image.series().levels) == 4
    desk.drop('p2')
    check_levels(desk)
    desk.put('p0', picture[1000:1200, 500:700], 500, 1000)
    check_levels(desk)


def test_it_grows_to_the_left_and_upwards_as_well() -> None:
    desk, picture = Desk(StitchSpec(background=9)), smooth(3000, 3000, 1)
    for number, (y, x) in enumerate([(1500, 1500), (1003, 700), (5, 11)]):
        desk.put(f'p{number}', picture[y : y + 600, x : x + 600], x - 1500, y - 1500)
        check_levels(desk)
    (top, left), levels = desk.image.series().levels[0].origin, len(desk.image.series().levels)  # type: ignore[attr-defined]
    step = 2 ** (levels - 1)
    assert (top % step, left % step) == (0, 0)
    assert 0 <= -1495 - top < step
    assert 0 <= -1489 - left < step


@given(
    places=st.lists(st.tuples(st.integers(-900, 900), st.integers(-900, 900)), min_size=1, max_size=5),
    sides=st.tuples(st.integers(1, 700), st.integers(1, 700)),
)
@settings(max_examples=10, deadline=None)
def test_wherever_the_patches_lie(places: list[tuple[int, int]], sides: tuple[int, int]) -> None:
    desk, picture = Desk(), smooth(2600, 2600, bands=1)
    for number, (y, x) in enumerate(places):
        piece = picture[y + 900 : y + 900 + sides[0], x + 900 : x + 900 + sides[1]]
        desk.put(f'p{number}', piece, x, y)
    series = desk.image.series()
    canvas, covered = desk.compose(series)
    for level in range(len(series.levels)):
        expected = reduced(canvas, level, 0)
        difference = np.abs(whole(series, level).astype(np.float64) - expected)
        if level >= patch_overview.MIN_LEVEL:
            difference[covered_in_part(covered, level)] = 0
        assert difference.max() <= (2 if level < patch_overview.MIN_LEVEL else 12)


@pytest.mark.parametrize(
    ('rule', 'expected'), [('last', 90), ('first', 30), ('max', 90), ('min', 30), ('mean', 60)]
)
def test_overlaps_follow_the_rule_at_every_level(rule: Any, expected: int) -> None:
    desk = Desk(StitchSpec(overlap=rule))
    desk.put('b', np.full((4096, 4096, 1), 30, np.uint8), 0, 0)
    desk.put('a', np.full((4096, 4096, 1), 90, np.uint8), 2048, 0, order=1)
    series = desk.image.series()
    for level in range(len(series.levels)):
        step = 2**level
        values = whole(series, level)[:, [0, 3000 // step, 5000 // step], 0]
        assert (values == [30, expected, 90]).all()


@pytest.mark.parametrize('dtype', ['uint16', 'int32', 'float32', 'float64'])
def test_every_type_of_pixel_keeps_its_values(dtype: str) -> None:
    desk, picture = Desk(), smooth(1400, 2300, 1, 'float64')
    picture = (picture * 100).astype(dtype)
    desk.put('a', picture[:, :1200], 0, 0)
    desk.put('b', picture[:, 1200:], 1200, 0)
    series = desk.image.series()
    for level, expected in enumerate(reduced(picture, n, 0) for n in range(len(series.levels))):
        pixels = whole(series, level)
        assert pixels.dtype == np.dtype(dtype)
        assert np.abs(pixels - expected)[:-1, :-1].max() <= 900 * (level >= patch_overview.MIN_LEVEL) + 2


def test_planes_channels_and_bands_keep_apart() -> None:
    desk = Desk(StitchSpec(channel_names=('DAPI', 'FITC'), origin='absolute', index_base=0))
    picture = smooth(700, 900)
    for z in (0, 2):
        desk.put(f'{z}', picture + np.uint8(z), 100, 50, z=z, c=1)
    series = desk.image.series('Slide 7')
    level = series.levels[0]
    assert [axis.name for axis in series.multiscale.axes] == ['c', 'z', 'y', 'x']
    assert level.shape == (6, 3, 750, 1000)
    pixels = level.read((slice(0, 6), slice(0, 3), slice(0, 750), slice(0, 1000)))
    for z in (0, 2):
        assert np.array_equal(np.moveaxis(pixels[3:, z, 50:, 100:], 0, -1), picture + np.uint8(z))
    assert not pixels[:3].any()
    assert not pixels[:, 1].any()
    green = level.read((slice(4, 5), slice(2, 3), slice(50, 60), slice(100, 110)))
    assert np.array_equal(green[0, 0], picture[:10, :10, 1] + 2)


def test_a_size_that_was_asked_for_cuts_the_image() -> None:
    desk, picture = Desk(StitchSpec(size=(1100, 640))), smooth(900, 1500)
    desk.put('a', picture, -200, -100)
    series = desk.image.series()
    assert [level.shape for level in series.levels] == [(3, 640, 1100), (3, 320, 550), (3, 160, 275)]
    assert np.array_equal(whole(series, 0), picture[100:740, 200:1300])


@pytest.mark.parametrize('place', [(0, 0), (700, 300), (-77, -33)])
def test_a_crop_shows_the_part_that_is_wanted(place: tuple[int, int]) -> None:
    crop = {'x': place[1], 'y': place[0], 'width': 1200, 'height': 900}
    desk, picture = Desk(StitchSpec.from_json({'crop': crop})), smooth(2000, 2000, 1)
    for y in (0, 1000):
        desk.put(f'{y}', picture[y : y + 1000], 0, y)
    series = desk.image.series()
    level: Any = series.levels[0]
    top, left = level.origin
    step = 2 ** (len(series.levels) - 1)
    assert 0 <= place[0] - top < step
    assert 0 <= place[1] - left < step
    shown = whole(series, 0)[place[0] - top :, place[1] - left :]
    assert shown.shape == (900, 1200, 1)
    expected = np.zeros_like(shown)
    rows, columns = max(-place[0], 0), max(-place[1], 0)
    part = picture[max(place[0], 0) :, max(place[1], 0) :][: 900 - rows, : 1200 - columns]
    expected[rows:, columns:] = part
    assert np.array_equal(shown, expected)


def test_pixels_that_a_mask_hides_are_seen_at_no_level() -> None:
    desk = Desk()
    hidden = np.full((2048, 4096, 4), 255, np.uint8)
    hidden[:, 1000:, :3] = 40
    hidden[:, :1000, 3] = 0
    desk.put('below', np.full((2048, 4096, 3), 90, np.uint8), 0, 0)
    desk.put('masked', hidden, 0, 0, order=1, alpha=True)
    series = desk.image.series()
    for level in range(len(series.levels)):
        step = 2**level
        shown = whole(series, level)
        assert (shown[:, : 1000 // step] == 90).all()
        assert (shown[:, 1000 // step + 1 :] == 40).all()


def test_clear_pixels_give_no_color() -> None:
    """The color of RGBA is weighted with its opacity, as in the finished image."""
    desk = Desk()
    pixels = np.zeros((2056, 1024, 4), np.uint8)
    pixels[::2, :] = (200, 100, 50, 255)
    desk.put('a', pixels, 0, 0)
    series = desk.image.series()
    for level in range(1, len(series.levels)):
        assert (whole(series, level)[..., :3] == (200, 100, 50)).all()


def test_only_what_a_new_patch_touches_is_made_again() -> None:
    desk, picture = Desk(), smooth(512, 512)
    for y in range(12):
        for x in range(24):
            desk.put(f'{y}-{x}', picture, 512 * x, 512 * y)
    top = len(desk.image.series().levels) - 1
    whole(desk.image.series(), top)
    assert len(set(desk.opened)) == 288
    desk.opened.clear()
    desk.put('0-0', picture // 2, 0, 0)
    shown = whole(desk.image.series(), top)
    # One block of level 3 is made of 8 x 8 patches.
    assert set(desk.opened) == {f'{y}-{x}' for y in range(8) for x in range(8)}
    assert shown[0, 0, 0] < picture[..., 0].mean()
    desk.opened.clear()
    whole(desk.image.series(), top)
    assert not desk.opened


def test_a_patch_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    desk, picture = Desk(), smooth(512, 512)
    for x in range(10):
        desk.put(f'p{x}', picture, 512 * x, 0)
    lost = desk.pixels.pop(desk.patches['p3'].source)
    series = desk.image.series()
    pixels = whole(series, 0)
    assert not pixels[:, 512 * 3 : 512 * 4].any()
    assert np.array_equal(pixels[:, 512 * 4 : 512 * 5], picture)
    assert list(desk.image.problems) == ['p3']
    desk.pixels[desk.patches['p3'].source] = lost
    assert np.array_equal(whole(series, 0)[:, 512 * 3 : 512 * 4], picture)
    desk.put('p3', lost, 512 * 3, 1)
    assert not desk.image.problems


def test_memory_has_a_bound() -> None:
    desk, picture = Desk(budget=2**20), smooth(512, 512, 1)
    for x in range(20):
        desk.put(f'p{x}', picture, 512 * x, 0)
    series = desk.image.series()
    for level in range(len(series.levels)):
        whole(series, level)
        assert desk.image._cache.size <= 2**20
    check_levels(desk)


def test_an_image_that_is_far_apart_is_as_quick_as_a_small_one() -> None:
    """Empty places cost nothing: without that, tens of thousands of blocks would be looked at here."""
    desk, picture = Desk(), smooth(64, 64, 1)
    desk.put('a', picture, 0, 0)
    desk.put('b', picture, 2**20 - 64, 2**20 - 64)
    series = desk.image.series()
    pixels = whole(series, len(series.levels) - 1)
    assert pixels.shape[:2] == (512, 512)
    assert not pixels[1:-1].any()


def test_readers_meet_patches_that_arrive() -> None:
    desk, picture = Desk(), smooth(600, 600)
    desk.put('0', picture, 0, 0)
    failures: list[BaseException] = []
    done = threading.Event()

    def look() -> None:
        try:
            while not done.is_set():
                series = desk.image.series()
                for level in range(len(series.levels)):
                    whole(series, level)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1, 30):
        desk.put(str(number % 12), picture // (1 + number % 3), 400 * (number % 12), 350 * (number % 5))
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    check_levels(desk, tolerance=200)
    series = desk.image.series()
    canvas, _ = desk.compose(series)
    assert np.array_equal(whole(series, 0), canvas)


def test_nothing_is_no_image() -> None:
    with pytest.raises(InvalidInputError):
        Desk().image.series()


@given(
    st.tuples(st.integers(-40, 40), st.integers(-40, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(patch_overview.LEVELS),
)
@settings(max_examples=60, deadline=None)
def test_a_small_copy_holds_means_of_its_own_pixels(
    place: tuple[int, int], sides: tuple[int, int], level: int
) -> None:
    step = 2**level
    pixels = np.random.default_rng(1).integers(0, 60000, (*sides, 3)).astype(np.uint16)
    patch = Patch('a', Placement.make(place[1], place[0]), (*sides, 3), 'uint16')
    small = patch_overview.overview_patch(patch, level)
    copy = patch_overview.make_overview(patch, pixels, level)
    assert copy.shape == small.shape
    for i in range(copy.shape[0]):
        for j in range(copy.shape[1]):
            y, x = step * (small.placement.y + i) - place[0], step * (small.placement.x + j) - place[1]
            own = pixels[max(y, 0) : y + step, max(x, 0) : x + step]
            assert (own.min(axis=(0, 1)) <= copy[i, j]).all()
            assert (copy[i, j] <= own.max(axis=(0, 1))).all()
            if own.shape[:2] == (step, step):
                assert np.abs(own.mean(axis=(0, 1)) - copy[i, j]).max() <= 1
    assert np.array_equal(
        patch_overview.decode_overview(patch, patch_overview.encode_pixels(copy), level), copy
    )


@pytest.mark.parametrize('spoil', [lambda data: data[:-3], lambda _: b'', lambda _: b'x' * 40])
def test_a_damaged_small_copy_says_whose_it_is(spoil: Callable[[bytes], bytes]) -> None:
    patch = Patch('r1_c2', Placement.make(0, 0), (64, 64, 1), 'uint8')
    data = patch_overview.encode_pixels(patch_overview.make_overview(patch, smooth(64, 64, 1)))
    with pytest.raises(UnreadableImageError, match='r1_c2'):
        patch_overview.decode_overview(patch, spoil(data))
    other = replace(patch, shape=(128, 64, 1))
    with pytest.raises(UnreadableImageError, match='r1_c2'):
        patch_overview.decode_overview(other, data)
