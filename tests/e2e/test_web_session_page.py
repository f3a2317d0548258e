"""The page of one session: what corrections did, channels, patches, references and the spec."""

import io
import json

import numpy as np
import pytest
import tifffile

from girder_zarr.client import StitchClient
from girder_zarr.stack.demo_job import read_picture
from girder_zarr.stitch.illumination.flat_field import FlatField
from support.browser import check_accessible, keep_screenshot, pixels_of
from support.session_pages import assert_fits
from support.shaded_scenes import CutScene, fundus, vignette
from support.waiting import wait_until

SUMMARY = 'Registration and light'
SIDE, OVERLAP, COUNT = 160, 40, 5
COLORS = {'DAPI': (0, 0, 255), 'GFP': (0, 255, 0)}


@pytest.fixture
def client(girder):
    return StitchClient(girder)


@pytest.fixture
def corrected(client, folder):
    """A complete session of shifted tiles under uneven light; the last shows nothing of its neighbours."""
    scene = CutScene.cut(fundus(), vignette(SIDE), OVERLAP, COUNT)
    spec = {'registration': {}, 'illumination': {}, 'channelNames': ['DAPI']}
    session = client.create(folder, 'shifted and shaded', spec)['_id']
    noise = np.random.default_rng(0).integers(0, 200, (SIDE, SIDE)).astype(np.uint16)
    scene.tiles[-1] = noise
    for at, (tile, (y, x)) in enumerate(zip(scene.tiles, scene.said, strict=True)):
        client.put_patch(session, f'p{at:03}', tile, int(x), int(y))
    client.finalize(session)
    client.wait(session)
    return session


@pytest.fixture
def four(client, folder):
    """An open session of the four quarters of a picture."""
    picture = read_picture('ihc.png')
    session = client.create(
        folder, 'four', {'expected': 4, 'registration': {'maxShift': 8, 'subpixel': True}}
    )
    for at in range(4):
        y, x = 256 * (at // 2), 256 * (at % 2)
        client.put_patch(session['_id'], f'p{at}', picture[y : y + 256, x : x + 256], x, y)
    return session['_id']


def open_session(page, stack, session):
    page.goto(f'{stack.url}#stitch_session/{session}')
    page.locator('.g-zarr-session').wait_for()
    return page


def agree(page):
    page.locator('#g-confirm-button').click()
    page.locator('.modal-backdrop').wait_for(state='detached')


def test_what_registration_and_light_did_is_shown(page, stack, girder, corrected):
    asked = []
    page.on('request', lambda request: asked.append(request.url))
    open_session(page, stack, corrected)
    page.locator('.g-stitch-preview-image[data-shown]').wait_for()
    assert not [url for url in asked if url.endswith(('/report', '/illumination'))]
    page.get_by_text(SUMMARY).click()
    panel = page.locator('.g-zarr-corrections')
    panel.get_by_role('heading', name='Registration').wait_for()
    report = girder.get(f'stitch_session/{corrected}/report')
    found = report['registration']
    panel.get_by_text(f'{found["pairsUsed"]} of {found["pairs"]}', exact=True).wait_for()
    moves = {patch['key']: patch['measured'] for patch in report['patches'] if 'measured' in patch}
    furthest = sorted(moves, key=lambda key: -np.hypot(*moves[key].values()))
    rows = panel.locator('.g-zarr-moved tbody tr')
    assert [row.split('\t')[0] for row in rows.all_inner_texts()] == furthest[:10]
    refused = [pair for pair in report['pairs'] if pair['residual'] is None]
    assert refused
    assert all('p024' in pair['keys'] for pair in refused)
    table = panel.locator('.g-zarr-pairs').last
    assert table.locator('caption').inner_text() == f'Pairs that were refused: {len(refused)}'
    assert table.locator('tbody tr').count() == len(refused)
    shifted = sum(bool(move['x'] or move['y']) for move in moves.values())
    counts = f'{shifted} were shifted, {len(refused)} of {found["pairs"]} pairs were refused.'
    plot = panel.get_by_role('img', name=f'Map of 25 positions: {counts}')
    # three strokes make an arrow
    assert plot.locator('.g-zarr-shift-arrow').get_attribute('d').count('M') == 3 * shifted
    assert plot.locator('.g-zarr-shift-refused').get_attribute('d').count('M') == len(refused)
    # The worst tiles are where the residuals say.
    used = sorted(np.hypot(*pair['residual'].values()) for pair in report['pairs'] if pair['residual'])
    first = panel.locator('.g-zarr-pairs').first.locator('tbody tr').first.inner_text().split('\t')
    assert float(first[2].removesuffix(' px')) == pytest.approx(used[-1], abs=0.006)

    light = panel.locator('.g-zarr-light-channel')
    assert light.get_by_role('heading', name='DAPI').count() == 1
    field = FlatField.from_json(
        {name: value for name, value in report['illumination'][0].items() if name != 'path'}
    ).image((200, 200))[:, :, 0]
    words = f'{round(100 * float(field.min()))} % to {round(100 * float(field.max()))} % of the mean'
    canvas = light.get_by_role('img', name=f'Light of DAPI: {words}')
    shown = canvas.evaluate(
        'one => [...one.getContext("2d").getImageData(0, 0, 200, 200).data].filter((_, at) => at % 4 === 0)'
    )
    expected = 255 * (field - field.min()) / (field.max() - field.min())
    assert np.abs(np.array(shown).reshape(200, 200) - expected).max() < 1
    assert light.get_by_text('estimated, and taken out').count() == 1
    check_accessible(page, '.g-zarr-session')
    panel.scroll_into_view_if_needed()
    keep_screenshot(page, 'corrections')
    with page.expect_download() as download:
        panel.get_by_role('link', name='Download as JSON').click()
    assert download.value.suggested_filename == 'shifted_and_shaded-report.json'
    assert json.loads(download.value.path().read_text()) == report
    assert [url for url in asked if url.endswith('/illumination')] == []


def test_the_light_of_an_open_session_is_kept(page, stack, girder, client, folder):
    session = client.create(folder, 'shaded')['_id']
    scene = CutScene.cut(fundus(), vignette(SIDE), OVERLAP, 3)
    for at, (tile, (y, x)) in enumerate(zip(scene.tiles, scene.said, strict=True)):
        client.put_patch(session, f'p{at:03}', tile, int(x), int(y))
    open_session(page, stack, session)
    page.get_by_text(SUMMARY).click()
    page.get_by_text('The light is not corrected: the spec does not ask for it.').wait_for()
    page.get_by_text('Positions are taken as they are').wait_for()
    estimated = girder.get(f'stitch_session/{session}/illumination')
    page.get_by_text(f'{estimated[0]["tiles"]} patches, {estimated[0]["pairs"]} pairs').wait_for()
    page.get_by_role('button', name='Keep as flat field of Channel 0').click()
    page.get_by_text('is kept as the flat field light_c0.tiff.').wait_for()
    reference = page.locator('.g-zarr-reference[data-key="light_c0.tiff"]')
    reference.wait_for()
    assert reference.get_by_role('combobox').input_value() == 'flat 0'
    page.get_by_text('given: light_c0.tiff').wait_for()
    assert girder.get(f'stitch_session/{session}')['spec']['flatField'] == ['light_c0.tiff']
    page.get_by_role('button', name='Finalize shaded').click()
    page.locator('.g-zarr-session[data-state="complete"]').wait_for()
    # The image is that of the estimated light: brighter in the corners than what was sent.
    item = girder.get(f'stitch_session/{session}')['itemId']
    parameters = {'left': 0, 'top': 0, 'right': 8, 'bottom': 8, 'encoding': 'TIFF'}
    region = girder.get(f'item/{item}/tiles/region', parameters=parameters, jsonResp=False).content
    field = FlatField.from_json(estimated[0]).image()[:8, :8, 0]
    expected = scene.tiles[0][:8, :8] / field
    assert np.abs(tifffile.imread(io.BytesIO(region)).squeeze() - expected).max() <= 1


def test_patches_are_found_replaced_deleted_and_put_back(page, stack, girder, four, tmp_path):
    path = f'stitch_session/{four}/patch'
    before = girder.get(path)
    open_session(page, stack, four)
    page.get_by_label('Patches', exact=True).check()
    patches = page.get_by_role('listbox', name='4 patches')
    patches.focus()
    page.keyboard.press('ArrowDown')
    card = page.get_by_role('region', name='Patch p1')
    card.get_by_text('x 256, y 0').wait_for()
    check_accessible(page, '.g-zarr-session')
    card.scroll_into_view_if_needed()
    keep_screenshot(page, 'patches')
    page.get_by_label('Find a patch by its key').fill('P3')
    page.get_by_role('listbox', name='1 patches').wait_for()
    page.get_by_label('Find a patch by its key').fill('')

    # Another file in its place, and back.
    other = tmp_path / 'other.npy'
    np.save(other, np.full((256, 256, 3), 7, np.uint8))
    page.locator('.g-zarr-pick-patch').set_input_files(other)
    page.get_by_text('Replace the patch p1 by the file other.npy').wait_for()
    agree(page)
    page.get_by_text('The patch p1 is replaced by other.npy.').wait_for()
    assert girder.get(f'{path}/p1')['digest'] != before[1]['digest']
    assert page.evaluate('document.activeElement.textContent') == 'Replace'
    page.locator('.g-zarr-toast').get_by_role('button', name='Undo').click()
    page.get_by_text('It is as it was before.').wait_for()
    assert girder.get(f'{path}/p1') == before[1]

    # Not deleted without a yes; the focus stays.
    card.get_by_role('button', name='Delete').click()
    page.locator('#g-dialog-container [data-dismiss="modal"]').first.click()
    page.locator('.modal-backdrop').wait_for(state='detached')
    assert page.evaluate('document.activeElement.textContent') == 'Delete'
    card.get_by_role('button', name='Delete').click()
    agree(page)
    page.get_by_text('The patch p1 is deleted.').wait_for()
    page.locator('.g-stitch-preview-coverage', has_text='3 of 4 patches, 1 hole').wait_for()
    assert page.evaluate('document.activeElement.getAttribute("role")') == 'listbox'
    page.locator('.g-zarr-toast').get_by_role('button', name='Undo').click()
    page.locator('.g-stitch-preview-coverage', has_text='100 % covered').wait_for()
    assert girder.get(path) == before

    # One is clicked in the image.
    page.locator('.g-stitch-preview-image[data-shown]').wait_for()
    viewer = page.locator('.g-stitch-preview-image')
    box = viewer.bounding_box()
    viewer.click(position={'x': box['width'] / 2 + 40, 'y': box['height'] / 2 + 40})
    page.get_by_role('region', name='Patch p3').wait_for()


def test_channels_are_shown_by_name_and_colour(page, stack, client, folder):
    spec = {
        'channelNames': list(COLORS),
        'channelColors': ['{:02X}{:02X}{:02X}'.format(*color) for color in COLORS.values()],
        'channelWindows': [{'start': 0, 'end': 200}] * 2,
    }
    session = client.create(folder, 'two channels', spec)['_id']
    for channel, shade in enumerate((100, 200)):
        client.put_patch(session, f'c{channel}', np.full((64, 64), shade, np.uint8), 0, 0, c=channel)
    open_session(page, stack, session)
    image = page.locator('.g-stitch-preview-image')

    def middle():
        pixels = pixels_of(image)
        return pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].astype(int)

    def shows(*color):
        wait_until(lambda: np.abs(middle() - color).max() <= 4, seconds=30, what=f'{color}')

    # half of blue and all of green
    shows(0, 255, 128)
    page.get_by_role('checkbox', name='GFP').uncheck()
    shows(0, 0, 128)
    page.get_by_label('Patches', exact=True).check()
    page.get_by_role('listbox', name='1 patches').wait_for()
    page.get_by_role('checkbox', name='DAPI').uncheck()
    page.get_by_role('listbox', name='0 patches').wait_for()
    # Without a channel it is black, and not hatched as if no patch were there.
    shows(0, 0, 0)
    check_accessible(page, '.g-zarr-session')
    keep_screenshot(page, 'session-channels')


def test_a_reference_becomes_a_flat_field_and_goes(page, stack, girder, four, tmp_path):
    flat = tmp_path / 'flat 1.tif'
    tifffile.imwrite(flat, np.ones((256, 256), np.float32))
    open_session(page, stack, four)
    page.locator('.g-zarr-pick-reference').set_input_files(flat)
    reference = page.locator('.g-zarr-reference[data-key="flat_1.tif"]')
    reference.get_by_text('256 \u00d7 256, float32').wait_for()
    reference.get_by_role('combobox').select_option('flat field')
    page.locator('.g-zarr-facts', has_text='flat fields given').wait_for()
    assert girder.get(f'stitch_session/{four}')['spec']['flatField'] == ['flat_1.tif']
    check_accessible(page, '.g-zarr-session')
    reference.scroll_into_view_if_needed()
    keep_screenshot(page, 'references')
    reference.get_by_role('button', name='Delete flat_1.tif').click()
    page.get_by_text('It is used as flat field').wait_for()
    agree(page)
    reference.wait_for(state='detached')
    assert girder.get(f'stitch_session/{four}')['spec']['flatField'] is None
    assert girder.get(f'stitch_session/{four}/reference') == []
    assert page.evaluate('document.activeElement.textContent') == 'Add an image'


def test_another_image_is_made_with_another_spec(page, stack, girder, client, four):
    client.finalize(four)
    client.wait(four)
    first = girder.get(f'stitch_session/{four}')
    open_session(page, stack, four)
    page.get_by_role('button', name='Change and make another image').click()
    page.get_by_label('Where patches overlap').select_option('feather')
    page.get_by_role('button', name='Save').click()
    page.get_by_text('Open the session again?').wait_for()
    agree(page)
    page.locator('.g-zarr-session[data-state="open"]').wait_for()
    spec = girder.get(f'stitch_session/{four}')['spec']
    # What the form has no field for is as it was.
    assert spec == {**first['spec'], 'overlap': 'feather'}
    assert spec['registration']['subpixel'] is True
    page.get_by_role('button', name='Finalize four').click()
    page.locator('.g-zarr-session[data-state="complete"]').wait_for()
    toast = page.locator('.g-zarr-toast', has_text='The image of four is made.')
    toast.wait_for()
    # It lies beside the buttons.
    buttons = page.locator('.g-zarr-session-head').bounding_box()
    assert toast.bounding_box()['y'] > buttons['y'] + buttons['height']
    toast.get_by_role('link', name='Open the image').click()
    second = girder.get(f'stitch_session/{four}')['itemId']
    assert second != first['itemId']
    page.wait_for_url(f'**#item/{second}*')
    page.locator('.g-zarr-made-by').get_by_role('link', name='four').click()
    page.wait_for_url(f'**#stitch_session/{four}')
    # The first one has not lost its way back, and the session lists both.
    made = page.get_by_role('region', name='Images made of this session')
    made.get_by_role('link').nth(1).wait_for()
    links = [link.get_attribute('href') for link in made.get_by_role('link').all()]
    assert links == [f'#item/{second}', f'#item/{first["itemId"]}']
    check_accessible(page, '.g-zarr-session')
    page.get_by_text('Log of the job').click()
    log = page.locator('.g-zarr-log pre', has_text='Complete')
    log.wait_for()
    made.evaluate('one => one.scrollIntoView()')
    keep_screenshot(page, 'made-images')
    made.get_by_role('link').nth(1).click()
    page.wait_for_url(f'**#item/{first["itemId"]}*')
    page.locator('.g-zarr-made-by').get_by_role('link', name='four').click()
    page.wait_for_url(f'**#stitch_session/{four}')
    wait_until(lambda: page.title().startswith('four \u2013 '), seconds=10, what='the title')


def test_who_is_signed_out_on_a_session_is_asked_to_sign_in_once(page, stack, four):
    open_session(page, stack, four)
    page.locator('.g-stitch-preview-image[data-shown]').wait_for()
    asked = []

    def refuse(route):
        asked.append(route.request.url)
        route.fulfill(status=401, json={'message': 'You must be logged in.', 'type': 'access'})

    page.route('**/api/v1/stitch_session/**', refuse)
    page.get_by_role('button', name='Finalize four').click()
    page.get_by_text('You are not signed in, or your login has ended.').first.wait_for()
    page.evaluate('document.dispatchEvent(new Event("visibilitychange"))')

    def questions():
        # what the browser asks meanwhile is answered while it evaluates something
        page.evaluate('1')
        return len(asked)

    wait_until(lambda: questions() >= 2, seconds=10, what='the question of the page')
    # The page would ask again after two seconds.
    before = len(asked)
    with pytest.raises(AssertionError):
        wait_until(lambda: questions() > before + 1, seconds=5, what='another question')
    check_accessible(page, '.g-zarr-session')
    page.get_by_role('button', name='Sign in').first.click()
    page.locator('#g-login').wait_for()


@pytest.mark.parametrize('width', [390, 1920])
def test_the_page_fits_its_window(visit, stack, corrected, width):
    page = visit(viewport=(width, 900)).page(f'#stitch_session/{corrected}')
    page.get_by_label('Patches', exact=True).check()
    page.locator('.g-zarr-list-row').first.click()
    page.get_by_text(SUMMARY).click()
    page.locator('.g-zarr-light-channel').wait_for()
    page.get_by_text('Open in other programs, and share').click()
    page.get_by_role('button', name='Make a link').click()
    page.locator('.g-zarr-share-made').wait_for()
    assert_fits(page)
    if width == 390:
        check_accessible(page, '.g-zarr-session')
