"""Building the web client with the package: what is said where the Node.js of the machine is too old."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('setuptools')
ROOT = Path(__file__).parent.parent


@pytest.fixture
def sources(tmp_path):
    """What setup.py looks at, with nothing built; programs of a test's own come first on the PATH."""
    (tmp_path / 'plugin/web_client').mkdir(parents=True)
    (tmp_path / 'programs').mkdir()
    for name in (
        'setup.py',
        'README.md',
        *(f'plugin/web_client/{name}.json' for name in ('package', 'package-lock')),
    ):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def build(sources, node):
    """Build with a Node.js that says it has a version and a npm that notes what it is called with."""
    for name, line in (('node', f'echo {node}'), ('npm', 'echo "$@" >> called')):
        program = sources / 'programs' / name
        program.write_text(f'#!/bin/sh\n{line}\n')
        program.chmod(0o755)
    environment = {**os.environ, 'PATH': f'{sources / "programs"}{os.pathsep}{os.environ["PATH"]}'}
    environment.pop('GIRDER_ZARR_SKIP_WEB_BUILD', None)
    done = subprocess.run(
        [sys.executable, 'setup.py', '-q', 'build_py'],
        cwd=sources, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    called = sources / 'plugin/web_client/called'
    return done, called.read_text().splitlines() if called.exists() else []


def test_an_older_node_is_named_with_the_one_that_is_needed(sources):
    done, called = build(sources, 'v18.20.8')
    assert 'needs Node.js 20.19 or later, not v18.20.8' in done.stderr
    assert (done.returncode, called) == (1, [])


@pytest.mark.parametrize('node', ['v20.19.0', 'v22.1.0', 'unknown'])
def test_others_build(sources, node):
    done, called = build(sources, node)
    assert done.returncode == 0, done.stderr
    assert called == ['ci --omit=dev --no-audit --no-fund', 'run build']
