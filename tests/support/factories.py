"""Users and patches, made with what most tests do not care about."""

from __future__ import annotations

import hashlib
import io

from girder_zarr.server.patches.incoming import NewPatch
from girder_zarr.stitch.formats import registry as formats
from girder_zarr.stitch.patch import Placement, format_digest

from .server import png, random_pixels


def make_user(login, *, admin=False):
    from girder.models.user import User

    return User().createUser(
        email=f'{login}@girder.test',
        login=login,
        firstName=login,
        lastName='Test',
        password='password',
        admin=admin,
    )


BODIES = {key: png(random_pixels(8, 8, seed=at)) for at, key in enumerate('abcd')}


def new_patch(key, x=0):
    body = BODIES[key]
    stream = io.BytesIO(body)
    digest = format_digest(hashlib.sha256(body).digest())
    return NewPatch(key, Placement.make(x, 0), 0, digest, len(body), formats.inspect(stream), stream)
