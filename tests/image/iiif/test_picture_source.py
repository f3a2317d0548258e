"""Pictures that IIIF asks for: their pixels are those of the image, as Pillow and numpy make them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import large_image
import numpy as np
import PIL.Image
import pytest

import girder_zarr.image as gz
from girder_zarr.errors import LimitExceededError, NotFoundError, UnreadableImageError
from girder_zarr.image.iiif.image_information import image_information
from girder_zarr.image.iiif.picture_request import PictureLimits, read_request
from girder_zarr.image.iiif.picture_source import PictureSource

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = PictureLimits(16_383, 2**22)
ANY_COST = 2**40


def smooth(height: int, width: int, bands: int, seed: int = 0) -> np.ndarray:
    """Return a picture that survives JPEG."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    picture = PIL.Image.fromarray(small).resize((width, height), PIL.Image.Resampling.BICUBIC)
    return np.asarray(picture)[..., :bands]


@pytest.fixture
def pixels() -> np.ndarray:
    return smooth(900, 1500, 3)


@pytest.fixture
def image(pixels: np.ndarray, tmp_path: Path) -> Any:
    source = gz.new()
    source.addTile(pixels, 0, 0)
    source.write(tmp_path / 'image.zarr')
    return gz.open(tmp_path / 'image.zarr')


def picture(source: Any, parts: str, frame: int = 0, cost: int = ANY_COST) -> PIL.Image.Image:
    """Return the picture that the end of an address asks for."""
    asked = PictureSource(source, frame)
    request = read_request(tuple(parts.split('/')), asked.size, LIMITS, is_color=asked.is_color)  # type: ignore[arg-type]
    found = PIL.Image.open(io.BytesIO(asked.picture(request, cost)))
    found.load()
    return found


def array(source: Any, parts: str, frame: int = 0) -> np.ndarray:
    return np.asarray(picture(source, parts, frame))


@pytest.mark.parametrize(
    ('region', 'rows', 'columns'),
    [
        ('full', slice(None), slice(None)),
        ('square', slice(0, 900), slice(300, 1200)),
        ('700,300,801,601', slice(300, None), slice(700, None)),
        ('511,511,2,2', slice(511, 513), slice(511, 513)),
        ('1499,899,1,1', slice(899, None), slice(1499, None)),
        ('pct:20,10,50,70', slice(90, 720), slice(300, 1050)),
    ],
)
def test_regions_are_the_stored_pixels(
    image: Any, pixels: np.ndarray, region: str, rows: slice, columns: slice
) -> None:
    for suffix in ('png', 'tif'):
        assert np.array_equal(array(image, f'{region}/max/0/default.{suffix}'), pixels[rows, columns])


def test_lossy_formats_come_near(image: Any, pixels: np.ndarray) -> None:
    for suffix in ('jpg', 'webp'):
        found = picture(image, f'300,200,512,400/max/0/default.{suffix}')
        assert found.format == {'jpg': 'JPEG', 'webp': 'WEBP'}[suffix]
        assert np.abs(np.asarray(found).astype(int) - pixels[200:600, 300:812]).mean() < 4


@pytest.mark.parametrize('size', ['750,450', '375,', ',113', 'pct:33', '!100,100', '1500,90'])
def test_smaller_pictures_are_means(image: Any, pixels: np.ndarray, size: str) -> None:
    found = picture(image, f'full/{size}/0/default.png')
    expected = PIL.Image.fromarray(pixels).resize(found.size, PIL.Image.Resampling.BOX)
    difference = np.abs(np.asarray(found).astype(int) - np.asarray(expected))
    assert difference.max() <= 6  # means of levels, which are means and rounded
    assert difference.mean() < 1


def test_a_level_is_read_as_it_is_stored(image: Any, pixels: np.ndarray) -> None:
    """Sizes that `info.json` lists come from the levels, without another filter."""
    half = image.getRegion(
        format='numpy', output={'maxWidth': 750, 'maxHeight': 450}, region={'left': 0, 'top': 0}
    )[0]
    assert np.array_equal(array(image, 'full/750,450/0/default.png'), half)
    assert np.array_equal(array(image, '512,0,512,512/256,256/0/default.png'), half[:256, 256:512])


def test_larger_pictures(image: Any, pixels: np.ndarray) -> None:
    found = array(image, '100,100,50,40/^200,/0/default.png')
    assert found.shape == (160, 200, 3)
    part = PIL.Image.fromarray(pixels[100:140, 100:150])
    expected = part.resize((200, 160), PIL.Image.Resampling.BICUBIC)
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize('mirrored', [False, True])
@pytest.mark.parametrize('quarters', range(5))
def test_quarter_turns(image: Any, pixels: np.ndarray, quarters: int, mirrored: bool) -> None:
    """Mirrored first, then clockwise."""
    part = pixels[10:210, 20:320]
    expected = np.rot90(part[:, ::-1] if mirrored else part, -quarters)
    angle = f'{"!" if mirrored else ""}{90 * quarters}'
    assert np.array_equal(array(image, f'20,10,300,200/max/{angle}/default.png'), expected)


@pytest.mark.parametrize('angle', [12.5, 100, 200.25, 359])
def test_other_angles(image: Any, pixels: np.ndarray, angle: float) -> None:
    """Nothing is cut off; what is not image is transparent, and black where the format has no alpha."""
    part = PIL.Image.fromarray(pixels[100:400, 100:500]).convert('RGBA')
    expected = np.asarray(part.rotate(-angle, PIL.Image.Resampling.BILINEAR, expand=True))
    found = array(image, f'100,100,400,300/max/{angle}/default.png')
    assert abs(found.shape[0] - expected.shape[0]) <= 2
    assert abs(found.shape[1] - expected.shape[1]) <= 2
    assert (found[0, 0, 3], found[found.shape[0] // 2, found.shape[1] // 2, 3]) == (0, 255)
    middle = [(side - 160) // 2 for side in found.shape[:2]]
    other = [(side - 160) // 2 for side in expected.shape[:2]]
    ours = found[middle[0] : middle[0] + 160, middle[1] : middle[1] + 160].astype(int)
    theirs = expected[other[0] : other[0] + 160, other[1] : other[1] + 160]
    assert np.abs(ours - theirs).mean() < 2
    flat = array(image, f'100,100,400,300/max/{angle}/default.jpg')
    assert flat.shape == (*found.shape[:2], 3)
    assert flat[0, 0].max() < 10


def test_qualities(image: Any, pixels: np.ndarray) -> None:
    part = '0,0,300,300/max/0'
    gray = np.asarray(PIL.Image.fromarray(pixels[:300, :300]).convert('L'))
    assert np.array_equal(array(image, f'{part}/gray.png'), gray)
    assert np.array_equal(array(image, f'{part}/bitonal.png'), np.where(gray < 128, 0, 255))
    assert np.array_equal(array(image, f'{part}/color.png'), pixels[:300, :300])
    turned = picture(image, '0,0,300,300/max/45/gray.webp')
    assert turned.mode == 'RGBA'


def test_a_tile_is_handed_on(image: Any) -> None:
    """Viewers ask for tiles; those are what the source has, from its cache."""
    source = PictureSource(image)
    assert (source.tile, source.levels) == ((512, 512), 3)
    for level, column, row in ((0, 1, 0), (1, 0, 0)):
        side = 512 << level
        box = f'{column * side},{row * side},{side},{min(side, 900 - row * side)}'
        size = f'512,{512 if level == 0 else 450}'
        request = read_request((box, size, '0', 'default.jpg'), source.size, LIMITS, is_color=True)
        tile = image.getTile(column, row, 2 - level)
        found = source.picture(request, ANY_COST)
        assert (found == bytes(tile)) == (level == 0)
        ours, theirs = (np.asarray(PIL.Image.open(io.BytesIO(one))) for one in (found, bytes(tile)))
        assert np.abs(ours.astype(int) - theirs[: ours.shape[0]]).mean() < 1


@pytest.mark.parametrize('dtype', ['uint16', 'float32'])
def test_values_of_other_types_are_shown_as_the_viewer_shows_them(tmp_path: Path, dtype: str) -> None:
    values = (smooth(300, 400, 1).astype(dtype) * 16)[..., :1]
    source = gz.new()
    source.addTile(values, 0, 0)
    source.write(tmp_path / 'image.zarr')
    opened = gz.open(tmp_path / 'image.zarr')
    assert not PictureSource(opened).is_color
    found = picture(opened, 'full/max/0/default.png')
    assert found.mode == 'L'
    shown = PIL.Image.open(io.BytesIO(opened.getRegion(encoding='PNG')[0])).convert('L')
    assert np.array_equal(np.asarray(found), np.asarray(shown))
    assert np.asarray(found).max() > 200


def test_frames(tmp_path: Path) -> None:
    source = gz.new()
    planes = [smooth(200, 300, 1, seed) for seed in range(4)]
    for number, plane in enumerate(planes):
        source.addTile(plane, 0, 0, c=number % 2, z=number // 2)
    source.write(tmp_path / 'image.zarr')
    opened = gz.open(tmp_path / 'image.zarr')
    for record in opened.getMetadata()['frames']:
        expected = planes[record['IndexC'] + 2 * record['IndexZ']]
        found = array(opened, 'full/max/0/default.png', record['Frame'])
        assert np.array_equal(found, expected[..., 0])
    for frame in (4, 10**9, -1):
        with pytest.raises(NotFoundError, match='the image has 4 frames, counted from 0'):
            PictureSource(opened, frame)


def test_what_is_read_for_a_picture_is_bounded(image: Any) -> None:
    source = PictureSource(image)
    whole = read_request(('full', 'max', '0', 'default.png'), source.size, LIMITS, is_color=True)
    assert source.cost(whole.box, 0) == 6 * 512 * 512
    with pytest.raises(LimitExceededError, match='the limit is 1572863'):
        source.picture(whole, 6 * 512 * 512 - 1)
    assert source.picture(whole, 6 * 512 * 512)


def test_an_image_without_levels(tmp_path: Path) -> None:
    """A lower resolution is made from all of the higher one; what costs too much is not listed."""
    import tifffile

    pixels = smooth(1200, 1600, 3)
    tifffile.imwrite(tmp_path / 'flat.tiff', pixels, tile=(256, 256))
    opened = large_image.open(tmp_path / 'flat.tiff')
    source = PictureSource(opened)
    full = 7 * 5 * 256 * 256
    request = read_request(('full', '!100,100', '0', 'default.png'), source.size, LIMITS, is_color=True)
    for level in range(source.levels):
        assert source.cost(request.box, level) == full
    assert np.array_equal(array(opened, 'full/max/0/default.png'), pixels)
    cheap = image_information('x', source, LIMITS, full)
    assert cheap['tiles'] == [{'width': 256, 'scaleFactors': [1, 2, 4, 8]}]
    assert {'width': 1600, 'height': 1200} in cheap['sizes']
    dear = image_information('x', source, LIMITS, full - 1)
    assert dear['sizes'] == []
    assert dear['tiles'] == [{'width': 256, 'scaleFactors': [1, 2, 4]}]
    with pytest.raises(LimitExceededError):
        source.picture(request, full - 1)


def test_a_damaged_tile_is_an_error(image: Any, tmp_path: Path) -> None:
    chunk = next(
        path for path in (tmp_path / 'image.zarr' / '0').rglob('*') if path.is_file() and '/c/' in str(path)
    )
    chunk.write_bytes(b'damaged')
    with pytest.raises(UnreadableImageError, match=r'of frame 0 cannot be read'):
        picture(gz.open(tmp_path / 'image.zarr', noCache=True), 'full/max/0/default.png')
