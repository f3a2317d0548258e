"""The parameters of IIIF's image requests: the specification's own examples, and properties of all others."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from girder_zarr.errors import InvalidInputError
from girder_zarr.image.iiif.picture_request import (
    Box,
    PictureLimits,
    PictureRequest,
    Size,
    decimal_text,
    fit,
    read_region,
    read_request,
    read_rotation,
    read_size,
    rotated_size,
)

#: The image of the specification's examples.
IMAGE = Size(300, 200)
WIDE = PictureLimits(10_000, 10**7)

SIDE = st.integers(1, 5000)
LIMITS = st.builds(PictureLimits, st.integers(1, 6000), st.integers(1, 10**7))


@pytest.mark.parametrize(
    ('text', 'box'),
    [
        ('full', (0, 0, 300, 200)),
        ('square', (50, 0, 200, 200)),
        ('125,15,120,140', (125, 15, 120, 140)),
        ('pct:41.6,7.5,40,70', (125, 15, 120, 140)),
        ('125,15,200,200', (125, 15, 175, 185)),
        ('pct:41.6,7.5,66.6,100', (125, 15, 175, 185)),
        ('0,0,999999999999999999,999999999999999999', (0, 0, 300, 200)),
        ('299,199,1,1', (299, 199, 1, 1)),
        ('pct:.5,0.,99.5,100', (2, 0, 298, 200)),
    ],
)
def test_regions_of_the_specification(text: str, box: tuple[int, ...]) -> None:
    assert read_region(text, IMAGE) == box


@pytest.mark.parametrize(
    'text',
    [
        '', 'max', 'Full', '0,0,0,10', '0,0,10,0', '300,0,1,1', '0,200,1,1', '-1,0,10,10', '+1,0,10,10',
        '0,0,10', '0,0,10,10,10', '0.5,0,10,10', '0,0,1e3,10', '0, 0,10,10', 'pct:0,0,0,100', 'pct:100,0,1,1',
        'pct:nan,0,1,1', 'pct:inf,0,1,1', 'pct:-1,0,10,10', 'pct:1e1,0,10,10', 'pct:0,0,.,1',
        'pct:0,0,0.1,0.1', '\u0660,0,10,10', '0,0,10,10\n', 'full\0', f'{"9" * 19},0,1,1',
        'pct:0,0,0x10,10', 'square,',
    ],
)  # fmt: skip
def test_other_regions_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r'^region: expected '):
        read_region(text, IMAGE)


@pytest.mark.parametrize(
    ('text', 'size', 'canonical'),
    [
        ('max', (300, 200), 'max'),
        ('300,200', (300, 200), 'max'),
        ('pct:100', (300, 200), 'max'),
        ('150,', (150, 100), '150,100'),
        (',150', (225, 150), '225,150'),
        ('pct:50', (150, 100), '150,100'),
        ('225,100', (225, 100), '225,100'),
        ('!225,100', (150, 100), '150,100'),
        ('!300,300', (300, 200), 'max'),
        ('^360,', (360, 240), '^max'),
        ('^,240', (360, 240), '^max'),
        ('^pct:120', (360, 240), '^max'),
        ('^pct:110', (330, 220), '^330,220'),
        ('^360,360', (360, 360), '^360,360'),
        ('^!360,360', (360, 240), '^max'),
        ('^!150,360', (150, 100), '150,100'),
        ('^max', (360, 240), '^max'),
        ('1,', (1, 1), '1,1'),
        ('pct:0.5', (2, 1), '2,1'),
    ],
)
def test_sizes_of_the_specification(text: str, size: tuple[int, int], canonical: str) -> None:
    """``maxWidth`` is 360 there, and nothing said of the area."""
    assert read_size(text, IMAGE, PictureLimits(360, 10**6)) == (size, canonical)


@pytest.mark.parametrize(
    'text',
    [
        '', 'full', ',', '!', '^', '0,0', '0,', ',0', '!0,10', '10', 'pct:0', 'pct:101', 'pct:0.001', '301,',
        ',201', '301,100', '100,201', '!400,400', '!10,', '!,10', '^361,', '^,241', '^pct:121', '^361,10',
        '-5,', '1e2,', 'pct:nan', 'pct:-50', '5,5,5', '!!5,5', '^^5,5', ',^5', '^full', 'max ',
        '1000000000,1000000000', '^1000000000,1000000000', '^!', f'^{"9" * 19},1', '\u0661\u0660,\u0661',
    ],
)  # fmt: skip
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r'^size: '):
        read_size(text, IMAGE, PictureLimits(360, 10**6))


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        ('0', (False, 0)),
        ('!0', (True, 0)),
        ('360', (False, 0)),
        ('22.5', (False, 22.5)),
        ('!345', (True, 345)),
    ],
)
def test_rotations(text: str, found: tuple[bool, float]) -> None:
    mirrored, degrees = read_rotation(text)
    assert (mirrored, float(degrees)) == found


@pytest.mark.parametrize('text', ['', '-90', '361', '360.1', '+1', '1e2', 'nan', '!', '90!', '!!90', '90deg'])
def test_other_rotations_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r'^rotation: expected '):
        read_rotation(text)


@pytest.mark.parametrize(
    ('name', 'canonical'),
    [
        ('default.jpg', 'default.jpg'),
        ('color.png', 'default.png'),
        ('gray.webp', 'gray.webp'),
        ('bitonal.tif', 'bitonal.tif'),
    ],
)
def test_qualities(name: str, canonical: str) -> None:
    made = read_request(('full', 'max', '0', name), IMAGE, WIDE, is_color=True)
    assert made.canonical == f'full/max/0/{canonical}'
    gray = read_request(('full', 'max', '0', name), IMAGE, WIDE, is_color=False)
    assert gray.canonical == f'full/max/0/{canonical}'.replace('gray', 'default')


@pytest.mark.parametrize(
    'name', ['default', 'default.', '.jpg', 'native.jpg', 'default.gif', 'default.JPG', 'a.b.jpg']
)
def test_other_qualities_and_formats_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match=r'^(quality|format): expected one of'):
        read_request(('full', 'max', '0', name), IMAGE, WIDE, is_color=True)


def test_the_box_around_a_rotated_picture_is_bounded() -> None:
    """A line of pixels would need a square of its length."""
    limits = PictureLimits(16_383, 2**22)
    line, square = Size(16_000, 2), Size(2048, 2048)
    for angle in ('0', '90', '180', '!270'):
        read_request(('full', 'max', angle, 'default.png'), line, limits, is_color=True)
    assert read_request(('full', 'max', '45', 'default.png'), square, limits, is_color=True).size == square
    with pytest.raises(InvalidInputError, match='the rotated picture would be'):
        read_request(('full', 'max', '45', 'default.png'), line, limits, is_color=True)


def test_long_texts_are_not_looked_at() -> None:
    for place in range(4):
        parts = ['full', 'max', '0', 'default.jpg']
        parts[place] = '0' * 101
        with pytest.raises(InvalidInputError, match='at most 100 characters'):
            read_request(tuple(parts), IMAGE, WIDE, is_color=True)  # type: ignore[arg-type]


REGIONS = st.one_of(
    st.sampled_from(['full', 'square']),
    st.builds('{},{},{},{}'.format, *[st.integers(0, 6000)] * 4),
    st.builds('pct:{},{},{},{}'.format, *[st.decimals(0, 120, places=2)] * 4),
)
SIDES = st.one_of(st.just(''), st.integers(0, 6000).map(str))
SIZES = st.one_of(
    st.sampled_from(['max', '^max']),
    st.builds('{}{}{},{}'.format, st.sampled_from(['', '^']), st.sampled_from(['', '!']), SIDES, SIDES),
    st.builds('{}pct:{}'.format, st.sampled_from(['', '^']), st.decimals(0, 300, places=3)),
)
ROTATIONS = st.builds('{}{}'.format, st.sampled_from(['', '!']), st.decimals(0, 400, places=2))
NAMES = st.builds(
    '{}.{}'.format,
    st.sampled_from(['default', 'color', 'gray', 'bitonal', 'native']),
    st.sampled_from(['jpg', 'png', 'tif', 'webp', 'gif']),
)


@given(st.builds(Size, SIDE, SIDE), LIMITS, REGIONS, SIZES, ROTATIONS, NAMES, st.booleans())
def test_whatever_is_asked_for(
    image: Size, limits: PictureLimits, region: str, size: str, rotation: str, name: str, color: bool
) -> None:
    """What is not refused lies inside the image and the limits, and its canonical text asks for the same."""
    try:
        made = read_request((region, size, rotation, name), image, limits, is_color=color)
    except InvalidInputError:
        return
    box = made.box
    assert min(box.width, box.height) >= 1
    assert box.left + box.width <= image.width
    assert box.top + box.height <= image.height
    assert min(made.size) >= 1
    assert limits.allow(*made.size)
    if not size.startswith('^'):
        assert made.size.width <= box.width
        assert made.size.height <= box.height
    assert 0 <= made.degrees < 360
    again = read_request(tuple(made.canonical.split('/')), image, limits, is_color=color)  # type: ignore[arg-type]
    assert same(again, made)


def same(one: PictureRequest, other: PictureRequest) -> bool:
    def told(request: PictureRequest) -> tuple[object, ...]:
        return (
            request.box,
            request.size,
            request.is_mirrored,
            request.degrees,
            request.format,
            request.canonical,
        )

    return told(one) == told(other)


@given(st.builds(Size, SIDE, SIDE), LIMITS)
def test_the_largest_size(region: Size, limits: PictureLimits) -> None:
    """It fits, and no larger one of the same shape does."""
    for up in (False, True):
        found = fit(region, limits, up=up)
        if found == (1, 1) or min(found) == 1:  # a thin picture cannot be thinner than a pixel
            continue
        assert limits.allow(*found)
        if found != region:
            wider, higher = found.width + 1, found.height + 1
            scale = max(Fraction(wider, region.width), Fraction(higher, region.height))
            assert not limits.allow(float(region.width * scale), float(region.height * scale))


@given(st.builds(Size, SIDE, SIDE), st.sampled_from([0, 90, 180, 270]))
def test_quarter_turns_keep_the_pixels(size: Size, degrees: int) -> None:
    assert sorted(rotated_size(size, Fraction(degrees))) == sorted(size)


@given(st.decimals(0, 359, places=6))
def test_degrees_as_text(number: object) -> None:
    text = decimal_text(Fraction(str(number)))
    assert Fraction(text) == Fraction(str(number))
    assert text == '0' or not text.startswith(('.', '00'))
    assert '.' not in text or not text.endswith(('0', '.'))
    assert read_region('full', IMAGE) == Box(0, 0, 300, 200)
