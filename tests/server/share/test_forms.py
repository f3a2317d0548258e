"""An image of another format in every form, read by two readers, is what large_image gives of the item."""

import io
import sys

import imagecodecs
import large_image
import numpy as np
import pytest
import tensorstore
import tifffile
import yaozarrs
import zarr
from girder.models.file import File
from PIL import Image
from zarr.storage import FsspecStore

import girder_zarr.image as gz
from girder_zarr.image.ngff.schemas import check_schemas
from girder_zarr.image.virtual.served_form import ServedForm, split_form
from support.server import random_pixels

pytestmark = pytest.mark.plugin('zarr')
NEW_PYTHON = pytest.mark.skipif(
    sys.version_info < (3, 12), reason='imagecodecs-zarr has no release for Python 3.11'
)


def smooth(height, width):
    """A picture that JPEG changes little."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin((y + x) / 90), np.sin(y / 60), np.cos(x / 70)]
    return (150 + 90 * np.stack(waves, -1)).astype(np.uint8)


def split_tables(data):
    """The tables of a JPEG file, and the rest of it, as scanners store them in a TIFF."""
    at, tables, rest = 2, b'', b''
    while data[at + 1] != 0xDA:
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] in (0xDB, 0xC4):
            tables += data[at:stop]
        elif data[at + 1] in (0xC0, 0xC1):
            rest += data[at:stop]
        at = stop
    return b'\xff\xd8' + tables + b'\xff\xd9', b'\xff\xd8' + rest + data[at:]


def jpeg_tiles(pixels, **options):
    height, width = pixels.shape[:2]
    whole = np.pad(pixels, [(0, -height % 256), (0, -width % 256), (0, 0)], mode='edge')
    for y in range(0, height, 256):
        for x in range(0, width, 256):
            tile = np.ascontiguousarray(whole[y : y + 256, x : x + 256])
            yield split_tables(imagecodecs.jpeg8_encode(tile, level=90, **options))


def slide(pixels, label=None, *, photometric='ycbcr', **options):
    """A tiled TIFF of JPEG tiles with a lower level, and a label, as slides have them."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for level, shown in enumerate((pixels, pixels[::2, ::2])):
            tables, tiles = zip(*jpeg_tiles(shown, **options), strict=True)
            assert len(set(tables)) == 1
            writer.write(
                iter(tiles), shape=shown.shape, dtype='uint8', tile=(256, 256), compression='jpeg',
                photometric=photometric, jpegtables=tables[0], subfiletype=int(level > 0),
            )  # fmt: skip
        if label is not None:
            writer.write(label, photometric='rgb', description='label image', rowsperstrip=label.shape[0])
    return stream.getvalue()


def source_of(item):
    """large_image's own reader of the item's file, which corrects no colours."""
    file = File().load(item['largeImage']['fileId'], force=True)
    path = File().getLocalFilePath(file)
    return large_image.open(path, style={'icc': False})


def group_at(web, item, owner, form):
    address = f'{web.address}/zarr/item/{item["_id"]}/{form}'.rstrip('/')
    store = FsspecStore.from_url(address, read_only=True, storage_options={'headers': owner})
    return zarr.open_group(store, mode='r')


def array_at(web, item, owner, form, level):
    ((name, token),) = owner.items()
    path = f'/zarr/item/{item["_id"]}/{form}/{level}/'.replace('//', '/')
    kvstore = {'driver': 'http', 'base_url': web.address, 'path': path, 'headers': [f'{name}: {token}']}
    driver = 'zarr' if 'v2' in form else 'zarr3'
    return tensorstore.open({'driver': driver, 'kvstore': kvstore}, read=True).result()


@pytest.mark.parametrize('form', ['', '@v2', '@blosc', '@v2/@blosc', '@zstd/@v3', '@blosc/@v2'])
@pytest.mark.parametrize('kind', ['jpeg', 'gray 16 bits', 'png', 'alpha'])
def test_every_form_is_the_source(web, owner, put, form, kind):
    if kind == 'jpeg':
        item = put('slide.tiff', slide(smooth(700, 900)))
    elif kind == 'gray 16 bits':
        stream = io.BytesIO()
        tifffile.imwrite(
            stream, random_pixels(300, 500, 1, 'uint16') * 99, tile=(256, 256), photometric='minisblack'
        )
        item = put('gray.tiff', stream.getvalue())
    else:
        stream = io.BytesIO()
        pixels = random_pixels(90, 130, 4 if kind == 'alpha' else 3)
        Image.fromarray(pixels).save(stream, 'PNG')
        item = put('picture.png', stream.getvalue())
    group, source = group_at(web, item, owner, form), source_of(item)
    for level in range(source.levels):
        expected = level_of(source, level)
        found = group[str(level)][...]
        assert found.dtype == expected.dtype
        assert np.array_equal(np.moveaxis(found, 0, -1) if found.ndim == 3 else found[..., None], expected)
        other = array_at(web, item, owner, form, level)
        assert np.array_equal(other.read().result(), found)
    assert sorted(group.array_keys()) == [str(level) for level in range(source.levels)]
    check_metadata(web, item, owner, form)


def level_of(source, level):
    """The pixels ``(y, x, band)`` of a level: large_image's whole region, or below it its tiles."""
    if level == 0:
        return np.atleast_3d(source.getRegion(format='numpy')[0])
    height, width = -(-source.sizeY // 2**level), -(-source.sizeX // 2**level)
    rows = [
        np.concatenate(
            [
                np.atleast_3d(source.getTile(column, row, source.levels - 1 - level, numpyAllowed='always'))
                for column in range(-(-width // source.tileWidth))
            ],
            axis=1,
        )
        for row in range(-(-height // source.tileHeight))
    ]
    return np.concatenate(rows)[:height, :width]


def check_metadata(web, item, owner, form):
    base = f'/zarr/item/{item["_id"]}/{form}'.rstrip('/')
    if 'v2' in form:
        assert web.ask(f'{base}/zarr.json', headers=owner).status == 404
        attributes = web.ask(f'{base}/.zattrs', headers=owner).json
        assert attributes['multiscales'][0]['version'] == '0.4'
        assert check_schemas(attributes, '0.4')[0] == []
        consolidated = web.ask(f'{base}/.zmetadata', headers=owner).json['metadata']
        assert consolidated['.zattrs'] == attributes
        assert '0/.zarray' in consolidated
    else:
        assert web.ask(f'{base}/.zattrs', headers=owner).status == 404
        yaozarrs.validate_ome_json(web.ask(f'{base}/zarr.json', headers=owner).body.decode())


@NEW_PYTHON
@pytest.mark.parametrize('form', ['@jpeg', '@v3/@jpeg', '@v2/@jpeg'])
def test_jpeg_tiles(web, owner, put, form):
    """Stored tiles are handed on in zarr v3; in v2, whose pictures would lie on their side, they are made."""
    pixels = smooth(700, 900)
    body = slide(pixels)
    item = put('slide.tiff', body)
    group, source = group_at(web, item, owner, form), source_of(item)
    for level in range(source.levels):
        found = np.moveaxis(group[str(level)][...], 0, -1)
        expected = level_of(source, level)
        difference = np.abs(found.astype(int) - expected)
        assert difference.max() <= 12
        assert difference.mean() < (0.5 if 'v2' not in form and level < 2 else 2)
    with tifffile.TiffFile(io.BytesIO(body)) as file:
        for level, page in enumerate(file.pages):
            offset, size = page.dataoffsets[1], page.databytecounts[1]
            chunk = web.ask(
                f'/zarr/item/{item["_id"]}/{form}/{level}/{"" if "v2" in form else "c/"}0/0/1', headers=owner
            )
            stored = body[offset : offset + size]
            scan = stored[stored.index(b'\xff\xda') :]
            assert chunk.status == 200
            assert (scan in chunk.body) == ('v2' not in form), 'the very bytes of the file'


def test_a_codec_that_cannot_hold_the_pixels_is_refused(web, owner, put):
    for name, pixels in (
        ('deep.tiff', random_pixels(300, 500, 1, 'uint16')),
        ('alpha.tiff', random_pixels(300, 500, 4)),
    ):
        stream = io.BytesIO()
        more = {'photometric': 'rgb', 'extrasamples': ['unassalpha']} if pixels.shape[-1] == 4 else {}
        tifffile.imwrite(stream, pixels, tile=(256, 256), **more)
        item = put(name, stream.getvalue())
        for key in ('zarr.json', '0/zarr.json', '0/c/0/0', ''):
            refused = web.ask(f'/zarr/item/{item["_id"]}/@jpeg/{key}', headers=owner)
            assert refused.status == 400, key
            assert b'jpeg' in refused.body
        assert web.ask(f'/zarr/item/{item["_id"]}/@zstd/zarr.json', headers=owner).status == 200


def test_colours_that_a_tile_alone_does_not_tell_are_made(web, owner, put):
    """The tag of the file says RGB, which the tiles do not: handed on, they would be of other colours."""
    pixels = smooth(512, 512)
    item = put('rgb.tiff', slide(pixels, photometric='rgb', colorspace='rgb', outcolorspace='rgb'))
    expected = level_of(source_of(item), 0)
    found = np.moveaxis(group_at(web, item, owner, '')['0'][...], 0, -1)
    assert np.array_equal(found, expected)
    if sys.version_info >= (3, 12):
        lossy = np.moveaxis(group_at(web, item, owner, '@jpeg')['0'][...], 0, -1)
        assert np.abs(lossy.astype(int) - expected).max() <= 24


@pytest.mark.parametrize('form', ['', '@v2', pytest.param('@jpeg', marks=NEW_PYTHON)])
def test_associated_images(web, owner, put, form, tmp_path):
    label = random_pixels(60, 40)
    item = put('slide.tiff', slide(smooth(700, 900), label))
    assert source_of(item).getAssociatedImagesList() == ['label']
    group = group_at(web, item, owner, form)
    content = group.attrs.get('ome', group.attrs)
    assert content['girder_zarr']['associated'] == {'label': 'associated/label'}
    found = group['associated/label/0'][...]
    assert np.array_equal(np.moveaxis(found, 0, -1), label)
    base = f'{web.address}/zarr/item/{item["_id"]}/{form}'.rstrip('/')
    page = web.ask(f'{base.removeprefix(web.address)}/associated/', headers=owner)
    assert b'label/' in page.body
    assert web.ask(f'/zarr/item/{item["_id"]}/associated/other/zarr.json', headers=owner).status == 404
    # Copied key by key, it is an image of ours with the same label.
    store = FsspecStore.from_url(base, read_only=True, storage_options={'headers': owner})
    copy = tmp_path / 'copy.zarr'
    zarr_copy(group, copy)
    del store
    opened = gz.open(copy)
    assert opened.getAssociatedImagesList() == ['label']
    assert opened.getMetadata()['bandCount'] == 3


def zarr_copy(group, path):
    """Write the keys of a hierarchy to a directory, metadata and the first level."""
    made = zarr.open_group(
        path, mode='w', zarr_format=group.metadata.zarr_format, attributes=dict(group.attrs)
    )
    for name in ('0', '1', '2'):
        made.create_array(name, data=group[name][...])
    below = group['associated/label']
    inner = made.create_group('associated/label', attributes=dict(below.attrs))
    inner.create_array('0', data=below['0'][...])


def test_words():
    assert split_form('@v2/@jpeg/0/0') == (ServedForm('0.4', 'jpeg'), '0/0')
    assert split_form('@jpeg/@v2/0') == (ServedForm('0.4', 'jpeg'), '0')
    assert split_form('@zstd') == (ServedForm(None, 'zstd'), '')
    for key in ('zarr.json', '@other/x', '@v2x/0', '0/@v2/1', '@'):
        assert split_form(key) == (None, key)
    assert split_form('@v2/@v3/0') == (ServedForm('0.4'), '@v3/0')


def test_absurd_keys_take_no_work(web, owner, put, monkeypatch):
    from girder_zarr.image.virtual import tile_series

    item = put('slide.tiff', slide(smooth(300, 300)))
    base = f'/zarr/item/{item["_id"]}'
    assert web.ask(f'{base}/zarr.json', headers=owner).status == 200
    monkeypatch.setattr(tile_series.TileLevel, 'read', None)
    for key in (
        '0/c/9/9/9', '0/c/0/0/2', '0/c/-1/0/0', '0/c/0/0', '0/c/0/0/0/0', '0/c/00/0/0', f'0/c/{"9" * 12}/0/0',
        f'0/c/{"9" * 40}/0/0', '0/c', '0/c/', '99/zarr.json', '99/c/0/0/0', '0/0/0/0', '@v2/0/c/0/0/0',
        '@v2/0/0/0/9', '@v2/0/0.0.0', '@v2/@v2/0/0/0/0', '@jpg/zarr.json', '@v2', '0/@v2/c/0/0/0', '1e9/c/0',
        '0/c/0/0/0.0', '0/c/0/0/0x0', '0/c/%D9%A1/0/0', 'associated/x/0/c/0',
    ):  # fmt: skip
        assert web.ask(f'{base}/{key}', headers=owner).status == 404, key
