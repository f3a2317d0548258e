"""The routes of sessions as a client sees them, and bodies and pixels to send and compare."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import zarr
from PIL import Image


class Api:
    """The session routes as a client sees them; every call returns (status, answer)."""

    def __init__(self, server, user):
        self.server, self.user = server, user

    def call(
        self, method, path, params=None, *, body=None, content_type=None, user=..., headers=None, is_json=True
    ):
        response = self.server.request(
            path=path,
            method=method,
            params=params,
            user=self.user if user is ... else user,
            body=body,
            type=content_type,
            additionalHeaders=headers,
            isJson=is_json,
        )
        self.headers = response.headers
        status = int(response.output_status.split()[0])
        return status, response.json if is_json else b''.join(response.body)

    def create(self, folder, name='Slide 7', user=..., **spec):
        body = json.dumps({'folderId': str(folder['_id']), 'name': name, 'spec': spec})
        return self.call('POST', '/stitch_session', body=body, content_type='application/json', user=user)

    def put(self, session, key, body, x=0, y=0, *, user=..., headers=None, content_type='image/x', **params):
        path = f'/stitch_session/{session["_id"]}/patch/{key}'
        params = {'x': x, 'y': y, **params}
        return self.call(
            'PUT', path, params, body=body, content_type=content_type, user=user, headers=headers
        )

    def get(self, session, user=...):
        return self.call('GET', f'/stitch_session/{session["_id"]}', user=user)

    def finalize(self, session, user=..., **params):
        return self.call('POST', f'/stitch_session/{session["_id"]}/finalize', params, user=user)

    def cancel(self, session, user=...):
        return self.call('POST', f'/stitch_session/{session["_id"]}/cancel', user=user)

    def delete(self, session, user=...):
        return self.call('DELETE', f'/stitch_session/{session["_id"]}', user=user)


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG')
    return stream.getvalue()


def npy(pixels):
    stream = io.BytesIO()
    np.save(stream, pixels, allow_pickle=False)
    return stream.getvalue()


def random_pixels(height, width, bands=3, dtype='uint8', seed=0):
    random = np.random.default_rng(seed)
    shape = (height, width, bands) if bands > 1 else (height, width)
    return random.integers(0, 255, shape).astype(dtype)


def region_of(api, session):
    """Return the whole image of a complete session's item through the viewer's routes, ``(y, x, bands)``."""
    path = f'/item/{session["itemId"]}/tiles/region'
    status, body = api.call('GET', path, {'encoding': 'PNG'}, is_json=False)
    assert status == 200
    return np.asarray(Image.open(io.BytesIO(body)).convert('RGB'))


def stored_array(session):
    """Return the full resolution of a complete session's file, read by zarr itself."""
    from girder.models.file import File

    file = File().load(session['fileId'], force=True)
    store = zarr.storage.ZipStore(File().getLocalFilePath(file), mode='r')
    try:
        return zarr.open_array(store, path='0', mode='r')[:]
    finally:
        store.close()


class Viewer:
    """The tile routes of a session as a viewer uses them."""

    def __init__(self, api, session, user=...):
        self.api, self.user, self.base = api, user, f'/stitch_session/{session["_id"]}/tiles'

    def get(self, path='', params=None, *, headers=None, is_json=None):
        return self.api.call(
            'GET',
            (self.base + path).replace('/tiles/..', ''),
            params,
            user=self.user,
            headers=headers,
            is_json=path in ('', '/internal_metadata') if is_json is None else is_json,
        )

    def picture(self, path, **params):
        status, body = self.get(path, {'encoding': 'PNG', **params}, is_json=False)
        assert status == 200, body
        return np.asarray(Image.open(io.BytesIO(body)))

    def region(self, **params):
        return self.picture('/region', **params)


def tar(files, pax=None, fmt=tarfile.PAX_FORMAT):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w', format=fmt) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.pax_headers = {'girder_zarr.patch': json.dumps(pax[name])} if pax else {}
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def on_call_for_help(monkeypatch, come):
    """Call ``come`` with the arguments of each message that asks a worker to make parts; none is sent."""
    from girder_zarr.server.jobs import celery_json, dispatch

    original = celery_json.send

    def send(name, kwargs, **options):
        if name == dispatch.STITCH_PARTS:
            come(kwargs)
        else:
            original(name, kwargs, **options)

    monkeypatch.setattr(celery_json, 'send', send)


def check_answer(status, answer):
    """Check that an answer is a success, or has a sentence that says what was wrong."""
    assert 200 <= status < 500, (status, answer)
    if status >= 400:
        assert isinstance(answer['message'], str), answer
        assert answer['message'].strip(), answer
        assert len(answer['message']) < 2000 or 'Invalid value for' in answer['message'], (
            answer
        )  # Girder's own
