"""The routes of a session's patches. docs/rest.md describes them for client authors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cherrypy
from girder.api import access
from girder.api.describe import Description, autoDescribeRoute
from girder.api.rest import getCurrentUser, setRawResponse, setResponseHeader
from girder.constants import AccessType, TokenScope

from girder_zarr.errors import InvalidInputError
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.http_input import list_params
from girder_zarr.server.patches.document import SHOWN, view
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.reader import open_stored
from girder_zarr.server.sessions.model import StitchSession, spec_of
from girder_zarr.stitch.patch import check_key
from girder_zarr.stitch.spec import patch_parameters

from . import keyed_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from girder.api.rest import Resource

    from girder_zarr.server.common.names import Document
    from girder_zarr.stitch.spec.patch_parameters import PatchParameters


#: The patches that are listed at a time to somebody who has not signed in.
MAX_ANONYMOUS_PATCHES = 10_000
#: What is read and sent at once of a file.
_BLOCK_BYTES = 2**20


class PatchRoutes:
    """``/stitch_session/:id/patch``."""

    def __init__(self, resource: Resource) -> None:
        resource.route('GET', (':id', 'patch'), self.listPatches)
        resource.route('GET', (':id', 'patch', ':key'), self.getPatch)
        resource.route('GET', (':id', 'patch', ':key', 'file'), self.getPatchFile)
        resource.route('PUT', (':id', 'patch', ':key'), self.putPatch)
        resource.route('DELETE', (':id', 'patch', ':key'), self.deletePatch)

    @access.user(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Store a patch under a key of your choice.')
        .notes(
            'The body is the image file, recognised by its first bytes: PNG, JPEG, TIFF, WebP, JPEG XL, npy; '
            'or raw pixels, whose shape and dtype are given. '
            'The same patch again changes nothing. '
            'With the header Content-Digest (RFC 9530, sha-256) the server checks what arrived.'
        )
        .param('id', 'The session.', paramType='path')
        .param('key', '1 to 200 of the characters A-Z a-z 0-9 . _ ~ - , @ = +', paramType='path')
        .param('x', 'Where its first pixel lies; may be negative.', dataType='number', required=False)
        .param('y', 'The same, downwards.', dataType='number', required=False)
        .param('unit', 'Of x and y: pixel or, with spec.pixelSize, a unit of length.', required=False)
        .param('row', 'In place of x and y, with spec.grid.', dataType='integer', required=False)
        .param('column', 'The same, along x.', dataType='integer', required=False)
        .param('t', 'Index in time.', dataType='integer', required=False)
        .param('z', 'Index of the plane.', dataType='integer', required=False)
        .param('c', 'Index of the channel.', dataType='integer', required=False)
        .param('index', 'Indices along axes of other names, such as {"angle": 2}.', required=False)
        .param(
            'order',
            'Decides, before the key, what counts in overlaps.',
            dataType='integer',
            required=False,
            default=0,
        )
        .param('weight', 'How much it counts in means, 1 if not given.', dataType='number', required=False)
        .param('mask', "'alpha': pixels count by their alpha.", required=False)
        .param('maskKey', 'The key of the reference image by which pixels count.', required=False)
        .param('shape', 'Of raw pixels: y,x or y,x,bands.', required=False)
        .param('dtype', 'Of raw pixels, such as uint16 or >uint16.', required=False)
        .param('compression', 'Of raw pixels: gzip or zstd.', required=False)
        .param('orientation', "'stored': as it lies in the file, not turned upright.", required=False)
        .param(
            'page',
            'Of a TIFF of several pages: the one that is the patch.',
            dataType='integer',
            required=False,
        )
        .param(
            'pages',
            'Of a TIFF of several pages: each is a patch, key@0 and so on, and they lie along c, z or t; '
            'auto: as the file says.',
            required=False,
        )
        .param(
            'sameAs',
            'With page: the key of a patch that is a page of the same file, which is not sent again.',
            required=False,
        )
        .param(
            'replace',
            'Put it in the place of another patch.',
            dataType='boolean',
            required=False,
            default=False,
        )
        .param(
            'arrival',
            'To put a patch back: the arrival that it had before it was removed or replaced.',
            dataType='integer',
            required=False,
        )
        .param('body', 'The image file.', paramType='body', dataType='binary')
        .errorResponse('A parameter, the key or the digest is malformed, or the digest differs.')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
        .errorResponse('The session is finalizing or complete, or the key or the pixels do not fit it.', 409)
        .errorResponse('The patch exceeds a limit.', 413)
        .errorResponse('The body is not an image of a known format.', 415)
        .errorResponse('The disk has no room.', 507)
    )
    @answers_errors
    def putPatch(
        self,
        id: str,  # noqa: A002 - Girder's name for it
        key: str,
        replace: bool,
        sameAs: str | None,
        arrival: int | None,
        **given: Any,
    ) -> Document:
        """Store a patch."""

        def parse(session: Document) -> PatchParameters:
            return patch_parameters.parse(given, spec_of(session))

        if arrival is not None and (sameAs is not None or given.get('pages') is not None):
            msg = 'arrival: expected neither sameAs nor pages beside it, found both.'
            raise InvalidInputError(msg)
        if sameAs is not None:
            return view(*keyed_images.put_held(id, key, sameAs, parse, replace=replace))
        if given.get('pages') is None:
            return view(*keyed_images.put(id, key, StitchPatch(), parse, replace=replace, rank=arrival))
        documents, status = keyed_images.put_pages(id, key, parse, replace=replace)
        return {'key': key, 'status': status, 'patches': [view(document) for document in documents]}

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('List the patches of a session, ordered by key.')
        .param('id', 'The session.', paramType='path')
        .param('limit', 'How many; 0 for all.', dataType='integer', required=False, default=50)
        .param('offset', 'How many to pass over.', dataType='integer', required=False, default=0)
        .param('after', 'Only those whose keys come behind this one.', required=False)
        .param('fields', 'Only these, such as key,digest.', required=False)
        .errorResponse('A parameter is malformed.')
        .errorResponse('Read access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
        .errorResponse('More were asked for than are listed without signing in.', 413)
    )
    @answers_errors
    def listPatches(
        self,
        id: str,  # noqa: A002
        limit: int,
        offset: int,
        after: str | None,
        fields: str | None,
    ) -> list[Document]:
        """List the patches of a session."""
        list_params.check(limit, offset)
        wanted = list_params.fields(fields, SHOWN)
        if after:
            check_key(after)
        session = StitchSession().require(id, getCurrentUser(), AccessType.READ)
        total = session['counts']['patches']
        if getCurrentUser() is None:
            list_params.check_for_all(limit, offset, total, MAX_ANONYMOUS_PATCHES)
        cherrypy.response.headers['Girder-Total-Count'] = str(total)
        found = StitchPatch().list_page(session, limit, offset, after or '', wanted)
        if wanted is None:
            return [view(document) for document in found]
        return [{name: document[name] for name in wanted} for document in found]

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Get what is known of a patch, or of the pages of a file.')
        .param('id', 'The session.', paramType='path')
        .param('key', 'The key of the patch.', paramType='path')
        .errorResponse('Read access was denied on the folder.', 403)
        .errorResponse('There is no such session or patch.', 404)
    )
    @answers_errors
    def getPatch(self, id: str, key: str) -> Document:  # noqa: A002
        """Return what is known of a patch."""
        session = StitchSession().require(id, getCurrentUser(), AccessType.READ)
        found = StitchPatch().find_key(session, key)
        if found is not None:
            return view(found)
        return {'key': key, 'patches': [view(page) for page in keyed_images.pages_of(session, key)]}

    # What a file holds besides its pixels is for those who may change it.
    @access.user(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Get the file of a patch as it was sent.')
        .produces('application/octet-stream')
        .param('id', 'The session.', paramType='path')
        .param('key', 'The key of the patch.', paramType='path')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such session or patch.', 404)
        .errorResponse('The patch is a file in Girder, which is downloaded there.', 409)
        .errorResponse('The file is gone.', 415)
    )
    @answers_errors
    def getPatchFile(self, id: str, key: str) -> Callable[[], Iterator[bytes]]:  # noqa: A002
        """Return the bytes of a patch."""
        session = StitchSession().require(id, getCurrentUser(), AccessType.WRITE)
        found = StitchPatch().get(session, key)
        stream = open_stored(found)
        setResponseHeader('Content-Type', 'application/octet-stream')
        setResponseHeader('Content-Disposition', f'attachment; filename="{key}"')
        setResponseHeader('Content-Length', found['size'])
        setResponseHeader('Cache-Control', 'private, no-store')
        setRawResponse()

        def body() -> Iterator[bytes]:
            with stream:
                while block := stream.read(_BLOCK_BYTES):
                    yield block

        return body

    @access.user(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Remove a patch, or all pages of a file.')
        .param('id', 'The session.', paramType='path')
        .param('key', 'The key of the patch.', paramType='path')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such session or patch.', 404)
        .errorResponse('The session is finalizing or complete.', 409)
    )
    @answers_errors
    def deletePatch(self, id: str, key: str) -> Document:  # noqa: A002
        """Remove a patch."""
        return keyed_images.delete_patches(id, key)
