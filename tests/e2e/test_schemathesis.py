"""Schemathesis against the routes of sessions: whatever is asked, no answer is a server error.

It runs where a command `schemathesis` is on the path, or named by GIRDER_ZARR_SCHEMATHESIS: it pins other
versions than Girder does, so it belongs into an environment of its own (`pip install schemathesis`).
"""

import io
import json
import os
import shutil
import subprocess

import numpy as np
import pytest

COMMAND = os.environ.get('GIRDER_ZARR_SCHEMATHESIS') or shutil.which('schemathesis')
EXAMPLES = os.environ.get('GIRDER_ZARR_SCHEMATHESIS_EXAMPLES', '8')


def description(girder, session_id):
    """Girder's description of the session routes, with ids that there are."""
    found = girder.get('describe')
    found['paths'] = {
        path: dict(operations)
        for path, operations in found['paths'].items()
        if path.startswith('/stitch_session')
    }
    # Without the session all others would only say that there is none.
    found['paths']['/stitch_session/{id}'].pop('delete')
    for operations in found['paths'].values():
        for operation in operations.values():
            for parameter in operation.get('parameters', ()):
                if parameter['in'] == 'path' and parameter['name'] in {'id', 'key'}:
                    parameter['enum'] = [session_id] if parameter['name'] == 'id' else ['a', 'b', 'c d', '..']
    return found


@pytest.mark.skipif(COMMAND is None, reason='schemathesis is not installed')
def test_nothing_makes_a_server_error(stack, girder, tmp_path):
    me = girder.get('user/me')
    parameters = {'parentType': 'user', 'parentId': me['_id'], 'name': 'schemathesis'}
    folder = girder.post('folder', parameters=parameters)
    session = girder.post('stitch_session', json={'folderId': folder['_id'], 'name': 'any'})
    patch = io.BytesIO()
    np.save(patch, np.zeros((8, 8), 'uint8'), allow_pickle=False)
    girder.sendRestRequest(
        'PUT',
        f'stitch_session/{session["_id"]}/patch/a',
        parameters={'x': 0, 'y': 0},
        data=patch.getvalue(),
        headers={'Content-Type': 'application/octet-stream'},
    )
    described = tmp_path / 'api.json'
    described.write_text(json.dumps(description(girder, session['_id'])), encoding='utf-8')
    command = [COMMAND, 'run', str(described), '--url', f'{stack.url.rstrip("/")}/api/v1']
    command += ['-H', f'Girder-Token: {girder.token}', '-c', 'not_a_server_error', '--phases', 'fuzzing']
    command += ['-n', EXAMPLES, '--seed', '1', '--no-color', '--continue-on-failure']
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
