"""Where a run over the sources of items looks: picked in Girder, or pasted."""

from support.browser import check_accessible, keep_screenshot
from support.girder_places import choose_folder, name_of

#: Asks for a run.
RUN = '**/api/v1/zarr/source_run?*'


def count(page):
    """Ask for a run that counts; return its parameters."""
    with page.expect_response(RUN) as answered:
        page.get_by_role('button', name='Count them').click()
    return answered.value.url.partition('?')[2]


def test_the_place_of_a_run_is_picked_or_pasted(page, stack, girder, folder):
    page.goto(f'{stack.url}#plugins/zarr/config')
    page.locator('.g-zarr-runs').wait_for()
    page.route(RUN, lambda route: route.fulfill(json={}))
    page.get_by_label('Where').select_option('place')
    choose_folder(page, girder, folder)
    assert count(page) == f'kind=count&folderId={folder}'
    # The collection around it, and somebody's space.
    collection = girder.getFolder(folder)['parentId']
    page.get_by_role('button', name='Choose in Girder').click()
    places = page.get_by_role('region', name='Places in Girder')
    assert places.get_by_role('button', name='Choose a collection, a user or a folder').is_disabled()
    places.get_by_role('button', name=name_of(girder, collection), exact=True).click()
    places.get_by_role('button', name='Choose the collection').click()
    assert count(page) == f'kind=count&collectionId={collection}'
    me = girder.get('user/me')
    page.get_by_role('button', name='Choose in Girder').click()
    places.get_by_role('button', name='Users', exact=True).click()
    places.get_by_role('button', name=me['login'], exact=True).click()
    check_accessible(page, '.g-zarr-runs')
    keep_screenshot(page, 'run-places')
    places.get_by_role('button', name=f'Choose the user {me["login"]}').click()
    assert count(page) == f'kind=count&userId={me["_id"]}'
    # What is pasted takes the place of what was picked.
    page.get_by_label('Address of its page').fill(f'http://somewhere/#folder/{folder}')
    assert page.locator('.g-zarr-place').inner_text() == ''
    assert count(page) == f'kind=count&folderId={folder}'
