"""Where a run over the sources of items looks: picked in Girder, or pasted."""

from support.browser import check_accessible, keep_screenshot
from support.girder_places import choose_folder, name_of
from support.waiting import wait_until


def test_the_place_of_a_run_is_picked_or_pasted(page, stack, girder, folder):
    page.goto(f'{stack.url}#plugins/zarr/config')
    page.locator('.g-zarr-runs').wait_for()
    asked = []
    page.route(
        '**/api/v1/zarr/source_run?*',
        lambda route: (asked.append(route.request.url.partition('?')[2]), route.fulfill(json={}))[1],
    )
    page.get_by_label('Where').select_option('place')
    choose_folder(page, girder, folder)
    page.get_by_role('button', name='Count them').click()
    wait_until(lambda: asked == [f'kind=count&folderId={folder}'], what='the run of a folder')
    # The collection around it, and somebody's space.
    collection = girder.getFolder(folder)['parentId']
    page.get_by_role('button', name='Choose in Girder').click()
    places = page.get_by_role('region', name='Places in Girder')
    assert places.get_by_role('button', name='Choose a collection, a user or a folder').is_disabled()
    places.get_by_role('button', name=name_of(girder, collection), exact=True).click()
    places.get_by_role('button', name='Choose the collection').click()
    page.get_by_role('button', name='Count them').click()
    wait_until(lambda: asked[1:] == [f'kind=count&collectionId={collection}'], what='that of a collection')
    me = girder.get('user/me')
    page.get_by_role('button', name='Choose in Girder').click()
    places.get_by_role('button', name='Users', exact=True).click()
    places.get_by_role('button', name=me['login'], exact=True).click()
    check_accessible(page, '.g-zarr-runs')
    keep_screenshot(page, 'run-places')
    places.get_by_role('button', name=f'Choose the user {me["login"]}').click()
    page.get_by_role('button', name='Count them').click()
    wait_until(lambda: asked[2:] == [f'kind=count&userId={me["_id"]}'], what='that of a user')
    # What is pasted takes the place of what was picked.
    page.get_by_label('Address of its page').fill(f'http://somewhere/#folder/{folder}')
    assert page.locator('.g-zarr-place').inner_text() == ''
    page.get_by_role('button', name='Count them').click()
    wait_until(lambda: asked[3:] == [f'kind=count&folderId={folder}'], what='that of an address')
