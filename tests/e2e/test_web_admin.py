"""The administrator's page in the browser: the order of sources, items that change theirs, settings, use."""

import io

import numpy as np
import pytest
import tifffile

from girder_zarr.client import StitchClient
from support.browser import Visitor, check_accessible, drop_files, keep_screenshot
from support.girder_places import choose_folder
from support.stack import running_stack
from support.waiting import wait_until

ROUTE = '#plugins/zarr/config'
KEY = 'zarr.source_priorities'
TIFF = 'image/tiff'


@pytest.fixture
def config(page, stack, girder):
    """The page; what the test stores of the order is gone afterwards."""
    page.goto(f'{stack.url}{ROUTE}')
    page.locator('.g-zarr-source').first.wait_for()
    yield page
    girder.delete('system/setting', parameters={'key': KEY})


def tiled_tiff(seed=0):
    """A TIFF that tiff, tifffile and pil can open, and its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 255, (300, 400), np.uint8)
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, tile=(256, 256), photometric='minisblack')
    return stream.getvalue(), pixels


def upload(girder, folder, name, data, mime_type=TIFF):
    item = girder.createItem(folder, name)
    girder.uploadFile(item['_id'], io.BytesIO(data), name, len(data), mimeType=mime_type)
    return wait_until(lambda: source_of(girder, item['_id']) and item['_id'], what='the image of the item')


def source_of(girder, item):
    return girder.get(f'item/{item}').get('largeImage', {}).get('sourceName')


def order_of(page):
    return page.locator('.g-zarr-source:not(.g-zarr-source-off)').evaluate_all(
        'rows => rows.map((row) => row.dataset.source)'
    )


def wait_for_first(page, name):
    page.locator(f'.g-zarr-source:first-child[data-source="{name}"]').wait_for()


def pixels_by(girder, item):
    """The pixels of an item as whichever source opens it gives them."""
    answer = girder.get(f'item/{item}/tiles/region', parameters={'encoding': 'TIFF'}, jsonResp=False)
    return tifffile.imread(io.BytesIO(answer.content))


def test_the_order_is_dragged_and_moved_by_keys_and_felt_at_once(config, girder, folder):
    page = config
    data, _ = tiled_tiff()
    page.locator('.g-zarr-extension').fill('tif')
    before = order_of(page)
    first, second = before[:2]
    page.get_by_role('button', name=f'Ask {first} later', exact=True).press('ArrowDown')
    wait_for_first(page, second)
    # The button that was pressed has moved, and the focus with it.
    assert page.evaluate('document.activeElement.getAttribute("aria-label")') == f'Ask {first} later'
    assert source_of(girder, upload(girder, folder, 'keys.tif', data, 'application/octet-stream')) == second
    page.keyboard.press('ArrowUp')
    wait_for_first(page, first)
    assert source_of(girder, upload(girder, folder, 'back.tif', data, 'application/octet-stream')) == first
    page.locator(f'.g-zarr-source[data-source="{second}"]').drag_to(page.locator('.g-zarr-source').first)
    wait_for_first(page, second)
    page.get_by_role('checkbox', name=f'Ask {first} at all', exact=True).click()
    page.locator(f'.g-zarr-source-off[data-source="{first}"]').wait_for()
    assert girder.get('system/setting', parameters={'key': KEY})[first] == 'off'
    page.get_by_role('button', name='Reset everything').click()
    page.locator('#g-confirm-button').click()
    page.locator(f'.g-zarr-source:not(.g-zarr-source-off)[data-source="{first}"]').wait_for()
    assert girder.get('system/setting', parameters={'key': KEY}) == {}
    assert order_of(page) == before


def test_the_order_by_mime_type_changes_what_opens(config, girder, folder):
    page = config
    data, pixels = tiled_tiff(1)
    assert source_of(girder, upload(girder, folder, 'before', data)) == 'tiff'
    page.get_by_role('radio', name='MIME type').check()
    page.locator('.g-zarr-mime-type').fill(TIFF)
    wait_for_first(page, 'tiff')
    page.get_by_role('button', name='Ask tiff later', exact=True).press('ArrowDown')
    wait_for_first(page, 'tifffile')
    assert TIFF in next(iter(girder.get('system/setting', parameters={'key': KEY}).values()))
    item = upload(girder, folder, 'after', data)
    assert source_of(girder, item) == 'tifffile'
    assert np.array_equal(pixels_by(girder, item), pixels)
    page.get_by_role('button', name=f'Reset {TIFF}').click()
    wait_for_first(page, 'tiff')
    assert girder.get('system/setting', parameters={'key': KEY}) == {}
    # A name of a field with dots in it.
    page.locator('.g-zarr-mime-type').fill('application/vnd.some.thing')
    last = order_of(page)[-1]
    page.get_by_role('button', name=f'Ask {last} earlier', exact=True).click()
    wait_until(lambda: order_of(page)[-1] != last, what='the other order')
    page.reload()
    page.get_by_role('radio', name='MIME type').check()
    page.locator('.g-zarr-mime-type').fill('application/vnd.some.thing')
    wait_until(lambda: order_of(page)[-1] != last, what='the other order')
    page.locator('.g-zarr-mime-type').fill('nonsense')
    page.get_by_text('Expected a MIME type such as image/tiff.').wait_for()


def test_why_this_source_for_an_item_a_name_and_a_dropped_file(config, girder, folder, tmp_path):
    page = config
    data, _ = tiled_tiff(2)
    item = upload(girder, folder, 'why.tif', data)
    page.get_by_label('Item, or name of a file').fill(f'http://somewhere/#item/{item}')
    page.get_by_role('button', name='Explain').click()
    page.locator('.g-zarr-explanation-chosen', has_text='tiff').wait_for()
    why = page.locator('.g-zarr-explanation-why')
    why.get_by_text('tiff opens it: it is asked first, because it knows the').wait_for()
    # The explanation follows the order above.
    page.get_by_role('checkbox', name='Ask tiff at all', exact=True).click()
    why.get_by_text('tiff is not asked, because an administrator said so.').wait_for()
    page.locator('.g-zarr-explanation-chosen', has_text='tifffile').wait_for()
    page.get_by_role('checkbox', name='Ask tiff at all', exact=True).click()
    page.get_by_label('Item, or name of a file').fill('slide.svs')
    page.get_by_role('button', name='Explain').click()
    why.get_by_text('What counts: its extension .svs; it has no MIME type.').wait_for()
    dropped = tmp_path / 'dropped.png'
    dropped.write_bytes(data)
    sent = []
    page.on('request', lambda request: sent.append(request.method))
    drop_files(page, page.locator('.g-zarr-drop'), [dropped])
    why.get_by_text('What counts: its extension .png and its MIME type image/png.').wait_for()
    page.get_by_text('By its first bytes it is a TIFF, which its name does not say').wait_for()
    assert set(sent) == {'GET'}


def test_another_source_opens_the_same_item_and_is_taken_back(config, girder, folder, visit):
    page = config
    data, pixels = tiled_tiff(3)
    item = upload(girder, folder, 'slide.tif', data)
    torn = girder.createItem(folder, 'torn.tif')['_id']
    girder.uploadFile(torn, io.BytesIO(b'II*\0nothing'), 'torn.tif', 11, mimeType=TIFF)
    assert source_of(girder, item) == 'tiff'
    page.locator('.g-zarr-extension').fill('tif')
    wait_for_first(page, 'tiff')
    page.get_by_role('checkbox', name='Ask tiff at all', exact=True).click()
    page.locator('.g-zarr-source-off[data-source="tiff"]').wait_for()
    page.get_by_label('Where').select_option('place')
    page.get_by_role('button', name='Count them').click()
    page.get_by_text('Choose a collection, a user or a folder, or paste').wait_for()
    choose_folder(page, girder, folder)
    page.get_by_role('button', name='Count them').click()
    counted = page.locator('.g-zarr-run[data-kind="count"][data-state="complete"]').first
    counted.get_by_text('1 item looked at: 1 would be opened by another source').wait_for()
    assert source_of(girder, item) == 'tiff'
    page.get_by_role('button', name='Give them their first choice').click()
    page.locator('#g-confirm-button').click()
    changed = page.locator('.g-zarr-run[data-kind="change"][data-state="complete"]').first
    changed.get_by_text('1 changed').wait_for()
    assert source_of(girder, item) == 'tifffile'
    assert np.array_equal(pixels_by(girder, item), pixels)
    changed.get_by_role('button', name='Items').click()
    changed.locator(f'tr[data-item="{item}"]').get_by_text('tifffile').wait_for()
    page.get_by_label('Item, or name of a file').fill(item)
    page.get_by_role('button', name='Explain').click()
    page.locator('.g-zarr-explanation-chosen', has_text='tifffile').wait_for()
    check_accessible(page, '.g-zarr-page')
    page.locator('#g-zarr-order').scroll_into_view_if_needed()
    keep_screenshot(page, 'settings')
    page.locator('#g-zarr-runs').evaluate('one => one.scrollIntoView()')
    keep_screenshot(page, 'source-runs')
    # The page of the item shows it with the source that it has now.
    other = visit().page(f'#item/{item}')
    other.locator('.geojs-map canvas').first.wait_for()
    changed.get_by_role('button', name='Undo').click()
    page.locator('.g-zarr-run[data-kind="undo"][data-state="complete"]').get_by_text('1 put back').wait_for()
    assert source_of(girder, item) == 'tiff'
    assert changed.get_by_role('button', name='Undo').count() == 0
    assert np.array_equal(pixels_by(girder, item), pixels)


def test_a_long_run_shows_its_progress_and_is_cancelled(config, girder, folder, stack):
    page = config
    asked = []

    def slow(route):
        """A run that never gets further, as the page sees it."""
        answer = route.fetch()
        runs = answer.json()
        if route.request.method == 'GET' and runs and not asked:
            runs[0].update(state='running', examined=300, total=1000, counts={'changed': 20})
        route.fulfill(response=answer, json=runs)

    girder.post('zarr/source_run', parameters={'kind': 'count', 'folderId': folder})
    page.route('**/api/v1/zarr/source_run', slow)
    page.reload()
    progress = page.locator('.g-zarr-run-progress')
    progress.get_by_text('300 of 1000 items: 20 changed').wait_for()
    assert page.get_by_role('button', name='Count them').is_disabled()
    check_accessible(page, '.g-zarr-runs')
    wait_until(
        lambda: girder.get('zarr/source_run')[0]['state'] == 'complete', what='the end of the run itself'
    )
    progress.get_by_role('button', name='Cancel').click()
    # It has ended meanwhile, which the page says; then it asks again.
    page.locator('.g-zarr-runs .alert', has_text='only one that goes on can be cancelled').wait_for()
    asked.append(True)
    page.locator('.g-zarr-run[data-state="complete"]').first.wait_for()
    # The page goes on asking while it is closed.
    page.unroute_all(behavior='ignoreErrors')


def test_settings_have_forms(config, girder):
    page = config
    form = page.locator('.g-zarr-setting[data-key="zarr.stitch_limits"]')
    field = form.get_by_label('Open sessions')
    assert field.get_attribute('placeholder') == '1000'
    field.fill('many')
    form.get_by_role('button', name='Save').click()
    form.get_by_text('openSessions: expected an integer from 1 to ').wait_for()
    field.fill('500')
    form.get_by_role('button', name='Save').click()
    page.get_by_text('Limits of stitch sessions: saved.').wait_for()
    stored = girder.get('system/setting', parameters={'key': 'zarr.stitch_limits'})
    assert stored == {'openSessions': 500}
    check_accessible(page, '.g-zarr-page')
    # Numbers have their units.
    form.get_by_text('bytes of all its patches: 4.000 TB').wait_for()
    page.locator('#g-zarr-settings').evaluate('one => one.scrollIntoView()')
    keep_screenshot(page, 'settings-forms')
    form.get_by_role('button', name='Use the defaults').click()
    page.locator('#g-confirm-button').click()
    form.locator('input[name="openSessions"][placeholder="1000"]').wait_for()
    expires = page.locator('.g-zarr-setting[data-key="zarr.stitch_expires_hours"]')
    expires.get_by_label('Hours without a change').fill('-1')
    expires.get_by_role('button', name='Save').click()
    expires.locator('.g-zarr-field-error').wait_for()
    expires.get_by_role('button', name='Discard').click()
    assert expires.locator('.g-zarr-field-error').count() == 0


def test_every_setting_has_a_form(config, girder):
    keys = {one['key'] for one in girder.get('zarr/setting')} - {KEY}
    config.locator('.g-zarr-setting').first.wait_for()
    shown = config.locator('.g-zarr-setting').evaluate_all('forms => forms.map((form) => form.dataset.key)')
    assert set(shown) == keys
    # Of each limit it is said what it counts.
    fields = config.locator('.g-zarr-setting[data-key$="limits"] .g-zarr-field')
    words = fields.evaluate_all(
        """all => all.map(
            (one) => [one.querySelector('input').name, one.querySelector('.g-zarr-hint')?.textContent]
        )"""
    )
    assert len(words) > 25
    assert not [name for name, hint in words if not hint]


def test_values_of_the_environment_are_shown_and_locked(chromium, tmp_path):
    environment = {
        'GIRDER_SETTING_ZARR_STITCH_EXPIRES_HOURS': '12',
        'GIRDER_SETTING_ZARR_SOURCE_PRIORITIES': '{"pil": "off"}',
        'GIRDER_SETTING_ZARR_VIEWERS': '[{"name": "mine", "kind": "address", "text": "{url}"}]',
    }
    with running_stack(tmp_path / 'data', environment=environment) as fixed:
        visitor = Visitor(chromium, fixed, fixed.client().token)
        page = visitor.page(ROUTE)
        page.locator('.g-zarr-source-off[data-source="pil"]').wait_for()
        page.get_by_text('GIRDER_SETTING_ZARR_SOURCE_PRIORITIES').wait_for()
        assert page.locator('.g-zarr-source button:not([disabled])').count() == 0
        assert page.get_by_role('checkbox', name='Ask pil at all', exact=True).is_disabled()
        for key, label, value in (
            ('stitch_expires_hours', 'Hours without a change', '12'), ('viewers', 'Name', 'mine'),
        ):  # fmt: skip
            form = page.locator(f'.g-zarr-setting[data-key="zarr.{key}"]')
            form.get_by_text(f'GIRDER_SETTING_ZARR_{key.upper()}').wait_for()
            assert form.get_by_label(label).input_value() == value
            assert form.locator(':is(input, textarea, select, button):not([disabled])').count() == 0
        check_accessible(page, '.g-zarr-page')
        visitor.close()


def test_programs_are_a_list_with_the_message_at_its_field(config, girder):
    page = config
    form = page.locator('.g-zarr-setting[data-key="zarr.viewers"]')
    before = form.locator('.g-zarr-viewer').count()
    form.get_by_role('button', name='Add a program').click()
    added = form.locator('.g-zarr-viewer').nth(before)
    form.get_by_role('button', name='Save').click()
    added.locator('.has-error', has_text='name: expected 1 to 60').wait_for()
    added.get_by_label('Name').fill('mine')
    added.get_by_label('Text').fill('ftp://{url}')
    form.get_by_role('button', name='Save').click()
    added.locator('.has-error', has_text='mine: text: expected an address of http').wait_for()
    added.get_by_label('Text').fill('https://viewer.test/?{encoded}')
    form.get_by_role('button', name='Show mine earlier').click()
    form.get_by_role('button', name='Save').click()
    page.get_by_text('Programs that images are opened in: saved.').wait_for()
    stored = girder.get('system/setting', parameters={'key': 'zarr.viewers'})
    assert stored[before - 1] == {'name': 'mine', 'kind': 'link', 'text': 'https://viewer.test/?{encoded}'}
    form.get_by_role('button', name='Remove mine').click()
    form.get_by_role('button', name='Save').click()
    wait_until(
        lambda: len(girder.get('system/setting', parameters={'key': 'zarr.viewers'})) == before,
        what='the list without it',
    )


def test_whoever_leaves_changes_behind_is_asked(config, stack, girder):
    page = config
    here = page.url
    form = page.locator('.g-zarr-setting[data-key="zarr.stitch_expires_hours"]')
    form.get_by_label('Hours without a change').fill('48')
    form.get_by_text('not saved').wait_for()
    page.locator('#g-global-nav-container a', has_text='Users').click()
    dialog = page.locator('#g-dialog-container')
    dialog.get_by_text('There are changes on this page that are not saved.').wait_for()
    assert page.url == here
    dialog.get_by_text('Cancel', exact=True).click()
    dialog.wait_for(state='hidden')
    # The question is over when its backdrop has gone.
    page.locator('.modal-backdrop').wait_for(state='detached')
    assert form.get_by_label('Hours without a change').input_value() == '48'
    # By the address, too.
    page.evaluate('window.location.hash = "#groups"')
    page.locator('#g-confirm-button').click()
    page.wait_for_url('**#groups')
    page.locator('.g-zarr-page').wait_for(state='detached')
    # Girder's lists are drawn when they come, over whatever page there is by then.
    page.locator('.g-group-search-form').wait_for()
    # Nobody is asked where nothing was changed.
    page.goto(f'{stack.url}{ROUTE}')
    page.locator('.g-zarr-setting').first.wait_for()
    page.locator('#g-global-nav-container a', has_text='Users').click()
    page.wait_for_url('**#users')
    page.locator('.g-user-search-form').wait_for()
    page.goto(f'{stack.url}{ROUTE}')
    form.get_by_label('Hours without a change').press_sequentially('48')
    form.get_by_text('not saved').wait_for()
    asked = []
    page.on('dialog', lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    assert asked == ['beforeunload']
    assert girder.get('system/setting', parameters={'key': 'zarr.stitch_expires_hours'}) is None


def test_the_use_of_sessions_is_a_table_that_sorts(page, stack, girder, folder):
    client = StitchClient(girder)
    for name, side in (('small', 8), ('large', 64)):
        session = client.create(folder, name)['_id']
        client.put_patch(session, 'a', np.full((side, side), 1, np.uint8), 0, 0)
        if name == 'small':
            girder.post(f'stitch_session/{session}/cancel')
    page.goto(f'{stack.url}{ROUTE}')
    table = page.locator('.g-zarr-use')
    table.locator('tbody tr[data-user="admin"][data-state="open"]').wait_for()

    def column(number):
        return table.locator(f'tbody tr td:nth-child({number})').all_inner_texts()

    def sorted_by(name):
        return table.locator('th', has_text=name).get_attribute('aria-sort')

    assert sorted_by('Size') == 'descending'
    table.get_by_role('button', name='State').click()
    assert sorted_by('State') == 'ascending'
    assert column(2) == sorted(column(2))
    table.get_by_role('button', name='State').press('Enter')
    assert sorted_by('State') == 'descending'
    assert column(2) == sorted(column(2), reverse=True)
    assert 'Together' in table.locator('tfoot').inner_text()
    check_accessible(page, '.g-zarr-page')
    page.locator('#g-zarr-use').evaluate('one => one.scrollIntoView()')
    keep_screenshot(page, 'session-use')


def test_only_administrators_see_the_page(visit, stack, girder):
    names = {'firstName': 'Eve', 'lastName': 'Test', 'email': 'eve@girder.test'}
    girder.post('user', parameters={**names, 'login': 'eve-of-the-page', 'password': 'not an admin'})
    token = stack.client('eve-of-the-page', 'not an admin').token
    page = visit(token).page(ROUTE)
    page.get_by_text('Only administrators see this page.').wait_for()
    assert page.locator('.g-zarr-source').count() == 0
