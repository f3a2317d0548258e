"""Opening an image in other programs and sharing it, from the pages of items, sessions and folders."""

import io
import json
from urllib.parse import quote

import numpy as np
import pytest
import requests
import tensorstore

from girder_zarr.client import StitchClient
from girder_zarr.stack.demo_job import read_picture
from support.browser import check_accessible, keep_screenshot
from support.waiting import wait_until

SUMMARY = 'Open in other programs, and share'
#: A program's name, as far as it can be hostile: settings of administrators are shown to everybody.
HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture
def stitched(results):
    """An item that a session has made."""
    return next(picture.item_id for picture in results.pictures if picture.session_id)


@pytest.fixture
def programs(girder):
    """Set the list of programs; it is put back in the end."""

    def put(value):
        girder.put('system/setting', parameters={'key': 'zarr.viewers', 'value': json.dumps(value)})

    yield put
    girder.delete('system/setting', parameters={'key': 'zarr.viewers'})


def make_link(page):
    """Make a link in the form that is open; return its address."""
    page.get_by_role('button', name='Make a link').click()
    return page.locator('.g-zarr-share-made').get_by_label('Address', exact=True).inner_text()


def test_a_link_is_made_used_and_revoked(page, stack, stitched):
    page.goto(f'{stack.url}#item/{stitched}')
    page.get_by_text(SUMMARY).click()
    page.get_by_label('For whom').fill('reviewers')
    page.get_by_label('Holds').select_option('a week')
    address = make_link(page)
    assert requests.get(f'{address}/zarr.json', timeout=30).json()['node_type'] == 'group'
    neuroglancer = page.get_by_role('link', name='Open in neuroglancer')
    assert quote(address, safe='') in neuroglancer.get_attribute('href')
    assert (neuroglancer.get_attribute('target'), neuroglancer.get_attribute('rel')) == (
        '_blank',
        'noopener noreferrer',
    )
    check_accessible(page, '.g-zarr-item')
    page.locator('.g-zarr-item-share').scroll_into_view_if_needed()
    keep_screenshot(page, 'share')
    page.reload()
    page.get_by_text(SUMMARY).click()
    row = page.locator('.g-zarr-links li', has_text='reviewers')
    assert 'used once' in row.inner_text()
    assert ', ends ' in row.inner_text()
    page.get_by_role('button', name='Revoke reviewers').press('Enter')
    page.locator('#g-confirm-button').click()
    row.wait_for(state='detached')
    assert page.evaluate('document.activeElement.getAttribute("aria-label")') == 'Links'


def test_what_is_copied_is_what_programs_take(visit, stack, stitched, programs):
    programs(
        [
            {'name': HOSTILE, 'kind': 'command', 'text': 'napari {url} <b>&amp;</b>'},
            {'name': 'second', 'kind': 'python', 'text': "level = '{url}/0/'\n"},
            {'name': '<i>third</i>', 'kind': 'link', 'text': 'https://viewer.lab.example/?a={encoded}&b=<b>'},
        ]
    )
    visitor = visit()
    visitor.context.grant_permissions(['clipboard-read', 'clipboard-write'])
    page = visitor.page(f'#item/{stitched}')
    page.get_by_text(SUMMARY).click()
    address = make_link(page)
    page.get_by_role('link', name='Open in <i>third</i>').wait_for()
    page.get_by_role('button', name=f'Copy {HOSTILE}', exact=True).click()
    page.get_by_text(f'{HOSTILE}: copied.').wait_for()
    copied = page.evaluate('navigator.clipboard.readText()')
    assert copied == f'napari {address} <b>&amp;</b>'
    page.get_by_label('Another program').select_option('second')
    page.get_by_role('button', name='Copy second', exact=True).press('Enter')
    page.get_by_text('second: copied.').wait_for()
    assert page.evaluate('navigator.clipboard.readText()') == f"level = '{address}/0/'\n"
    page.get_by_label('For programs that do not know the codec').check()
    page.locator('pre', has_text='@zstd/0/').wait_for()
    transcoded = page.locator('.g-zarr-share-made').get_by_label('Address', exact=True).inner_text()
    assert transcoded == f'{address}/@zstd'
    spec = {'driver': 'auto', 'kvstore': f'{transcoded}/0/'}
    codecs = tensorstore.open(spec, read=True).result().spec().to_json()['metadata']['codecs']
    assert 'zstd' in str(codecs)


def test_a_session_is_shared_while_it_grows(page, stack, girder, folder):
    picture = read_picture('ihc.png')
    client = StitchClient(girder)
    session = client.create(folder, 'shared early')['_id']
    client.put_patch(session, 'left', picture[:, :256], 0, 0)
    page.goto(f'{stack.url}#stitch_session/{session}')
    page.get_by_text(SUMMARY).click()
    page.get_by_label('For whom').fill('the lab')
    address = make_link(page)
    spec = {'driver': 'auto', 'kvstore': f'{address}/0/'}

    def read():
        found = tensorstore.open(spec, read=True).result().read().result()
        return np.moveaxis(found.reshape(found.shape[-3:]), 0, -1)

    assert np.array_equal(read(), picture[:, :256])
    client.put_patch(session, 'right', picture[:, 256:], 256, 0)
    wait_until(lambda: read().shape == picture.shape, seconds=10, what='the second patch')
    assert np.array_equal(read(), picture)
    assert page.get_by_label('For programs that do not know the codec').count() == 0
    check_accessible(page, '.g-zarr-session')


def test_a_folder_is_shared_from_its_menu(visit, stack, girder, folder, results):
    name = 'x <b>.zarr.zip'
    item = girder.createItem(folder, name)
    with requests.get(
        f'{stack.url}api/v1/item/{results.pictures[0].item_id}/download',
        headers={'Girder-Token': girder.token},
        timeout=60,
    ) as answer:
        body = answer.content
    girder.uploadFile(item['_id'], io.BytesIO(body), name, len(body))
    page = visit().page(f'#folder/{folder}')
    page.locator('.g-folder-actions-button').click()
    page.locator('.g-zarr-share-folder').click()
    page.wait_for_url(f'**#folder/{folder}/share')
    page.get_by_role('heading', name='Share Slides').wait_for()
    page.get_by_label('For whom').fill('the lab')
    make_link(page)
    page.locator('.g-zarr-links li', has_text='the lab').wait_for()
    keep_screenshot(page, 'share-folder')
    page.get_by_label('For whom').fill(HOSTILE)
    page.get_by_role('button', name='Make a link').click()
    page.locator('.g-zarr-links li', has_text=HOSTILE).wait_for()
    address = page.locator('.g-zarr-share-made').get_by_label('Address', exact=True).inner_text()
    assert '.zarr' not in address
    shown = requests.get(address, timeout=30).text
    assert 'x &lt;b&gt;.zarr.zip/' in shown
    assert requests.get(f'{address}x%20%3Cb%3E.zarr.zip/zarr.json', timeout=30).json()['node_type'] == 'group'
    check_accessible(page, '.g-zarr-page')


def test_who_may_not_make_links_is_not_asked_to(visit, stack, girder, results, stitched):
    collection = girder.getFolder(results.folder_id)['parentId']

    def make_public(public):
        parameters = {'access': '{}', 'public': public, 'recurse': True}
        girder.put(f'collection/{collection}/access', parameters=parameters)

    make_public(True)
    try:
        page = visit(token=None).page(f'#item/{stitched}')
        page.get_by_text('OME-Zarr: what the file holds').wait_for()
        assert page.get_by_text(SUMMARY).count() == 0
        page.goto(f'{stack.url}#folder/{results.folder_id}')
        page.locator('.g-stitch-session').first.wait_for()
        assert page.locator('.g-zarr-share-folder').count() == 0
    finally:
        make_public(False)
