"""The routes of many patches at once. docs/rest.md describes them for client authors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cherrypy
from girder.api import access
from girder.api.describe import Description, autoDescribeRoute
from girder.api.rest import getCurrentUser
from girder.constants import AccessType, TokenScope
from girder.exceptions import RestException

from girder_zarr.errors import GirderZarrError, InvalidInputError, LimitExceededError
from girder_zarr.server.common.hidden_paths import shown_to
from girder_zarr.server.common.http_errors import answers_errors, status_of
from girder_zarr.server.http_input import request_body
from girder_zarr.server.ingest import girder_uploads as uploads
from girder_zarr.server.ingest import manifest
from girder_zarr.server.ingest.bulk_ingest import BulkIngest, read_members
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import check_editable
from girder_zarr.server.settings import session_limits
from girder_zarr.stitch.patch import check_key, parse_digest

if TYPE_CHECKING:
    from girder.api.rest import Resource

    from girder_zarr.server.common.names import Document

#: The keys that one request asks for, as docs/rest.md says.
MAX_MISSING_KEYS = 100_000
#: So many of the longest keys, with digests. Anybody may ask of a public session, and what is in memory at
#: once is some three times as much.
MAX_MISSING_BYTES = 2**25
#: The same for somebody who has not signed in: a second and 100 MB of the process, at most.
MAX_ANONYMOUS_KEYS, MAX_ANONYMOUS_BYTES = 20_000, 2**23


class BulkRoutes:
    """``/stitch_session/:id/patches``."""

    def __init__(self, resource: Resource) -> None:
        resource.route('POST', (':id', 'patches'), self.putPatches)
        resource.route('POST', (':id', 'missing'), self.findMissing)
        resource.route('POST', (':id', 'files'), self.addFiles)

    @access.user(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Store many patches from one stream.')
        .notes(
            'The body is a tar (ustar or pax) or multipart. Its first member may be manifest.json or '
            'manifest.csv, which says where each patch belongs. '
            'Each patch is accepted or refused on its own; the answer lists them all.'
        )
        .param('id', 'The session.', paramType='path')
        .param(
            'replace',
            'Put them in the place of others.',
            dataType='boolean',
            required=False,
            default=False,
        )
        .param('body', 'The stream.', paramType='body', dataType='binary')
        .errorResponse('The stream or its manifest is damaged; what came before is stored.')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
        .errorResponse('The session is finalizing or complete.', 409)
        .errorResponse('The request exceeds a limit; what came before is stored.', 413)
        .errorResponse('The body is neither tar nor multipart.', 415)
        .errorResponse('The disk has no room.', 507)
    )
    @answers_errors
    def putPatches(self, id: str, replace: bool) -> Document:  # noqa: A002 - Girder's name for it
        """Store many patches."""
        user = getCurrentUser()
        session = StitchSession().require(id, user, AccessType.WRITE)
        check_editable(session)
        allowed = session_limits.current()
        ingest = BulkIngest(session, user, allowed, replace=replace)
        body = request_body.BodyReader(allowed.requestBytes)
        try:
            ingest.take(read_members(body, cherrypy.request.headers.get('Content-Type', '')))
        except GirderZarrError as error:
            extra = {'patches': [outcome.to_json() for outcome in ingest.outcomes]}
            sentence = shown_to(user, str(error))
            raise RestException(sentence, code=status_of(error), extra=extra) from error
        return {'patches': [outcome.to_json() for outcome in ingest.outcomes]}

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Say which of many patches the session does not have.')
        .notes(
            'The body is {"keys": [...]}, each a key or {"key": ..., "digest": ...}. '
            'The answer lists the keys that are missing and those whose digest differs.'
        )
        .param('id', 'The session.', paramType='path')
        .param('body', 'A JSON object with keys.', paramType='body')
        .errorResponse('The body is malformed.')
        .errorResponse('Read access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
        .errorResponse('The body exceeds a limit.', 413)
    )
    @answers_errors
    def findMissing(self, id: str) -> Document:  # noqa: A002
        """Say which of many patches are missing."""
        user = getCurrentUser()
        session = StitchSession().require(id, user, AccessType.READ)
        keys, size = (MAX_MISSING_KEYS, MAX_MISSING_BYTES)
        if user is None:
            keys, size = MAX_ANONYMOUS_KEYS, MAX_ANONYMOUS_BYTES
        asked = _asked(request_body.read_json(size, max_values=3 * keys + 16, max_texts=4 * keys + 16), keys)
        return StitchPatch().compare(session, asked)

    @access.user(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Let files that are in Girder already be patches.')
        .notes(
            'The body is a manifest, JSON or CSV, whose entries name a fileId or an itemId '
            'besides the fields of a patch. '
            'The files stay where they are and are read when the image is made.'
        )
        .param('id', 'The session.', paramType='path')
        .param(
            'replace',
            'Put them in the place of others.',
            dataType='boolean',
            required=False,
            default=False,
        )
        .param('body', 'The manifest.', paramType='body')
        .errorResponse('The manifest is malformed.')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
        .errorResponse('The session is finalizing or complete.', 409)
        .errorResponse('The manifest exceeds a limit.', 413)
    )
    @answers_errors
    def addFiles(self, id: str, replace: bool) -> Document:  # noqa: A002
        """Let files be patches."""
        user = getCurrentUser()
        session = StitchSession().require(id, user, AccessType.WRITE)
        check_editable(session)
        allowed = session_limits.current()
        body = request_body.BodyReader(manifest.MAX_BYTES).read(manifest.MAX_BYTES)
        entries = manifest.parse(body, allowed.requestPatches)
        outcomes = uploads.add_files(session, entries, user, replace=replace)
        return {'patches': [outcome.to_json() for outcome in outcomes]}


def _asked(body: Document, most: int) -> dict[str, str | None]:
    """Return the digests that are asked for, or None, by key.

    :param most: keys that may be asked for.
    """
    entries = body.get('keys')
    if set(body) != {'keys'} or not isinstance(entries, list):
        msg = f'The body: expected an object with the list keys, found the fields {sorted(body)}.'[:300]
        raise InvalidInputError(msg)
    if len(entries) > most:
        who = '' if most == MAX_MISSING_KEYS else ' without signing in'
        msg = f'keys: expected at most {most}{who}, found {len(entries)}.'
        raise LimitExceededError(msg)
    asked: dict[str, str | None] = {}
    for at, entry in enumerate(entries):
        given = {'key': entry} if isinstance(entry, str) else entry
        if not isinstance(given, dict) or not set(given) <= {'key', 'digest'}:
            msg = f'keys[{at}]: expected a key, or an object with key and digest, found {str(entry)[:80]!r}.'
            raise InvalidInputError(msg)
        key, digest = given.get('key'), given.get('digest')
        if not isinstance(key, str) or not isinstance(digest, str | None):
            msg = f'keys[{at}]: expected texts as key and digest, found {str(entry)[:80]!r}.'
            raise InvalidInputError(msg)
        asked[check_key(key)] = None if digest is None else parse_digest(digest)
    return asked
