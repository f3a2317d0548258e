"""Every kind of file that a result may be, and what its metadata say, read by programs that are not ours."""

from __future__ import annotations

import contextlib
import importlib
import io
import shutil
import sqlite3
import sys
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import large_image
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

import girder_zarr.image as gz
from girder_zarr.errors import CancelledError, ConflictError, InvalidInputError, UnreadableImageError
from girder_zarr.stitch.output.assemble import assemble_file, make_plan
from girder_zarr.stitch.output.image_parts import PartMaker, cut, merge_file
from girder_zarr.stitch.output.verify import verify_file
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.spec import outputs
from girder_zarr.stitch.spec.model import StitchSpec

if TYPE_CHECKING:
    from pathlib import Path

    from girder_zarr.stitch.blend.patch_loader import Load
    from girder_zarr.stitch.plan import Plan

ngff_validate = pytest.importorskip('ngff_zarr.validate', reason='needs ngff-zarr for the official schemas')
ngff_zarr = pytest.importorskip('ngff_zarr', reason='needs ngff-zarr')
yaozarrs = pytest.importorskip('yaozarrs', reason='needs yaozarrs')

PICTURE = np.random.default_rng(3).integers(0, 250, (160, 220, 3), np.uint8)
STACK = np.random.default_rng(4).integers(0, 60_000, (3, 2, 90, 120), np.uint16)  # z, c, y, x


@pytest.fixture(scope='module')
def converter() -> None:
    """Skip where the extra `converter` is not installed; import it once with its own warnings silenced."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for name in ('pyvips', 'large_image_converter', 'large_image_source_tiff'):
            try:
                importlib.import_module(name)
            except (ImportError, OSError) as exc:
                pytest.skip(f'needs the extra converter: {exc}')


def halves(pixels: np.ndarray, key: str = 'p', **frame: int) -> list[tuple[Patch, np.ndarray]]:
    """Cut a picture into a left and a right patch that share 20 columns."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    middle = pixels.shape[1] // 2
    found = []
    for number, part in enumerate((slice(0, middle + 10), slice(middle - 10, None))):
        own = pixels[:, part]
        shape = (own.shape[0], own.shape[1], own.shape[2])
        place = Placement.make(part.start, 0, dict(frame))
        found.append((Patch(f'{key}{number}', place, shape, own.dtype.name), own))
    return found


def stack() -> list[tuple[Patch, np.ndarray]]:
    return [pair for z, c in np.ndindex(3, 2) for pair in halves(STACK[z, c], f'z{z}c{c}-', z=z, c=c)]


def plan_of(patches: list[tuple[Patch, np.ndarray]], **spec: Any) -> tuple[Plan, Load]:
    pixels = {patch.key: own for patch, own in patches}

    def load(patch: Patch) -> np.ndarray:
        return pixels[patch.key]

    return make_plan([patch for patch, _ in patches], load, StitchSpec.from_json(spec)), load


def write(target: Path, patches: list[tuple[Patch, np.ndarray]], **spec: Any) -> Path:
    plan, load = plan_of(patches, **spec)
    assemble_file(plan, load, target, name='scene')
    verify_file(plan, load, target)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    return target


def frame_of(source: Any, frame: int = 0) -> np.ndarray:
    pixels, _ = source.getRegion(format='numpy', frame=frame)
    return np.asarray(pixels)


@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
def test_a_database_holds_what_a_zip_holds(tmp_path: Path, version: str) -> None:
    for name in ('db', 'zip'):
        (tmp_path / name).mkdir()
    spec = {'ngffVersion': version, 'chunk': 64}
    database = write(tmp_path / 'db' / 'a.db', halves(PICTURE), output='db', **spec)
    archive = write(tmp_path / 'zip' / 'a.zarr.zip', halves(PICTURE), **spec)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        stored = dict(connection.execute('SELECT k, v FROM zarr'))
    with zipfile.ZipFile(archive) as opened:
        assert stored == {name: opened.read(name) for name in opened.namelist()}
    assert np.array_equal(frame_of(gz.open(database)), PICTURE)


@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
def test_what_is_said_of_axes_and_channels_is_in_the_metadata(tmp_path: Path, version: str) -> None:
    spec = {
        'ngffVersion': version,
        'pixelSize': {'x': 0.5, 'y': 0.25, 'unit': 'micrometer'},
        'axes': {
            't': {'step': 2.5, 'unit': 'minute'},
            'z': {'size': 4, 'step': 1.5, 'unit': 'micrometer', 'values': [10, 11.5, 13, 14.5]},
            'c': {'values': [405, 488], 'unit': 'nanometer'},
        },
        'channelNames': ['DAPI', 'GFP'],
        'channelColors': ['0000ff', '00FF00'],
        'channelWindows': [{'start': 100, 'end': 4000}, {'start': 5, 'end': 50, 'min': 1, 'max': 60}],
        'background': 7,
    }
    patches = [
        (Patch(one.key, Placement.make(one.placement.x, 0, {**dict(one.placement.frame), 't': 0}),
               one.shape, one.dtype), own)
        for one, own in stack()
    ]  # fmt: skip
    path = write(tmp_path / 'a.zarr.zip', patches, **spec)
    check_metadata(path, version)
    source = gz.open(path)
    metadata = source.getMetadata()
    assert metadata['IndexRange'] == {'IndexC': 2, 'IndexZ': 4}
    assert metadata['channels'] == ['DAPI', 'GFP']
    assert (metadata['mm_x'], metadata['mm_y']) == pytest.approx((0.0005, 0.00025))
    for number, frame in enumerate(metadata['frames']):
        z, c = frame['IndexZ'], frame['IndexC']
        assert (frame['ValueZ'], frame['ValueC']) == (10 + 1.5 * z, (405, 488)[c])
        assert frame['Color'] == ('#0000FF', '#00FF00')[c]
        expected = {'min': 0, 'max': 65535, 'start': 100, 'end': 4000} if c == 0 else {
            'min': 1, 'max': 60, 'start': 5, 'end': 50}  # fmt: skip
        assert frame['Window'] == expected
        pixels = frame_of(source, number)[:, :, 0]
        assert np.array_equal(pixels, STACK[z, c] if z < 3 else np.full((90, 120), 7))
    assert dict(source.frameUnits or {}) == {'z': 'micrometer', 'c': 'nanometer'}


def check_metadata(path: Path, version: str) -> None:
    """Read axes and scales by zarr and ngff-zarr, and apply the official schemas and those of yaozarrs."""
    folder = path.parent / 'unpacked'
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    attributes: Any = dict(zarr.open_group(folder, mode='r').attrs)
    image = attributes if version == '0.4' else attributes['ome']
    ngff_validate.validate(attributes, version=version, strict=version == '0.4')
    if version != '0.6':  # yaozarrs knows versions up to 0.5
        yaozarrs.validate_zarr_store(str(folder))
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of ngff-zarr about its own use of others
            found = ngff_zarr.from_ngff_zarr(str(folder), version=version).images[0]
        assert found.scale == {'t': 2.5, 'c': 1, 'z': 1.5, 'y': 0.25, 'x': 0.5}
        assert found.axes_units['z'] == 'micrometer'
        assert found.axes_units['t'] == 'minute'
    multiscale = image['multiscales'][0]
    axes = multiscale['coordinateSystems'][0]['axes'] if version == '0.6' else multiscale['axes']
    assert [(axis['name'], axis.get('unit')) for axis in axes] == [
        ('t', 'minute'), ('c', 'nanometer'), ('z', 'micrometer'), ('y', 'micrometer'), ('x', 'micrometer'),
    ]  # fmt: skip
    shutil.rmtree(folder)


def test_a_size_is_held_to() -> None:
    spec = StitchSpec.from_json({'axes': {'z': {'size': 3}}, 'size': {'x': 100, 'y': 50}})
    spec.check_inside(Placement.make(-9, 49, {'z': 2}), (10, 10, 1))
    for place, field in (((0, 0, 3), 'z'), ((100, 0, 0), 'x'), ((-10, 0, 0), 'x'), ((0, 50, 0), 'y')):
        placement = Placement.make(place[0], place[1], {'z': place[2]})
        with pytest.raises(InvalidInputError, match=f'^{field}: expected .* because spec'):
            spec.check_inside(placement, (10, 10, 1))


def test_patches_beyond_a_size_or_without_an_axis_that_has_one_are_a_conflict() -> None:
    patches = [patch for patch, _ in stack()]
    for axes, words in (
        ({'z': {'size': 2}}, r'^spec.axes.z.size: .* at least 3'),
        ({'t': {'size': 2}}, '.t: '),
    ):
        with pytest.raises(ConflictError, match=words):
            make_plan(patches, lambda _: PICTURE, StitchSpec.from_json({'axes': axes}))


@pytest.mark.parametrize(('dtype', 'bands'), [('uint8', 3), ('uint8', 1), ('uint16', 1)])
def test_with_a_loss_the_file_is_smaller_and_looks_alike(tmp_path: Path, dtype: str, bands: int) -> None:
    y, x = np.mgrid[0:300, 0:400]
    smooth = (100 + 50 * np.sin(x / 40) + 40 * np.cos(y / 30)) * (1 if dtype == 'uint8' else 250)
    picture = np.repeat(smooth[:, :, np.newaxis], bands, 2).astype(dtype)
    sizes = {}
    for lossy in (False, True):
        folder = tmp_path / str(lossy)
        folder.mkdir()
        path = write(folder / 'a.zarr.zip', halves(picture), ngffVersion='0.4', lossy=lossy, quality=80)
        sizes[lossy] = path.stat().st_size
        difference = np.abs(frame_of(gz.open(path)).astype(float) - picture)
        assert difference.max() <= (smooth.max() / 25 if lossy else 0)
    assert sizes[True] < sizes[False] / 2


def test_what_cannot_be_compressed_with_a_loss_is_refused() -> None:
    spec = StitchSpec.from_json({'lossy': True})
    for dtype, bands in (('float32', 1), ('uint8', 4), ('int8', 1)):
        with pytest.raises(ConflictError, match=r'^spec\.lossy: '):
            spec.check_dtype(dtype, bands)
    with pytest.raises(ConflictError, match=r'^spec\.lossy: '):
        StitchSpec.from_json({'lossy': True, 'output': 'tiff'}).check_dtype('uint16', 1)
    with pytest.raises(ConflictError, match=r'^spec\.output: '):
        StitchSpec.from_json({'output': 'tiff'}).check_dtype('int32', 1)


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
@pytest.mark.usefixtures('converter')
def test_a_tiff_is_what_the_patches_say(tmp_path: Path, dtype: str) -> None:
    picture = PICTURE.astype(dtype)
    spec = {'output': 'tiff', 'chunk': 64, 'pixelSize': {'x': 0.5, 'y': 0.5, 'unit': 'micrometer'}}
    path = write(tmp_path / 'a.tiff', halves(picture), **spec)
    with tifffile.TiffFile(path) as tiff:
        first: Any = tiff.pages[0]
        assert np.array_equal(first.asarray(), picture)
        assert (first.tilewidth, first.tilelength) == (64, 64)
    source = large_image.open(path)
    metadata = source.getMetadata()
    assert (metadata['sizeX'], metadata['sizeY'], metadata['mm_x']) == (220, 160, pytest.approx(0.0005))


@pytest.mark.usefixtures('converter')
def test_a_tiff_of_many_frames_and_one_with_a_loss(tmp_path: Path) -> None:
    (tmp_path / 'a').mkdir()
    path = write(tmp_path / 'a' / 'a.tiff', stack(), output='tiff', channelNames=['DAPI', 'GFP'])
    source = large_image.open(path)
    frames = source.getMetadata()['frames']
    assert len(frames) == 6
    for number, frame in enumerate(frames):
        assert np.array_equal(frame_of(source, number)[:, :, 0], STACK[frame['IndexZ'], frame['IndexC']])
    assert source.getMetadata()['channels'] == ['DAPI', 'GFP']
    (tmp_path / 'b').mkdir()
    lossy = write(tmp_path / 'b' / 'b.tiff', halves(PICTURE), output='tiff', lossy=True, quality=50)
    with tifffile.TiffFile(lossy) as tiff:
        assert tiff.pages[0].compression == tifffile.COMPRESSION.JPEG


@pytest.mark.usefixtures('converter')
def test_another_tiff_does_not_pass_for_the_result(tmp_path: Path) -> None:
    path = tmp_path / 'a.tiff'
    write(path, halves(PICTURE), output='tiff')
    for changed, words in ((PICTURE[::-1], 'does not hold'), (PICTURE[:-1], 'height, width')):
        with pytest.raises(UnreadableImageError, match=words):
            verify_file(*plan_of(halves(changed), output='tiff'), path)
    path.write_bytes(b'no tiff')
    with pytest.raises(UnreadableImageError, match='cannot be read'):
        verify_file(*plan_of(halves(PICTURE), output='tiff'), path)


def write_in_parts(target: Path, patches: list[tuple[Patch, np.ndarray]], **spec: Any) -> Path:
    """The same as `write`, but by way of parts, as several workers make a file."""
    plan, load = plan_of(patches, **spec)
    parts = cut(plan, 2**14)
    assert len(parts) > 1
    maker, streams = PartMaker(plan, load, 2**14), []
    for part in parts:
        path = target.parent / 'part.zip'
        maker.write(part, path)
        streams.append(io.BytesIO(path.read_bytes()))
        path.unlink()
    merge_file(plan, streams, target, 2**14, name='scene')
    verify_file(plan, load, target)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    return target


@pytest.mark.parametrize('spec', [{'output': 'db'}, {'lossy': True, 'ngffVersion': '0.4'}], ids=str)
def test_parts_make_every_kind_of_file(tmp_path: Path, spec: dict[str, Any]) -> None:
    suffix = spec.get('output', 'zarr.zip')
    found = []
    for name, make in (('whole', write), ('parts', write_in_parts)):
        (tmp_path / name).mkdir()
        path = make(tmp_path / name / f'a.{suffix}', halves(PICTURE), chunk=64, **spec)
        found.append(frame_of(gz.open(path)))
    assert np.array_equal(found[0], found[1])


@pytest.mark.usefixtures('converter')
def test_parts_make_a_tiff(tmp_path: Path) -> None:
    path = write_in_parts(tmp_path / 'a.tiff', halves(PICTURE), chunk=64, output='tiff')
    assert np.array_equal(tifffile.imread(path, key=0), PICTURE)


@pytest.mark.usefixtures('converter')
def test_making_a_tiff_can_be_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    def check() -> None:
        if list(tmp_path.glob('tiff-*/log')):
            msg = 'The job was cancelled.'
            raise CancelledError(msg)

    plan, load = plan_of(halves(PICTURE), output='tiff')
    with pytest.raises(CancelledError):
        assemble_file(plan, load, tmp_path / 'a.tiff', check=check)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures('converter')
def test_a_converter_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'executable', str(tmp_path.parent / 'python'))
    (tmp_path.parent / 'python').write_text('#!/bin/sh\necho "No room is left." >&2\nexit 1\n')
    (tmp_path.parent / 'python').chmod(0o700)
    plan, load = plan_of(halves(PICTURE), output='tiff')
    with pytest.raises(UnreadableImageError, match=r'^The TIFF could not be made: No room is left\.$'):
        assemble_file(plan, load, tmp_path / 'a.tiff')
    assert not list(tmp_path.iterdir())


def test_without_the_converter_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, '_lacking_for_tiff', lambda: 'pyvips: No module named pyvips')
    with pytest.raises(
        InvalidInputError, match=r'^spec\.output: expected .*girder-zarr\[converter\].*pyvips'
    ):
        StitchSpec.from_json({'output': 'tiff'}).check_installed()
    StitchSpec.from_json({'output': 'db'}).check_installed()
    monkeypatch.setattr(outputs, '_has_lossy_codecs', lambda: False)
    with pytest.raises(InvalidInputError, match=r'^spec\.lossy: expected .*imagecodecs-zarr'):
        StitchSpec.from_json({'lossy': True}).check_installed()
    StitchSpec.from_json({'lossy': True, 'ngffVersion': '0.4'}).check_installed()


def test_floats_are_shown_in_the_window_of_what_is_in_them_unless_one_is_declared(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 300, dtype=np.float32), (200, 1))
    shown = {}
    for name, spec in (('own', {}), ('given', {'channelWindows': [{'start': 0, 'end': 1}]})):
        (tmp_path / name).mkdir()
        path = write(tmp_path / name / 'a.zip', [*halves(ramp, 'a', c=0), *halves(ramp, 'b', c=1)], **spec)
        data = gz.open(str(path)).getThumbnail(encoding='PNG')[0]
        shown[name] = float(np.asarray(Image.open(io.BytesIO(data)).convert('L')).mean())
    assert 125 < shown['own'] < 130
    assert shown['given'] > 250
