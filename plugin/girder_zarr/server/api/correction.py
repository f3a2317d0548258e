"""The routes that show what is corrected: the light of patches, and what was done to make the image.

docs/rest.md describes them for client authors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder.api import access
from girder.api.describe import Description, autoDescribeRoute
from girder.api.rest import getCurrentUser, setRawResponse, setResponseHeader
from girder.constants import AccessType, TokenScope

from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.http_input.conditional import only_if_new
from girder_zarr.server.jobs.report import report_of
from girder_zarr.server.preview import estimated_light
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.stitch.illumination.field_picture import to_png, to_tiff

if TYPE_CHECKING:
    from girder.api.rest import Resource

    from girder_zarr.server.common.names import Document

_PICTURES = {'PNG': (to_png, 'image/png'), 'TIFF': (to_tiff, 'image/tiff')}


class CorrectionRoutes:
    """``/stitch_session/:id/illumination`` and ``/stitch_session/:id/report``."""

    def __init__(self, resource: Resource) -> None:
        resource.route('GET', (':id', 'illumination'), self.getIllumination)
        resource.route('GET', (':id', 'illumination', ':channel'), self.getFlatField)
        resource.route('GET', (':id', 'report'), self.getReport)

    @access.user(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Estimate the uneven light of the patches that have arrived; nothing is stored.')
        .param('id', 'The session.', paramType='path')
        .errorResponse('Read access was denied on the folder.', 403)
        .errorResponse('There is no such session, or it has no patches.', 404)
        .errorResponse('The patches of a channel differ in size, or do not fit the spec.', 409)
    )
    @answers_errors
    def getIllumination(self, id: str) -> Any:  # noqa: A002 - Girder's name for it
        """Return the estimated flat fields."""
        fields = estimated_light.illumination_of(_readable(id))
        return only_if_new([field.to_json() for field in fields.values()])

    @access.user(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Get the estimated flat field of a channel as a picture.')
        .produces(['image/png', 'image/tiff'])
        .param('id', 'The session.', paramType='path')
        .param('channel', 'The index along c that its patches name, or 0.', paramType='path')
        .param(
            'encoding',
            'PNG to look at, or TIFF (float32, mean 1), which can be put as a reference image.',
            required=False,
            enum=list(_PICTURES),
            default='PNG',
        )
        .errorResponse('A parameter is malformed.')
        .errorResponse('Read access was denied on the folder.', 403)
        .errorResponse('There is no such session or channel, or the session has no patches.', 404)
        .errorResponse('The patches of a channel differ in size, or do not fit the spec.', 409)
    )
    @answers_errors
    def getFlatField(self, id: str, channel: str, encoding: str) -> bytes:  # noqa: A002
        """Return the picture of a flat field."""
        session = _readable(id)
        # what is no number is no channel, as elsewhere in addresses
        number = int(channel) if channel.isascii() and channel.isdigit() and len(channel) < 10 else -1
        encode, mime_type = _PICTURES[encoding]
        data = encode(estimated_light.field_of(session, number))
        setResponseHeader('Content-Type', mime_type)
        setResponseHeader('Cache-Control', 'private, no-cache')
        setRawResponse()
        return data

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Get what was done to make the image: patches, corrections, pairs, light.')
        .param('id', 'The session.', paramType='path')
        .errorResponse('Read access was denied on the folder.', 403)
        .errorResponse('There is no such session.', 404)
        .errorResponse('The session is not complete, or its result is a TIFF, which holds no report.', 409)
        .errorResponse('The report is too large; it lies in the result.', 413)
    )
    @answers_errors
    def getReport(self, id: str) -> Any:  # noqa: A002
        """Return the report."""
        return only_if_new(report_of(_readable(id)))


def _readable(session_id: str) -> Document:
    session: Document = StitchSession().require(session_id, getCurrentUser(), AccessType.READ)
    return session
