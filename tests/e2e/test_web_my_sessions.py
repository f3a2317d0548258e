"""The lists of sessions: filters, order, pages, and the same done with several."""

import numpy as np
import pytest

from girder_zarr.client import StitchClient
from support.browser import check_accessible, keep_screenshot
from support.session_pages import assert_fits
from support.waiting import wait_until

PATCH = np.full((32, 32), 90, np.uint8)


@pytest.fixture
def client(girder):
    return StitchClient(girder)


@pytest.fixture
def thirty(client, folder, request):
    """Thirty open sessions of a name of the test's own; the even ones have a patch."""
    stem = f'slide-{len(request.node.name)}'
    made = []
    for at in range(30):
        session = client.create(folder, f'{stem} {at:02}')
        if at % 2 == 0:
            client.put_patch(session['_id'], 'a', PATCH, 0, 0)
        made.append(session)
    return stem, made


def names(page):
    return page.locator('.g-stitch-session-name').all_inner_texts()


def wait_for_names(page, expected):
    wait_until(lambda: names(page) == expected, seconds=30, what=f'{expected}')


def agree(page):
    page.locator('#g-confirm-button').click()
    page.locator('.modal-backdrop').wait_for(state='detached')


def test_sessions_are_filtered_ordered_and_paged(page, stack, girder, thirty):
    stem, made = thirty
    girder.post(f'stitch_session/{made[3]["_id"]}/cancel')
    page.goto(f'{stack.url}#stitch_sessions')
    page.get_by_label('Name holds').fill(stem.upper())
    page.get_by_text('1 to 25 of 30').wait_for()
    wait_for_names(page, [f'{stem} {at:02}' for at in range(29, 4, -1)])
    page.get_by_label('Order', exact=True).select_option('by name')
    wait_for_names(page, [f'{stem} {at:02}' for at in range(25)])
    next_page = page.get_by_role('button', name='Next')
    next_page.press('Enter')
    page.get_by_text('26 to 30 of 30').wait_for()
    wait_for_names(page, [f'{stem} {at:02}' for at in range(25, 30)])
    # The last page: the button does nothing, and keeps the focus.
    assert page.evaluate('document.activeElement.textContent') == 'Next'
    next_page.press('Enter')
    page.get_by_text('26 to 30 of 30').wait_for()
    check_accessible(page, '.g-zarr-page')
    # The address has it all.
    page.reload()
    wait_for_names(page, [f'{stem} {at:02}' for at in range(25, 30)])
    page.get_by_label('State', exact=True).select_option('cancelled')
    wait_for_names(page, [f'{stem} 03'])
    page.get_by_label('Name holds').fill('no such name')
    page.get_by_text('No session is like that.').wait_for()


def test_a_page_that_is_turned_while_the_typing_rests_stays_turned(page, stack, thirty):
    stem, _ = thirty
    page.goto(f'{stack.url}#stitch_sessions')
    page.get_by_text('1 to 25 of ').wait_for()
    page.get_by_label('Name holds').fill(stem)
    page.get_by_role('button', name='Next').press('Enter')
    page.wait_for_url(f'**name={stem}&page=1')
    wait_for_names(page, [f'{stem} {at:02}' for at in range(4, -1, -1)])
    assert page.url.endswith(f'name={stem}&page=1')


def test_an_administrator_sees_those_of_one_user(page, stack, girder, client, folder):
    login = 'colleague'
    user = girder.post(
        'user',
        parameters={
            'login': login,
            'email': f'{login}@example.com',
            'firstName': 'A',
            'lastName': 'B',
            'password': 'correct horse battery',
        },
    )
    access = {'users': [{'id': user['_id'], 'level': 1}], 'groups': []}
    girder.put(f'folder/{folder}/access', parameters={'access': str(access).replace("'", '"')})
    StitchClient(stack.client(login, 'correct horse battery')).create(folder, 'of a colleague')
    client.create(folder, 'of the administrator')
    page.goto(f'{stack.url}#stitch_sessions')
    page.locator('.g-stitch-session-name', has_text='of the administrator').wait_for()
    assert 'of a colleague' not in names(page)
    page.get_by_label('Those of everybody').check()
    page.get_by_role('heading', name='Stitch sessions of everybody').wait_for()
    page.locator('.g-stitch-session-name', has_text='of a colleague').wait_for()
    keep_screenshot(page, 'sessions-of-everybody')
    page.locator('.g-stitch-session', has_text='of a colleague').get_by_role(
        'button', name=login, exact=True
    ).click()
    wait_for_names(page, ['of a colleague'])
    page.get_by_role('button', name=f'Only of {login}: show all').click()
    page.locator('.g-stitch-session-name', has_text='of the administrator').wait_for()


def test_several_are_done_with_at_once(page, stack, girder, client, thirty):
    stem, made = thirty
    page.goto(f'{stack.url}#stitch_sessions?name={stem}&order=name')
    wait_for_names(page, [f'{stem} {at:02}' for at in range(25)])
    actions = page.get_by_role('group', name='Actions on the chosen sessions')
    for at in (0, 1, 2):
        page.get_by_label(f'Choose {stem} {at:02}').check()
    # Only two of the three can be finalized now; one of these is deleted by somebody else meanwhile.
    actions.get_by_role('button', name='Finalize 2').click()
    page.get_by_text('Make the images of 2 sessions? 1 of the 3 chosen is passed over.').wait_for()
    girder.delete(f'stitch_session/{made[2]["_id"]}')
    agree(page)
    outcomes = page.get_by_role('region', name='What became of them')
    outcomes.get_by_text('Done: 1. Not done: 2.').wait_for()
    outcomes.get_by_text(f'{stem} 01: not done; has no patches').wait_for()
    outcomes.get_by_text(f'{stem} 02: not done; There is no stitch session').wait_for()
    # There is no page of what is gone.
    assert outcomes.get_by_role('link').all_inner_texts() == [f'{stem} 01', f'{stem} 00']
    assert page.evaluate('document.activeElement.getAttribute("aria-label")') == 'What became of them'
    page.locator('.g-stitch-session[data-state="complete"]', has_text=f'{stem} 00').wait_for()
    check_accessible(page, '.g-zarr-page')
    keep_screenshot(page, 'my-sessions')

    # All of them, those of the next page too.
    page.get_by_role('checkbox', name='All 25 on this page').check()
    page.get_by_role('button', name='Choose all 29').click()
    actions.get_by_text('29 chosen').wait_for()
    actions.get_by_role('button', name='Cancel 28').click()
    agree(page)
    outcomes.get_by_text('Done: 28. Not done: 1.').wait_for()
    outcomes.get_by_text(f'{stem} 00: not done; is complete').wait_for()
    left = girder.get('stitch_session', parameters={'name': stem, 'limit': 0})
    assert sorted(one['state'] for one in left) == ['cancelled'] * 28 + ['complete']
    page.get_by_role('checkbox', name='All 25 on this page').check()
    page.get_by_role('button', name='Choose all 29').click()
    actions.get_by_text('29 chosen').wait_for()
    actions.get_by_role('button', name='Delete').click()
    page.get_by_text('Delete 29 sessions with 14 patches? Finished images stay.').wait_for()
    agree(page)
    outcomes.get_by_text('Done: 29. Not done: 0.').wait_for()
    page.get_by_text('No session is like that.').wait_for()
    assert girder.get('stitch_session', parameters={'name': stem}) == []


def test_who_has_not_signed_in_is_asked_to(visit):
    page = visit(token=None).page('#stitch_sessions')
    page.get_by_text('Who is signed in sees the own sessions here.').wait_for()
    check_accessible(page, '.g-zarr-page')
    page.locator('.g-zarr-page').get_by_role('button', name='Sign in').click()
    page.locator('#g-login').wait_for()


def test_the_focus_stays_in_the_list_of_a_folder(page, stack, girder, client, folder):
    for name in ('one', 'two'):
        client.create(folder, name)
    page.goto(f'{stack.url}#folder/{folder}')
    page.get_by_role('button', name='Delete one').click()
    page.locator('#g-dialog-container [data-dismiss="modal"]').first.click()
    page.locator('.modal-backdrop').wait_for(state='detached')
    assert page.evaluate('document.activeElement.getAttribute("aria-label")') == 'Delete one'
    page.get_by_role('button', name='Delete one').click()
    agree(page)
    wait_for_names(page, ['two'])
    assert page.evaluate('document.activeElement.getAttribute("aria-label")') == 'Stitch sessions'
    check_accessible(page, '.g-stitch-sessions')


@pytest.mark.parametrize('width', [390, 1920])
def test_the_list_fits_its_window(visit, stack, client, folder, width):
    client.create(folder, 'x' * 150)
    page = visit(viewport=(width, 900)).page('#stitch_sessions?everybody=1')
    page.locator('.g-stitch-session-name', has_text='xxx').first.wait_for()
    page.get_by_label('Choose xxx').first.check()
    assert_fits(page)
