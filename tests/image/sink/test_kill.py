"""The short form of tests/chaos/kill_writes.py (`make chaos`): a few kills at random moments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / 'chaos' / 'kill_writes.py'


def test_a_write_that_is_killed_leaves_the_old_image_or_the_new_one() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), '--kills', '6', '--seed', '1', '--suffixes', '.zip', '.zarr'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '0 broke a rule' in done.stdout
