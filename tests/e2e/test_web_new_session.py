"""A new session in the browser: files of pages, digests, and what the browser keeps of files."""

import numpy as np
import pytest
import tifffile

from girder_zarr.stack.demo_job import read_picture
from support.browser import check_accessible, drop_files, keep_screenshot
from support.microscopes import PROGRAMS
from support.page_files import SIDE, imagej_of_one_directory, mmstack, ome, plain
from support.session_pages import (
    assert_fits,
    encoded,
    finalized,
    in_girder,
    pixels_of_item,
    quarters,
    send,
    sent_requests,
    stored_pixels,
)
from support.tile_folders import TILE

PAGED = {'ome.tif': ome, 'imagej.tif': imagej_of_one_directory}


@pytest.mark.parametrize('name', PAGED)
def test_a_file_of_pages_is_sent_once(new_session, girder, folder, tmp_path, name):
    made = PAGED[name]()
    for x in (0, SIDE):
        (tmp_path / f'x{x}_y0.{name}').write_bytes(made.data)
    page = new_session
    drop_files(page, page.locator('.g-zarr-drop'), sorted(tmp_path.glob('*.tif')))
    count = len(made.pages)
    page.get_by_text('2 of 2 names match').wait_for()
    page.get_by_text(f'{2 * count}, in 2 of 2 images').wait_for()
    page.locator('.g-zarr-findings').get_by_text(
        f'{2 * SIDE} \u00d7 {SIDE} pixels, {count} planes'
    ).wait_for()
    rows = page.locator('.g-zarr-list-row')
    assert rows.nth(1).get_attribute('data-key') == f'x0_y0.{name}@1'
    rows.nth(1).click()
    assert page.get_by_label('Plane').input_value() != ''
    if name == 'ome.tif':
        check_accessible(page, '.g-zarr-page')
        keep_screenshot(page, 'new-session-of-pages')
    sent = sent_requests(page, '/patches')
    send(page)
    page.get_by_role('heading', name='Upload finished').wait_for()
    assert page.locator('.g-zarr-upload-words').inner_text().startswith(f'{2 * count} of {2 * count} patches')
    assert sum(int(request.all_headers()['content-length']) for request in sent) < 2 * len(made.data) + 20_000
    session = finalized(page, girder)
    image = stored_pixels(girder, session, tmp_path)
    axes = [axis for axis in 'tcz' if any(axis in index for index in made.index)]
    for pixels, index in zip(made.pages, made.index, strict=True):
        plane = image[tuple(index[axis] for axis in axes)]
        assert np.array_equal(plane[:, :SIDE], pixels)
        assert np.array_equal(plane[:, SIDE:], pixels)


@pytest.mark.parametrize('program', ['ome_tiffs', 'metaxpress', 'mmstack_together'])
def test_files_lie_where_their_tags_say(new_session, girder, folder, tmp_path, program):
    made = PROGRAMS[program](tmp_path)
    paths = sorted(path for path in tmp_path.iterdir() if path.suffix.lower() == '.tif')
    page = new_session
    drop_files(page, page.locator('.g-zarr-drop'), paths)
    name = {'ome_tiffs': 'OME', 'metaxpress': 'MetaXpress'}.get(program, 'Micro-Manager')
    page.get_by_text(f'{len(paths)} of {len(paths)} images have a position, by {name}.').wait_for()
    assert page.get_by_label('The files\u2019 own positions').is_checked()
    height, width = made.picture.shape[-2:]
    page.locator('.g-zarr-findings').get_by_text(f'{width} \u00d7 {height} pixels').wait_for()
    assert page.get_by_text('Cannot be patches').count() == 0
    if program == 'ome_tiffs':
        check_accessible(page, '.g-zarr-page')
        keep_screenshot(page, 'new-session-own-positions')
        page.set_viewport_size({'width': 390, 'height': 1000})
        assert_fits(page)
    send(page)
    page.get_by_role('heading', name='Upload finished').wait_for()
    session = finalized(page, girder)
    assert np.array_equal(stored_pixels(girder, session, tmp_path), made.picture)
    assert session['spec']['pixelSize']['x'] == made.pixel
    assert session['spec']['channelNames'] == made.channels


def test_a_set_of_which_a_companion_file_says_where_it_lies(new_session, girder, tmp_path):
    made = PROGRAMS['ome_companion'](tmp_path)
    page = new_session
    drop_files(page, page.locator('.g-zarr-drop'), sorted(tmp_path.glob('*.tif')))
    missing = page.get_by_role('alert').filter(has_text='6 images are described by scan.companion.ome')
    missing.get_by_text('It is not among the files: choose it, too.').wait_for()
    page.get_by_role('button', name='Create the session and upload').wait_for()
    assert page.get_by_role('button', name='Create the session and upload').is_disabled()
    page.get_by_text('and 1 more').wait_for()
    # Why, and no empty map.
    page.locator('.g-zarr-submit').get_by_text('No patch has a position yet.').wait_for()
    assert page.locator('.g-zarr-map').count() == 0
    check_accessible(page, '.g-zarr-page')
    keep_screenshot(page, 'companion-missing')
    drop_files(page, page.locator('.g-zarr-drop'), [tmp_path / 'scan.companion.ome'])
    page.get_by_text('6 of 6 images have a position, by OME.').wait_for()
    missing.wait_for(state='detached')
    page.get_by_text('12, in 6 of 6 images').wait_for()
    assert page.get_by_text('Cannot be patches').count() == 0
    send(page)
    page.get_by_role('heading', name='Upload finished').wait_for()
    image = stored_pixels(girder, finalized(page, girder), tmp_path)
    assert np.array_equal(image, made.picture)


@pytest.mark.parametrize('place', ['disk', 'girder'])
def test_a_set_of_which_one_file_says_where_it_lies(new_session, girder, folder, tmp_path, place):
    made = PROGRAMS['ome_in_one'](tmp_path)
    others = sorted(tmp_path.glob('*.tif'))
    master = others.pop(2)
    page = new_session
    first = others[:3]
    if place == 'girder':
        in_girder(girder, folder, {master.name: master.read_bytes()})
        page.get_by_role('button', name='Choose in Girder').click()
        page.get_by_role('button', name='Add the whole folder').click()
        # Where files are dropped moves when the first ones are there.
        page.get_by_text('1 image chosen.').wait_for()
    else:
        first = [master, *first]
    drop_files(page, page.locator('.g-zarr-drop'), first)
    page.get_by_text('4 of 4 images have a position, by OME.').wait_for()
    assert page.get_by_label('A file of positions').is_checked()
    missing = page.get_by_text('2 files are described and are not here: tile_4.ome.tif, tile_5.ome.tif.')
    missing.wait_for()
    page.get_by_text('8, in 4 of 4 images').wait_for()
    if place == 'disk':
        check_accessible(page, '.g-zarr-page')
        keep_screenshot(page, 'new-session-described')
    drop_files(page, page.locator('.g-zarr-drop'), others[3:])
    page.get_by_text('6 of 6 images have a position, by OME.').wait_for()
    missing.wait_for(state='detached')
    page.get_by_text('12, in 6 of 6 images').wait_for()
    send(page)
    page.get_by_role('heading', name='Upload finished').wait_for()
    session = finalized(page, girder)
    assert np.array_equal(stored_pixels(girder, session, tmp_path), made.picture)
    assert session['spec']['channelNames'] == made.channels


def test_who_says_otherwise_is_followed(new_session, girder, folder, tmp_path):
    made = PROGRAMS['ome_tiffs'](tmp_path)
    odd = tmp_path / 'tile_9.tif'
    tifffile.imwrite(odd, np.zeros(TILE, np.uint16), photometric='minisblack')
    paths = [*sorted(tmp_path.glob('*.ome.tif')), odd]
    # Some of them in Girder: the server reads their tags there.
    in_girder(girder, folder, {path.name: path.read_bytes() for path in paths[:2]})
    page = new_session
    page.get_by_role('button', name='Choose in Girder').click()
    page.get_by_role('button', name='Add the whole folder').click()
    page.locator('.g-zarr-pick-files').set_input_files(paths[2:])
    page.get_by_text('6 of 7 images have a position, by OME.').wait_for()
    page.get_by_text('tile_9.tif: expected a position in its tags, as others have; found none.').wait_for()
    page.get_by_label('A grid, in the order of the names').check()
    page.get_by_label('Columns').wait_for()
    page.get_by_label('The files\u2019 own positions').check()
    page.get_by_text('6 of 7 images have a position, by OME.').wait_for()
    send(page)
    page.get_by_role('heading', name='Upload finished').wait_for()
    image = stored_pixels(girder, finalized(page, girder), tmp_path)
    assert np.array_equal(image, made.picture)


def test_pages_of_which_a_file_says_nothing(new_session, girder, folder, tmp_path):
    made = plain(3)
    (tmp_path / 'x0_y0.tif').write_bytes(made.data)
    # Another one in Girder: what its pages are is said once for both.
    in_girder(girder, folder, {f'x{SIDE}_y0.tif': made.data})
    page = new_session
    page.get_by_role('button', name='Choose in Girder').click()
    page.get_by_role('button', name='Add the whole folder').click()
    page.locator('.g-zarr-pick-files').set_input_files(tmp_path / 'x0_y0.tif')
    page.get_by_text('Cannot be patches: 2.').wait_for()
    page.get_by_label('The pages of a file are').select_option('z')
    page.get_by_text('6, in 2 of 2 images').wait_for()
    # One page is left out.
    page.locator('.g-zarr-list-row[data-key="x0_y0.tif@2"]').click()
    page.get_by_role('button', name='Remove').click()
    page.get_by_text('5, in 2 of 2 images').wait_for()
    send(page)
    page.get_by_role('heading', name='Upload finished').wait_for()
    image = stored_pixels(girder, finalized(page, girder), tmp_path)
    expected = np.stack([np.hstack([pixels, pixels]) for pixels in made.pages])
    expected[2, :, :SIDE] = 0
    assert np.array_equal(image, expected)


def test_a_page_that_is_refused_is_listed(new_session, tmp_path):
    stack = np.arange(3 * 32 * 32, dtype=np.uint16).reshape(3, 32, 32)
    path = tmp_path / 'x0_y0.tif'
    with tifffile.TiffWriter(path) as tiff:
        for at, plane in enumerate(stack):
            pixels = plane.astype(np.uint8) if at == 1 else plane
            tiff.write(pixels, photometric='minisblack', metadata=None, contiguous=False)
    page = new_session
    page.locator('.g-zarr-pick-files').set_input_files(path)
    page.get_by_label('The pages of a file are').select_option('t')
    page.get_by_text('3, in 1 of 1 images').wait_for()
    send(page)
    page.get_by_role('heading', name='Not stored: 1').wait_for()
    assert page.locator('.g-zarr-upload .g-zarr-problems li').inner_text().startswith('x0_y0.tif, page 1')


#: A folder that the browser gives to the page, as its picker would: one of the page's own file system.
#: What it says of permission is what Chromium says after the tab was closed: it has to ask again.
KEPT_FOLDER = """
    window.showOpenFilePicker = async () => [];
    const own = () => navigator.storage.getDirectory();
    window.showDirectoryPicker = async () => (await own()).getDirectoryHandle('scan');
    window.asked = 0;
    const granted = new Set();
    FileSystemHandle.prototype.queryPermission = async function () {
        return granted.has(this.name) ? 'granted' : 'prompt';
    };
    FileSystemHandle.prototype.requestPermission = async function () {
        window.asked += 1;
        if (window.denies) {
            return 'denied';
        }
        granted.add(this.name);
        return 'granted';
    };
"""


def write_folder(page, files):
    """Write files where the page's picker finds them: {path: bytes}."""
    page.evaluate(
        """async (files) => {
            const own = await navigator.storage.getDirectory();
            const scan = await own.getDirectoryHandle('scan', { create: true });
            for (const [path, bytes] of Object.entries(files)) {
                const [name, ...above] = path.split('/').reverse();
                let folder = scan;
                for (const one of above.reverse()) {
                    folder = await folder.getDirectoryHandle(one, { create: true });
                }
                const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
                await stream.write(new Uint8Array(bytes));
                await stream.close();
            }
        }""",
        {path: list(data) for path, data in files.items()},
    )


def test_who_comes_back_need_not_choose_again(visit, stack, girder, folder):
    picture = read_picture('ihc.png')
    names = quarters(picture)
    visitor = visit()
    visitor.context.add_init_script(KEPT_FOLDER)
    page = visitor.page(f'#folder/{folder}/stitch')
    page.locator('.g-zarr-drop').wait_for()
    write_folder(page, {f'tiles/{name}': encoded(pixels) for name, pixels in names.items()})
    in_girder(girder, folder, {'part_x512_y0.png': encoded(picture[:256, :256])})
    page.get_by_role('button', name='Choose a folder').click()
    page.get_by_text('4 of 4 names match').wait_for()
    page.get_by_role('button', name='Choose in Girder').click()
    page.get_by_role('button', name='Add the whole folder').click()
    page.get_by_text('5 of 5 names match').wait_for()
    page.route('**/patches', lambda route: route.abort())
    page.route('**/files', lambda route: route.abort())
    visitor.expected.append('net::ERR_FAILED')
    send(page)
    page.get_by_role('heading', name='Uploading').wait_for()
    address = page.url
    page.close()

    page = visitor.page(address.removeprefix(stack.url))
    page.get_by_role('heading', name='The upload was interrupted').wait_for()
    check_accessible(page, '.g-zarr-page')
    keep_screenshot(page, 'resume')
    page.evaluate('window.denies = true')
    page.get_by_role('button', name='Go on with the same files').click()
    page.get_by_text('The browser was not allowed to read the files').wait_for()
    assert page.evaluate('window.asked') == 1
    page.evaluate('window.denies = false')
    page.get_by_role('button', name='Go on with the same files').click()
    page.locator('.g-stitch-preview-patches', has_text='5 of 5 patches').wait_for()
    assert page.evaluate('window.asked') == 2
    session = finalized(page, girder)
    whole = np.concatenate([picture, np.zeros((512, 256, 3), np.uint8)], axis=1)
    whole[:256, 512:] = picture[:256, :256]
    assert np.array_equal(pixels_of_item(girder, session['itemId']), whole)


def test_a_dropped_folder_is_kept_where_the_browser_can(visit, stack, folder, tmp_path):
    tiles = tmp_path / 'tiles'
    tiles.mkdir()
    for x in (0, 8):
        (tiles / f'x{x}_y0.png').write_bytes(encoded(np.full((8, 8), x, np.uint8)))
    visitor = visit()
    page = visitor.page(f'#folder/{folder}/stitch')
    drop = page.locator('.g-zarr-drop')
    drop.wait_for()
    drop_files(page, drop, [tiles])
    page.get_by_text('2 of 2 names match').wait_for()
    page.route('**/patches', lambda route: route.abort())
    visitor.expected.append('net::ERR_FAILED')
    send(page)
    page.get_by_role('heading', name='Uploading').wait_for()
    page.wait_for_function(
        """() => new Promise((resolve) => {
            const opening = indexedDB.open('girder-zarr');
            opening.onsuccess = () => {
                const asked = opening.result.transaction('plans').objectStore('plans').getAll();
                asked.onsuccess = () => {
                    opening.result.close();
                    const [{ roots, patches }] = asked.result;
                    const isKept = roots.length === 1 && roots[0].name === 'tiles';
                    resolve(isKept && patches[1].at === 'tiles/x8_y0.png');
                };
            };
        })"""
    )
    address = page.url
    page.close()
    page = visitor.page(address.removeprefix(stack.url))
    page.get_by_role('button', name='Go on with the same files').wait_for()


def test_digests_without_a_safe_page(visit, girder, folder, tmp_path):
    """A page that came over plain http has no crypto.subtle; a worker of ours makes the digests."""
    (tmp_path / 'x0_y0.png').write_bytes(encoded(np.full((64, 64), 100, np.uint8)))
    visitor = visit()
    visitor.context.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined });")
    page = visitor.page(f'#folder/{folder}/stitch')
    page.locator('.g-zarr-pick-files').set_input_files(tmp_path / 'x0_y0.png')
    page.get_by_text('1 of 1 names match').wait_for()
    with page.expect_request('**/patch/x0_y0.png?*') as sent:
        send(page)
    page.get_by_role('heading', name='Upload finished').wait_for()
    (patch,) = girder.get(f'stitch_session/{page.url.rpartition("/")[2]}/patch')
    assert sent.value.headers['content-digest'] == patch['digest']


def test_an_mmstack_of_one_position(new_session, girder, tmp_path):
    made = mmstack()
    (tmp_path / 'x0_y0_MMStack.ome.tif').write_bytes(made.data)
    page = new_session
    page.locator('.g-zarr-pick-files').set_input_files(tmp_path / 'x0_y0_MMStack.ome.tif')
    page.get_by_text('6, in 1 of 1 images').wait_for()
    send(page)
    page.get_by_role('heading', name='Upload finished').wait_for()
    image = stored_pixels(girder, finalized(page, girder), tmp_path)
    for pixels, index in zip(made.pages, made.index, strict=True):
        assert np.array_equal(image[index['c'], index['z']], pixels)
