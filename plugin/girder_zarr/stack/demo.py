"""`girder-zarr demo`: the stack, and the main job done once against it."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from girder_zarr.errors import StackError

from .environment import without_proxy
from .options import Options
from .supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from .supervisor import Running

NEEDED = ('girder_client', 'large_image_source_pil', 'ome_zarr', 'skimage', 'tqdm')


def run_demo(*, check: bool, data: Path | None, port: int | None, print_line: Callable[[str], None]) -> int:
    """Run the stack and the demo's job.

    :param check: stop after the job; the data folder is a temporary one unless `data` is given.
    :param data: the data folder, by default ``demo-data`` in the working directory.
    :param port: the port, by default 8080, or any free one where `check` is set.
    :returns: the exit code.
    :raises GirderZarrError: the stack did not start, or the job went wrong.
    """
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        msg = "The demo needs a few more packages: run pip install 'girder-zarr[demo]'."
        raise StackError(msg)
    # The job asks the server of this machine, from this process.
    os.environ.update(without_proxy(os.environ))
    with tempfile.TemporaryDirectory(prefix='girder-zarr-demo-') as temporary:
        folder = data or (Path(temporary) / 'data' if check else Path('demo-data'))
        options = Options(
            data=folder,
            port=port if port is not None else (0 if check else 8080),
            # The job has to sign in, also in a folder of an earlier demo.
            reset_password=True,
        )
        work = Work(check=check, scratch=Path(temporary), print_line=print_line)
        code = Supervisor(options.checked(), print_line).run(work)
        return code if work.done or not check else 1


class Work:
    """The demo's job, as the supervisor runs it."""

    def __init__(self, *, check: bool, scratch: Path, print_line: Callable[[str], None]) -> None:
        self.check = check
        self.scratch = scratch
        self.print_line = print_line
        self.given_password = os.environ.get('GIRDER_ZARR_ADMIN_PASSWORD')
        self.done = False

    def __call__(self, running: Running) -> int | None:
        """Do the job and print its results; return 0 to stop the stack, None to let it run."""
        from .demo_job import run_job

        started = time.monotonic()
        results = run_job(
            running.url,
            running.login,
            str(running.password or self.given_password),
            scratch=self.scratch,
            print_line=self.print_line,
        )
        self.done = True
        self.print_line(
            f'All pixels are as they should be, after {time.monotonic() - started:.1f} seconds of work.'
        )
        if self.check:
            return 0
        for picture in results.pictures:
            self.print_line(f'{picture.name}: {running.url}#item/{picture.item_id}')
        self.print_line(f'The folder with the sessions: {running.url}#folder/{results.folder_id}')
        if running.password is not None:
            self.print_line(
                f'Sign in as {running.login} with the password {running.password}; stop with Ctrl-C.'
            )
        return None
