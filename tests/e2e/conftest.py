"""One stack for all tests that only use it; what breaks a stack starts its own."""

import shutil
import sys
from pathlib import Path

import pytest

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
    return run_job(stack.url, LOGIN, PASSWORD, scratch=tmp_path_factory.mktemp('job'), say=said.append)
