"""A page of viewers of others (tests/viewers), built with npm and served from another origin."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1] / 'viewers'
#: WebGL without a graphics card.
WEBGL = ('--use-angle=swiftshader', '--enable-unsafe-swiftshader')


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def build_viewers() -> None:
    """Build the page where it is older than its sources; skip, or fail where it is required, without npm."""
    npm = shutil.which('npm')
    if npm is None:
        if os.environ.get('GIRDER_ZARR_REQUIRE_BROWSER') == '1':
            pytest.fail('npm is not on the PATH')
        pytest.skip('npm is not on the PATH')
    sources = [FOLDER / name for name in ('viewers.js', 'package.json', 'package-lock.json')]
    built = FOLDER / 'dist' / 'viewers.js'
    if built.is_file() and built.stat().st_mtime >= max(one.stat().st_mtime for one in sources):
        return
    install = ['ci', '--no-audit', '--no-fund', '--loglevel=error']
    for arguments in (install, ['run', 'build']):
        subprocess.run([npm, *arguments], cwd=FOLDER, check=True, timeout=600)


@contextmanager
def served_viewers() -> Iterator[str]:
    """Serve the page until the context ends; yield its address.

    Its host is called otherwise than Girder's, so that to a browser it is another site as well.
    """
    handler = functools.partial(_Quiet, directory=str(FOLDER))
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
    thread.start()
    try:
        yield f'http://localhost:{server.server_address[1]}/index.html'
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
