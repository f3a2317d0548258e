"""The tests that lean on the database most, again, with the embedded database in place of the mock."""

import os
import subprocess
import sys
from pathlib import Path

from support.database import running_database

ROOT = Path(__file__).parent.parent.parent
#: What asks the database for more than to find a document by its id: atomic updates, races, indexes, queries.
FILES = (
    'ingest/test_bulk.py',
    'ingest/test_uploads.py',
    'jobs/test_jobs.py',
    'jobs/test_parts.py',
    'maintenance/test_reaper.py',
    'patches/test_resume.py',
    'scenarios/test_races.py',
    'sessions/test_edit.py',
    'sessions/test_quota.py',
    'sessions/test_sessions.py',
    'storage/test_durable_files.py',
)


def test_the_server_room_passes_on_the_embedded_database(tmp_path):
    with running_database(tmp_path / 'data') as uri:
        done = subprocess.run(
            [
                sys.executable,
                '-m',
                'pytest',
                *(f'tests/server/{file}' for file in FILES),
                '-q',
                '-n',
                '2',
                '--dist',
                'loadfile',
                '-p',
                'no:cacheprovider',
                f'--mongo-uri={uri}',
            ],
            cwd=ROOT,
            env={**os.environ, 'GIRDER_ZARR_TEST_MONGO_URI': uri},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-5000:]
    assert ' passed' in done.stdout
