"""Schemathesis against our routes: whatever is asked of them, no answer is a server error.

GIRDER_ZARR_SCHEMATHESIS_EXAMPLES and _SEED ask for more, or for others.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from girder_zarr.stitch.spec.model import StitchSpec

COMMAND = Path(sys.executable).with_name('schemathesis')
EXAMPLES = os.environ.get('GIRDER_ZARR_SCHEMATHESIS_EXAMPLES', '8')
SEED = os.environ.get('GIRDER_ZARR_SCHEMATHESIS_SEED', '1')
LOGIN, PASSWORD = 'mallory', 'not an administrator'


def objects(*names, **known):
    """A JSON schema of objects with any values in some fields."""
    return {'type': 'object', 'properties': {**{name: {} for name in names}, **known}}


def bodies(folder_id):
    """What Girder's description cannot say of bodies: the fields of the JSON that routes take."""
    spec = objects('expires', *StitchSpec.from_json(None).to_json())
    entry = objects(
        'key', 'fileId', 'itemId', 'x', 'y', 'z', 'digest', 'weight', 'maskKey', 'dtype', 'replace'
    )
    name = {'type': 'string', 'minLength': 1, 'maxLength': 20}
    entries = {'type': 'array', 'items': entry, 'maxItems': 5}
    made = objects(folderId={'enum': [folder_id]}, name=name, spec=spec)
    return {
        ('/stitch_session', 'post'): {**made, 'required': ['folderId', 'name', 'spec']},
        ('/stitch_session/{id}', 'put'): objects(name=name, spec=spec),
        ('/stitch_session/{id}/files', 'post'): entries,
        ('/stitch_session/{id}/missing', 'post'): objects(keys={'type': ['array', 'object']}),
    }


def ids_for(path, session_id, others):
    """The ids that there are of what a path names."""
    kind = next((kind for kind in others if path.startswith(kind)), None)
    return others[kind] if kind else [session_id]


def description(girder, folder_id, session_id, others):
    """Girder's description of the routes of sessions and of tile sources, with ids that there are.

    :param others: ids by the beginnings of paths that are not about sessions.
    """
    found = girder.get('describe')
    found['paths'] = {
        path: dict(operations)
        for path, operations in found['paths'].items()
        if path.startswith(('/stitch_session', '/zarr/'))
    }
    # Without the session all others would only say that there is none.
    found['paths']['/stitch_session/{id}'].pop('delete')
    for path, operations in found['paths'].items():
        for operation in operations.values():
            for parameter in operation.get('parameters', ()):
                if parameter['in'] == 'path' and parameter['name'] in {'id', 'key'}:
                    ids = ids_for(path, session_id, others)
                    parameter['enum'] = ids if parameter['name'] == 'id' else ['a', 'b', 'c d', '..']
                if parameter['name'] == 'kind':
                    parameter['enum'] = ['count', 'none']  # a change would be one of the other tests' items
    for (path, method), schema in bodies(folder_id).items():
        operation = found['paths'][path][method]
        others = [parameter for parameter in operation['parameters'] if parameter['in'] != 'body']
        body = {'name': 'body', 'in': 'body', 'required': True, 'schema': schema}
        operation.update(parameters=[*others, body], consumes=['application/json'])
    return found


@pytest.fixture(scope='module')
def clients(stack, girder):
    """An administrator and somebody who is none."""
    names = {'firstName': 'Mallory', 'lastName': 'Test', 'email': 'mallory@girder.test'}
    girder.post('user', parameters={**names, 'login': LOGIN, 'password': PASSWORD})
    return {'administrator': girder, 'user': stack.client(LOGIN, PASSWORD)}


def prepare(client):
    """Make a folder, a session with a patch, and an item; return their ids."""
    me = client.get('user/me')
    parameters = {'parentType': 'user', 'parentId': me['_id'], 'name': 'schemathesis'}
    folder = client.post('folder', parameters=parameters)
    session = client.post('stitch_session', json={'folderId': folder['_id'], 'name': 'any'})
    patch = io.BytesIO()
    np.save(patch, np.zeros((8, 8), 'uint8'), allow_pickle=False)
    client.sendRestRequest(
        'PUT',
        f'stitch_session/{session["_id"]}/patch/a',
        parameters={'x': 0, 'y': 0},
        data=patch.getvalue(),
        headers={'Content-Type': 'application/octet-stream'},
    )
    item = client.post('item', parameters={'folderId': folder['_id'], 'name': 'any'})
    client.uploadFile(item['_id'], io.BytesIO(patch.getvalue()), 'any.tif', len(patch.getvalue()))
    return folder['_id'], session['_id'], item['_id']


def runs_of(girder):
    """The ids of the runs over the sources of items, which only administrators see."""
    if not girder.get('zarr/source_run'):
        girder.post('zarr/source_run', parameters={'kind': 'count'})
    return [*[run['_id'] for run in girder.get('zarr/source_run')][:3], '0' * 24]


@pytest.mark.skipif(not COMMAND.exists(), reason='schemathesis is not installed (it is in the extra test)')
@pytest.mark.parametrize('who', ['administrator', 'user'])
def test_nothing_makes_a_server_error(stack, clients, tmp_path, who):
    client = clients[who]
    described = tmp_path / 'api.json'
    folder, session, item = prepare(client)
    others = {'/zarr/source_run': runs_of(clients['administrator']), '/zarr/item': [item]}
    described.write_text(json.dumps(description(client, folder, session, others)), encoding='utf-8')
    command = [COMMAND, 'run', described, '--url', f'{stack.url.rstrip("/")}/api/v1']
    command += ['-H', f'Girder-Token: {client.token}', '-c', 'not_a_server_error', '--phases', 'fuzzing']
    command += ['-n', EXAMPLES, '--seed', SEED, '--no-color', '--continue-on-failure']
    done = subprocess.run(
        [str(word) for word in command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
