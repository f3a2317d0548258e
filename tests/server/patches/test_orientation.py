"""A picture that its camera turned is stitched upright, or as stored where a client asks for that."""

import contextlib
import io

import numpy as np
import pytest
from bson import ObjectId
from PIL import Image, ImageOps

from girder_zarr.errors import UnsupportedFormatError
from girder_zarr.server.sessions.model import StitchSession
from support.server import random_pixels, stored_array

pytestmark = pytest.mark.plugin('zarr')


def turned(pixels):
    exif = Image.Exif()
    exif[274] = 6
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG', exif=exif)
    return stream.getvalue()


def finished(api, session, dispatched):
    status, started = api.finalize(session)
    assert status == 200, started
    dispatched.run()
    return stored_array(api.get(session)[1])


def test_patches_are_turned_upright_by_default(api, folder, dispatched):
    body = turned(random_pixels(20, 30))
    _, session = api.create(folder)
    status, patch = api.put(session, 'a', body)
    assert (status, patch['shape']) == (201, [30, 20, 3]), patch
    with Image.open(io.BytesIO(body)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(np.moveaxis(finished(api, session, dispatched), 0, -1), upright)


def test_patches_are_taken_as_stored_on_request(api, folder, dispatched):
    pixels = random_pixels(20, 30)
    _, session = api.create(folder)
    status, patch = api.put(session, 'a', turned(pixels), orientation='stored')
    assert (status, patch['shape'], patch['orientation']) == (201, [20, 30, 3], 'stored'), patch
    status, refusal = api.put(session, 'a', turned(pixels))
    assert (status, 'orientation' in refusal['message']) == (409, True), refusal
    status, refusal = api.put(session, 'b', turned(pixels), orientation='left')
    assert (status, refusal['message'].startswith('orientation: expected upright or stored')) == (400, True)
    assert np.array_equal(np.moveaxis(finished(api, session, dispatched), 0, -1), pixels)


def as_before_the_update(session, **recorded):
    """Let the patches of a session be recorded as a version did that read their files otherwise."""
    from girder_zarr.server.patches.model import StitchPatch

    StitchPatch().collection.update_many({'sessionId': ObjectId(session['_id'])}, {'$set': recorded})


@pytest.mark.parametrize('recorded', [{'shape': [20, 30, 3]}, {'dtype': 'uint16'}])
def test_patches_of_before_an_update_are_named_and_taken_again(api, folder, dispatched, recorded):
    pixels = random_pixels(20, 30)
    body = turned(pixels)
    _, session = api.create(folder)
    assert api.put(session, 'a', body)[0] == 201
    as_before_the_update(session, **recorded)
    if 'dtype' in recorded:
        StitchSession().collection.update_one({'_id': ObjectId(session['_id'])}, {'$set': recorded})
    assert api.finalize(session)[0] == 200
    with contextlib.suppress(UnsupportedFormatError):
        dispatched.run()
    failed = api.get(session)[1]
    assert failed['state'] == 'error'
    assert failed['error'].startswith('Patch a should hold')
    assert failed['error'].endswith('is read as 20 x 30 of 3 bands of uint8: send the patch again.')
    if 'dtype' in recorded:
        status, refusal = api.put(session, 'a', body)
        assert (status, refusal['message'].startswith('dtype: ')) == (409, True), refusal
        return
    status, patch = api.put(session, 'a', body)
    assert (status, patch['status'], patch['shape']) == (200, 'replaced', [30, 20, 3]), patch
    with Image.open(io.BytesIO(body)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(np.moveaxis(finished(api, session, dispatched), 0, -1), upright)
