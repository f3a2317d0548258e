"""The fields that a session is created with, and those that may change while it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder_zarr.errors import ConflictError, InvalidInputError
from girder_zarr.server.settings import session_expiry, session_limits
from girder_zarr.stitch.spec.model import StitchSpec

from .model import StitchSession, check_name, to_extent
from .states import COMPLETE, EDITABLE, OPEN, check_editable

if TYPE_CHECKING:
    import datetime as dt

    from girder_zarr.server.common.names import Document

#: How often a change is tried while patches arrive: each that arrives between reading and writing costs one.
_MAX_TRIES = 50


def split(spec: Any) -> tuple[Any, float | dt.datetime | None]:
    """Return a spec without what is not about the image, and when the session expires.

    :raises InvalidInputError: ``spec.expires`` is malformed.
    """
    if not isinstance(spec, dict) or 'expires' not in spec:
        return spec, None
    rest = {name: value for name, value in spec.items() if name != 'expires'}
    return rest, session_expiry.parse('spec.expires', spec['expires'])


def edit(session: Document, body: Document) -> Document:
    """Change name and spec of a session; return it. Fields of the spec that are not named stay.

    Another spec opens a complete session again if it still has its patches; its item stays as it is.

    :param body: ``{'name', 'spec'}``, each optional. A field of the spec that is null gets its default.
    :raises InvalidInputError: a field is unknown or malformed. After any error nothing has changed.
    :raises ConflictError: the session is not editable, or its patches do not fit the new spec.
    :raises LimitExceededError: the image would become too large.
    """
    unknown = sorted(set(body) - {'name', 'spec'})
    if unknown:
        msg = f'{unknown[0][:80]}: expected one of the fields name, spec.'
        raise InvalidInputError(msg)
    given = body.get('spec') if body.get('spec') is not None else {}
    if not isinstance(given, dict):
        msg = f'spec: expected an object, found {str(given)[:80]!r}.'
        raise InvalidInputError(msg)
    changes: Document = {'state': OPEN, 'error': None}
    if body.get('name') is not None:
        changes['name'] = check_name(body['name'])
    rest, expires = split(given)
    if 'expires' in given:
        changes['expires'] = expires
    for _ in range(_MAX_TRIES):
        again = bool(given) and _can_be_made_again(session)
        if not again:
            check_editable(session)
        spec = StitchSpec.from_json({**session['spec'], **rest})
        spec.check_installed()
        session_limits.current().check_registration(spec)
        check_patches_fit(session, spec)
        query = {
            'state': session['state'] if again else {'$in': EDITABLE},
            'revision': session['revision'],
            'specRevision': session.get('specRevision'),
        }
        if again:
            changes |= {'jobId': None, 'itemId': None, 'fileId': None}
        update = {'$set': {**changes, 'spec': spec.to_json()}, '$inc': {'revision': 1, 'specRevision': 1}}
        changed = StitchSession().change(session['_id'], query, update)
        if changed is not None:
            return changed
        session = StitchSession().get(session['_id'])
    msg = 'The session goes on changing while patches arrive; try again.'
    raise ConflictError(msg)


def _can_be_made_again(session: Document) -> bool:
    """Return whether a session is complete and still has its patches, so that it can be made anew."""
    has_patches = session['spec']['keepPatches'] and session['counts']['patches'] > 0
    return bool(session['state'] == COMPLETE and has_patches)


def check_patches_fit(session: Document, spec: StitchSpec) -> None:
    """Check the patches that a session has against a spec.

    :raises ConflictError: they do not fit; the message names the field.
    :raises LimitExceededError: the image would be too large.
    """
    if session['dtype'] is None or not session['extent']:
        return
    try:
        spec.check_dtype(session['dtype'], session['bands'])
    except ConflictError as error:
        sentence = str(error)
        raise ConflictError(
            sentence if sentence.startswith('spec.') else f'spec.background: {sentence}'
        ) from error
    spec.check_block(session['dtype'], session['bands'])
    extent = to_extent(session['extent'], session['axes'] or ())
    session_limits.current().check_extent(extent, spec, session['bands'])
