"""The routes of a session's reference images. docs/rest.md describes them for client authors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder.api import access
from girder.api.describe import Description, autoDescribeRoute
from girder.api.rest import getCurrentUser
from girder.constants import AccessType, TokenScope

from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.patches.references import StitchReference, view
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.stitch.formats import registry as formats
from girder_zarr.stitch.patch import Placement
from girder_zarr.stitch.spec.patch_parameters import PatchOptions, PatchParameters

from . import keyed_images

if TYPE_CHECKING:
    from girder.api.rest import Resource

    from girder_zarr.server.common.names import Document


class ReferenceRoutes:
    """``/stitch_session/:id/reference``."""

    def __init__(self, resource: Resource) -> None:
        resource.route('GET', (':id', 'reference'), self.listReferences)
        resource.route('PUT', (':id', 'reference', ':key'), self.putReference)
        resource.route('DELETE', (':id', 'reference', ':key'), self.deleteReference)

    @access.user(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Store a mask, flat or dark field under a key by which patches or the spec name it.')
        .param('id', 'The session.', paramType='path')
        .param('key', '1 to 200 of the characters A-Z a-z 0-9 . _ ~ - , @ = +', paramType='path')
        .param('shape', 'Of raw pixels: y,x or y,x,bands.', required=False)
        .param('dtype', 'Of raw pixels, such as uint16 or >uint16.', required=False)
        .param('compression', 'Of raw pixels: gzip or zstd.', required=False)
        .param(
            'replace', 'Put it in the place of another.', dataType='boolean', required=False, default=False
        )
        .param('body', 'The image file.', paramType='body', dataType='binary')
        .errorResponse('A parameter, the key or the digest is malformed, or the digest differs.')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
        .errorResponse('The session is finalizing or complete, or the key holds another image.', 409)
        .errorResponse('The image exceeds a limit.', 413)
        .errorResponse('The body is not an image of a known format.', 415)
        .errorResponse('The disk has no room.', 507)
    )
    @answers_errors
    def putReference(
        self,
        id: str,  # noqa: A002 - Girder's name for it
        key: str,
        shape: str | None,
        dtype: str | None,
        compression: str | None,
        replace: bool,
    ) -> Document:
        """Store a reference image."""
        options = PatchOptions(layout=formats.Layout.parse(shape, dtype, compression))
        stored = keyed_images.put(
            id,
            key,
            StitchReference(),
            lambda _session: PatchParameters(Placement.make(0, 0), 0, options),
            replace=replace,
        )
        return view(*stored)

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('List the reference images of a session, ordered by key.')
        .param('id', 'The session.', paramType='path')
        .errorResponse('Read access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
    )
    @answers_errors
    def listReferences(self, id: str) -> list[Document]:  # noqa: A002
        """List the reference images of a session."""
        session = StitchSession().require(id, getCurrentUser(), AccessType.READ)
        return [view(document) for document in StitchReference().list_session(session)]

    @access.user(scope=TokenScope.DATA_WRITE)
    @autoDescribeRoute(
        Description('Remove a reference image.')
        .param('id', 'The session.', paramType='path')
        .param('key', 'Its key.', paramType='path')
        .errorResponse('Write access was denied on the folder.', 403)
        .errorResponse('There is no such session or reference image.', 404)
        .errorResponse('The session is finalizing or complete.', 409)
    )
    @answers_errors
    def deleteReference(self, id: str, key: str) -> Document:  # noqa: A002
        """Remove a reference image."""
        return keyed_images.delete(id, key, StitchReference())
