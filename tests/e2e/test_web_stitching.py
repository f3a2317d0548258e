"""Stitching in the browser as a person does it: from files on the desktop to an image in Girder."""

import re

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from girder_zarr.stack.demo_job import read_picture
from support.browser import (
    check_accessible,
    drop_files,
    keep_screenshot,
    wait_for_picture,
)
from support.microscopes import PROGRAMS
from support.session_pages import assert_fits, pixels_of_item, send

#: 8 x 8 tiles of 256 pixels, 165 apart, are the 1411 pixels of the picture.
SIDE, STEP, COUNT = 256, 165, 8
#: Uncompressed they need two requests of at most 8 MiB.
IN_FIRST_REQUEST = 42
#: Some have arrived and some have not. What was in the lost request is sent in smaller ones after a while.
SOME = re.compile(f'\\b({"|".join(map(str, range(IN_FIRST_REQUEST, COUNT**2)))}) of {COUNT**2} patches')


def cut(picture, folder, name, suffix='tif'):
    """Cut a picture into overlapping tiles; `name` makes the name of a row and column."""
    folder.mkdir()
    for row in range(COUNT):
        for column in range(COUNT):
            y, x = row * STEP, column * STEP
            tile = picture[y : y + SIDE, x : x + SIDE]
            path = folder / f'{name(row, column)}.{suffix}'
            if suffix == 'tif':
                tifffile.imwrite(path, tile, photometric='rgb')
            else:
                Image.fromarray(tile).save(path)
    return folder


def test_a_folder_of_tiles_becomes_an_image(visit, stack, girder, folder, tmp_path):
    picture = read_picture('retina.jpg')
    # These count columns before rows, which nobody can know.
    tiles = cut(picture, tmp_path / 'retina', lambda row, column: f'scan_{column + 1:02d}_{row + 1:02d}')
    visitor = visit()
    page = visitor.page(f'#folder/{folder}')
    drop = page.locator('.g-zarr-drop')
    drop.wait_for()
    check_accessible(page, '.g-stitch-sessions')
    drop_files(page, drop, [tiles])

    page.wait_for_url(f'**#folder/{folder}/stitch')
    page.get_by_text('64 of 64 names match').wait_for()
    assert page.get_by_label('Pattern of the names').input_value() == 'scan_{row}_{col}.tif'
    assert page.get_by_label('Name', exact=True).input_value() == 'retina'
    page.get_by_label('Pattern of the names').fill('scan_{col}.tif')
    page.get_by_text('found neither').wait_for()
    assert page.get_by_role('button', name='Create the session').is_disabled()
    page.get_by_label('Pattern of the names').fill('scan_{col}_{row}.tif')
    page.get_by_text('64 of 64 names match: scan_01_01.tif: row 1, column 1.').wait_for()
    findings = page.locator('.g-zarr-findings')
    findings.get_by_text('2048 \u00d7 2048 pixels').wait_for()
    page.get_by_label('Overlap along x').fill(str(SIDE - STEP))
    page.get_by_label('Overlap along y').fill(str(SIDE - STEP))
    findings.get_by_text('1411 \u00d7 1411 pixels').wait_for()
    findings.get_by_text('91 \u00d7 91 pixels').wait_for()
    page.locator('.g-zarr-list-row[data-key="scan_02_01.tif"]').click()
    assert page.get_by_label('x of scan_02_01.tif').input_value() == str(STEP)
    check_accessible(page, '.g-zarr-page')
    keep_screenshot(page, 'new-session')

    # The request with the last tile gets lost, and the page is closed in the middle of the upload.
    def lose_the_last(route):
        if b'scan_08_08' in route.request.post_data_buffer:
            route.abort()
        else:
            route.continue_()

    visitor.expected.append('net::ERR_FAILED')
    page.route('**/patches', lose_the_last)
    send(page)
    page.locator('.g-zarr-upload-words', has_text=SOME).wait_for()
    page.locator('.g-stitch-preview-coverage', has_text=SOME).wait_for()
    check_accessible(page, '.g-zarr-page')
    keep_screenshot(page, 'uploading')
    address = page.url
    page.close()

    page = visitor.page(address.removeprefix(stack.url))
    page.get_by_role('heading', name='The upload was interrupted').wait_for()
    arrived = int(SOME.search(page.locator('.g-stitch-preview-patches').inner_text())[1])
    sent = []
    page.on('request', lambda request: sent.append(request) if request.url.endswith('/patches') else None)
    drop_files(page, page.locator('.g-zarr-resume .g-zarr-drop'), [tiles])
    page.locator('.g-stitch-preview-patches', has_text='64 of 64 patches').wait_for()
    # What had arrived is not sent twice.
    again = sum(int(request.all_headers()['content-length']) for request in sent)
    assert again < (COUNT**2 - arrived + 2) * SIDE * SIDE * 3
    viewer = page.locator('.g-stitch-preview-image')
    wait_for_picture(viewer, picture)
    page.get_by_label('Patches', exact=True).check()
    keep_screenshot(page, 'session')
    page.get_by_label('Patches', exact=True).uncheck()

    page.get_by_role('button', name='Finalize retina').click()
    page.locator('.g-zarr-session[data-state="complete"]').wait_for()
    page.locator('.g-stitch-session-result').click()
    page.wait_for_url('**#item/*')
    # Girder's window of the job's progress lies over the picture.
    page.reload()
    page.locator('.geojs-map canvas').first.wait_for()
    wait_for_picture(page.locator('.geojs-map'), picture)
    item = page.url.rpartition('/')[2].partition('?')[0]
    assert np.array_equal(pixels_of_item(girder, item), picture)
    page.goto(f'{stack.url}#stitch_sessions')
    page.locator(f'.g-stitch-session-result[href="#item/{item}"]').wait_for()


def test_positions_come_from_a_table_among_the_files(new_session, tmp_path):
    picture = read_picture('ihc.png')
    tiles = tmp_path / 'tiles'
    tiles.mkdir()
    lines = ['Filename;X;Y']
    for number, (y, x) in enumerate([(0, 0), (0, 256), (256, 0), (256, 256)]):
        Image.fromarray(picture[y : y + 256, x : x + 256]).save(tiles / f'{number}.png')
        lines.append(rf'D:\scan\{number}.png;{x};{y}')
    (tiles / 'positions.csv').write_text('\n'.join([*lines, 'gone.png;0;0']))
    page = new_session
    drop_files(page, page.locator('.g-zarr-drop'), [tiles])
    page.get_by_text(
        "Line 6 of tiles/positions.csv: file: expected the name of a file, found 'gone.png'."
    ).wait_for()
    assert page.get_by_role('button', name='Create the session').is_disabled()
    # Windows writes UTF-16.
    (tmp_path / 'mended.csv').write_text('\n'.join(lines), encoding='utf-16')
    page.locator('.g-zarr-pick-table').set_input_files(tmp_path / 'mended.csv')
    page.get_by_text('4 of 4 images have a position, by table.').wait_for()
    page.locator('.g-zarr-findings').get_by_text('512 \u00d7 512 pixels').wait_for()
    send(page)
    wait_for_picture(page.locator('.g-stitch-preview-image'), picture)


@pytest.mark.parametrize('program', ['harmony', 'fiji'])
def test_the_folder_of_a_program_needs_no_typing(new_session, girder, tmp_path, program):
    source = tmp_path / 'in'
    source.mkdir()
    acquired = PROGRAMS[program](source)
    page = new_session
    drop_files(page, page.locator('.g-zarr-drop'), [source])
    page.get_by_text('images have a position, by ').wait_for()
    send(page)
    page.get_by_role('heading', name='Upload finished').wait_for()
    page.get_by_role('button', name='Finalize in').click()
    page.locator('.g-zarr-session[data-state="complete"]').wait_for()
    session = girder.get(f'stitch_session/{page.url.rpartition("/")[2]}')
    path = tmp_path / 'image.zarr.zip'
    girder.downloadFile(session['fileId'], str(path))
    image = zarr.open_group(zarr.storage.ZipStore(path, mode='r'), mode='r')
    assert np.array_equal(np.squeeze(image['0'][...]), np.squeeze(acquired.picture))
    found = girder.get(f'item/{session["itemId"]}/tiles/internal_metadata')['zarr']['multiscale']
    if acquired.channels:
        assert [channel['label'] for channel in found['channels']] == acquired.channels
    if acquired.place and acquired.pixel:
        expected = [place * acquired.pixel for place in acquired.place]
        assert found['levels'][0]['translation'][-2:] == pytest.approx(expected)


def test_a_plate_goes_in_by_its_names_a_well_at_a_time(new_session, girder, tmp_path):
    shades = iter(range(1, 250))
    expected = {}
    for well in ('B03', 'B04'):
        for field in (1, 2, 3, 4):
            for channel in (1, 3):
                shade = next(shades)
                name = f'AB_{well}_T0001F{field:03d}L01A01Z01C{channel:02d}.tif'
                tifffile.imwrite(tmp_path / name, np.full((32, 48), shade, np.uint16))
                expected[well, field, channel] = shade
    page = new_session
    page.locator('.g-zarr-pick-files').set_input_files(sorted(tmp_path.glob('*.tif')))
    page.get_by_text('8 of 16 names match: AB_B03').wait_for()
    page.get_by_label('Well', exact=True).select_option('B04')
    page.get_by_label('Columns').fill('2')
    page.get_by_label('Order', exact=True).select_option('snake')
    page.get_by_label('First tile').select_option('bottom-left')
    page.locator('.g-zarr-findings').get_by_text('96 \u00d7 64 pixels').wait_for()
    keep_screenshot(page, 'new-session-of-a-plate')
    send(page)
    page.get_by_role('heading', name='Upload finished').wait_for()
    session = page.url.rpartition('/')[2]
    page.get_by_role('button', name='Finalize').click()
    page.locator('.g-zarr-session[data-state="complete"]').wait_for()
    path = tmp_path / 'image.zarr.zip'
    girder.downloadFile(girder.get(f'stitch_session/{session}')['fileId'], str(path))
    image = np.squeeze(zarr.open_group(zarr.storage.ZipStore(path, mode='r'), mode='r')['0'][...])
    # from the left lower corner to the right, and back above it
    for channel in (1, 3):
        grid = [[4, 3], [1, 2]]
        found = [[image[channel - 1, row * 32 + 9, column * 48 + 9] for column in (0, 1)] for row in (0, 1)]
        assert found == [[expected['B04', field, channel] for field in row] for row in grid]


def test_names_that_say_nothing_lie_in_their_order(new_session, tmp_path):
    for name in ('left', 'right'):
        Image.new('L', (64, 64)).save(tmp_path / f'{name}.png')
    page = new_session
    page.locator('.g-zarr-pick-files').set_input_files(sorted(tmp_path.glob('*.png')))
    page.locator('.g-zarr-findings').get_by_text('128 \u00d7 64 pixels').wait_for()
    assert page.get_by_label('A grid').is_checked()
    # A pattern can be said all the same.
    page.get_by_label('The names of the files').check()
    page.get_by_text('or names that give the positions of patches').wait_for()
    page.get_by_label('Names as of').select_option('fiji')
    page.get_by_text('expected names of fiji').wait_for()


def test_patches_are_moved_and_removed_before_they_are_sent(new_session, tmp_path, girder):
    for x in (0, 64, 128):
        Image.new('RGB', (64, 64), (x, 80, 80)).save(tmp_path / f'x{x}_y0.png')
    page = new_session
    page.locator('.g-zarr-pick-files').set_input_files(sorted(tmp_path.glob('*.png')))
    page.locator('.g-zarr-findings').get_by_text('192 \u00d7 64 pixels').wait_for()
    rows = page.locator('.g-zarr-list-row')
    rows.nth(2).click()
    page.get_by_role('button', name='Remove').click()
    page.locator('.g-zarr-findings').get_by_text('128 \u00d7 64 pixels').wait_for()
    rows.nth(1).click()
    page.locator('.g-zarr-map canvas').focus()
    page.keyboard.press('Shift+ArrowRight')
    page.keyboard.press('ArrowDown')
    page.locator('.g-zarr-findings').get_by_text('138 \u00d7 65 pixels').wait_for()
    # It touches no other any more, and there is a gap.
    page.get_by_text('Touch no other patch: x0_y0.png, x64_y0.png.').wait_for()
    page.get_by_label('Flip left and right').check()
    assert [row.inner_text().split() for row in rows.all()] == [
        ['x0_y0.png', '128,', '0', 'px'],
        ['x64_y0.png', '74,', '1', 'px'],
        ['x128_y0.png', 'removed'],
    ]
    page.get_by_label('Flip left and right').uncheck()
    send(page)
    page.locator('.g-stitch-preview-patches', has_text='2 of 2').wait_for()
    session = page.url.rpartition('/')[2]
    stored = girder.get(f'stitch_session/{session}/patch')
    assert [patch['position'] for patch in stored] == [{'x': 0, 'y': 0}, {'x': 74, 'y': 1}]


def test_what_the_server_refuses_stands_where_it_belongs(new_session, tmp_path):
    for name in ('tile_001.png', 'tile_002.png'):
        Image.new('L', (64, 64)).save(tmp_path / name)
    (tmp_path / 'tile_003.png').write_bytes(b'<b>no picture</b> at all, whatever its name says')
    page = new_session
    page.locator('.g-zarr-pick-files').set_input_files(sorted(tmp_path.glob('*.png')))
    page.get_by_text('Their size cannot be read here').wait_for()
    page.get_by_label('Columns').fill('3')
    page.get_by_label('Pixel size along x').fill('wide')
    page.get_by_role('button', name='Create the session').click()
    error = page.locator('.g-zarr-field', has_text='Pixel size along x').locator('.g-zarr-field-error')
    error.wait_for()
    assert error.inner_text().startswith('spec.pixelSize.x: expected ')
    page.get_by_label('Pixel size along x').fill('0.5')
    send(page)
    page.get_by_role('heading', name='Not stored: 1').wait_for()
    assert page.locator('.g-zarr-upload .g-zarr-problems li').inner_text().startswith('tile_003.png')
    page.get_by_text("found bytes that begin with '<b>no pi'.").wait_for()
    assert page.locator('.g-zarr-upload b').count() == 1
    check_accessible(page, '.g-zarr-page')
    keep_screenshot(page, 'upload-refused')


def test_who_is_signed_out_is_asked_to_sign_in(visit, folder, new_session, tmp_path, girder):
    Image.new('L', (64, 64)).save(tmp_path / 'x0_y0.png')
    Image.new('L', (64, 64)).save(tmp_path / 'x64_y0.png')
    page = new_session
    page.locator('.g-zarr-pick-files').set_input_files(sorted(tmp_path.glob('*.png')))
    page.route(
        '**/stitch_session/*/patches',
        lambda route: route.fulfill(status=401, json={'message': 'You must be logged in.', 'type': 'access'}),
    )
    send(page)
    page.get_by_text('Your login has ended; nothing is lost.').wait_for()
    page.unroute('**/stitch_session/*/patches')
    page.get_by_role('button', name='Sign in and go on').click()
    page.locator('#g-login').wait_for()
    page.locator('#g-dialog-container [data-dismiss="modal"]').first.click()
    page.get_by_role('button', name='Resume').click()
    page.locator('.g-stitch-preview-patches', has_text='2 of 2').wait_for()
    # Nobody may see a private folder, and is told how to change that.
    session = page.url.rpartition('/')[2]
    girder.put(
        f'folder/{folder}/access', parameters={'access': '{"users": [], "groups": []}', 'public': 'false'}
    )
    other = visit(token=None).page(f'#stitch_session/{session}')
    other.get_by_role('button', name='Sign in').click()
    other.locator('#g-login').wait_for()


@pytest.mark.parametrize('width', [390, 1280, 1920])
def test_pages_fit_their_window(visit, stack, girder, folder, tmp_path, width):
    name = '<img src=x onerror="document.title=1"> ' + 'long ' * 20
    for x in (0, 64):
        Image.new('L', (64, 64), 128).save(tmp_path / f'x{x}_y0.png')
    page = visit(viewport=(width, 900)).page(f'#folder/{folder}/stitch')
    page.locator('.g-zarr-pick-files').set_input_files(sorted(tmp_path.glob('*.png')))
    page.get_by_label('Name', exact=True).fill(name)
    assert_fits(page)
    send(page)
    page.locator('.g-stitch-preview-patches', has_text='2 of 2').wait_for()
    assert_fits(page)
    pages = [f'#folder/{folder}', '#stitch_sessions', '#plugins/zarr/config']
    for route in pages:
        page.goto(f'{stack.url}{route}')
        page.locator('.g-stitch-session-name, .g-zarr-source').first.wait_for()
        assert_fits(page)
        assert page.locator('img[src="x"]').count() == 0
    if width == 1280:
        page.goto(f'{stack.url}#stitch_sessions')
        page.locator('.g-stitch-session').first.wait_for()
        check_accessible(page, '.g-zarr-page')
    assert page.title() != '1'


def test_ten_thousand_files_are_laid_out(new_session):
    page = new_session
    page.evaluate(
        """async () => {
            const canvas = new OffscreenCanvas(16, 16);
            canvas.getContext('2d');
            const picture = await canvas.convertToBlob();
            const transfer = new DataTransfer();
            for (let at = 0; at < 10000; at += 1) {
                transfer.items.add(new File([picture], `r${Math.floor(at / 100)}_c${at % 100}.png`));
            }
            const input = document.querySelector('.g-zarr-pick-files');
            input.files = transfer.files;
            input.dispatchEvent(new Event('change'));
        }"""
    )
    page.get_by_text('10000 of 10000 names match').wait_for()
    page.locator('.g-zarr-findings').get_by_text('1600 \u00d7 1600 pixels').wait_for()
    assert page.locator('.g-zarr-list-row').count() < 50
    page.locator('.g-zarr-list').focus()
    page.keyboard.press('End')
    page.locator('.g-zarr-list-row[data-key="r99_c99.png"][aria-selected="true"]').wait_for()
