"""One stack for all tests that only use it; what breaks a stack starts its own."""

import shutil
import sys
from pathlib import Path

import pytest

from support.browser import FLAGS, Visitor, find_chromium
from support.stack import LOGIN, PASSWORD, running_stack

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if sys.platform != 'linux':
                item.add_marker(pytest.mark.skip(reason='looks at processes through /proc'))


@pytest.fixture(scope='session')
def stack(tmp_path_factory):
    """A running stack with an administrator."""
    data = tmp_path_factory.mktemp('stack') / 'data'
    with running_stack(data) as running:
        yield running
    shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(scope='session')
def girder(stack):
    """A client of the stack that is signed in."""
    return stack.client()


@pytest.fixture(scope='session')
def results(stack, tmp_path_factory):
    """What the demo's job has left in the stack."""
    from girder_zarr.stack.demo_job import run_job

    said = []
    return run_job(stack.url, LOGIN, PASSWORD, scratch=tmp_path_factory.mktemp('job'), print_line=said.append)


@pytest.fixture(scope='session')
def playwright():
    """What starts browsers, where there is one."""
    find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        yield running


@pytest.fixture(scope='session')
def chromium(playwright):
    """The browser; each test has contexts of its own in it."""
    browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def visit(chromium, stack, girder):
    """Make visitors; what goes wrong in their pages fails the test."""
    visitors = []

    def visit(token=girder.token, **options):
        visitors.append(Visitor(chromium, stack, token, **options))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        visitor.close()


@pytest.fixture
def page(visit):
    """A page of an administrator who is signed in."""
    return visit().page()


@pytest.fixture
def folder(girder, request):
    """The id of an empty folder of the test's own."""
    name = request.node.name.removeprefix('test_').replace('_', ' ').capitalize()
    collection = girder.createCollection(name[:100])
    return girder.createFolder(collection['_id'], 'Slides', parentType='collection')['_id']


@pytest.fixture
def new_session(page, stack, folder):
    """The page on which a session begins."""
    page.goto(f'{stack.url}#folder/{folder}/stitch')
    page.locator('.g-zarr-drop').wait_for()
    return page
