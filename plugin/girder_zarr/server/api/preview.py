"""A session as a tile source over REST, with the parameters of large_image's routes for items.

docs/rest.md describes the routes for client authors.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import cherrypy
from girder.api import access
from girder.api.describe import Description, autoDescribeRoute, describeRoute
from girder.api.rest import getCurrentUser, setRawResponse, setResponseHeader
from girder.constants import AccessType, TokenScope
from large_image.constants import TileOutputMimeTypes
from large_image.exceptions import TileGeneralError, TileSourceXYZRangeError
from large_image.tilesource.tileiterator import TileIterator

from girder_zarr.errors import GirderZarrError, InvalidInputError, LimitExceededError, NotFoundError
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.common.strict_resource import reads_parameters
from girder_zarr.server.http_input.tile_params import (
    ENCODINGS,
    FRAME,
    INDEX,
    PARTIAL,
    REGION,
    REGION_NAMES,
    SOURCE,
    THUMBNAIL,
    read_numbers,
    read_parameters,
)
from girder_zarr.server.preview import session_source, tracker
from girder_zarr.server.sessions.model import StitchSession

from .item_values import MAX_FRAMES, values_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder.api.rest import Resource

    from girder_zarr.server.common.names import Document

#: Pixels of one picture for people who have signed in: 8192 x 8192.
MAX_PIXELS = 2**26
#: Pixels of one picture for anybody: 2048 x 2048, more than a screen shows, in some 50 MB.
MAX_ANONYMOUS_PIXELS = 2**22
#: Sides of a thumbnail where none is asked for.
_THUMBNAIL = 256


def describe(summary: str) -> Description:
    """Return the description of a route that reads what has arrived of a session."""
    return (
        Description(summary)
        .param('id', 'The session.', paramType='path')
        .errorResponse('Read access was denied on the folder.', 403)
        .errorResponse('There is no such session, tile or frame, or the session has no patches.', 404)
        .errorResponse('The session has more patches, or the picture more pixels, than the limit.', 413)
    )


def describe_picture(summary: str) -> Description:
    """Return the description of a route that answers with a picture."""
    described = describe(summary).produces(['image/jpeg', 'image/png', 'image/tiff'])
    return described.errorResponse('A parameter is malformed.')


def answers_tile_errors(make: Callable[[], Any]) -> Any:
    """Return what a tile source makes.

    :raises NotFoundError: there is no such tile. :raises InvalidInputError: it refuses the parameters.
    """
    try:
        return make()
    except GirderZarrError:
        raise
    except TileSourceXYZRangeError as error:
        raise NotFoundError(str(error)) from error
    except (TileGeneralError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f'The parameters do not fit together: {error}') from error


class PreviewRoutes:
    """``/stitch_session/:id/tiles``."""

    def __init__(self, resource: Resource) -> None:
        resource.route('GET', (':id', 'tiles'), self.getTilesInfo)
        resource.route('GET', (':id', 'tiles', 'internal_metadata'), self.getInternalMetadata)
        resource.route('GET', (':id', 'tiles', 'zxy', ':z', ':x', ':y'), self.getTile)
        resource.route('GET', (':id', 'tiles', 'fzxy', ':frame', ':z', ':x', ':y'), self.getTileOfFrame)
        resource.route('GET', (':id', 'tiles', 'region'), self.getTilesRegion)
        resource.route('GET', (':id', 'tiles', 'thumbnail'), self.getTilesThumbnail)
        resource.route('GET', (':id', 'coverage'), self.getCoverage)
        resource.route('GET', (':id', 'values'), self.getValues)

    def _state(self, session_id: str, params: Document | None = None) -> session_source.SessionState:
        user = getCurrentUser()
        session = StitchSession().require(session_id, user, AccessType.READ)
        most = tracker.MAX_ANONYMOUS_PATCHES if user is None else None
        return tracker.state_of(session, most, _revision_of(params or {}))

    @access.public(cookie=True, scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        describe('Get large image metadata of what has arrived so far.').param(
            'partial',
            'Name the patches that tiles with "partial" leave out.',
            required=False,
            dataType='boolean',
            default=False,
        )
    )
    @answers_errors
    def getTilesInfo(self, id: str, partial: bool) -> Any:  # noqa: A002 - Girder's name for it
        """Return the metadata."""
        state = self._state(id)
        setResponseHeader('Cache-Control', 'private, no-store')
        return (tracker.partial_state(state) if partial else state).source().getMetadata()

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(describe('Get how much of the image has arrived, and where the holes are.'))
    @answers_errors
    def getCoverage(self, id: str) -> Document:  # noqa: A002
        """Return what is covered."""
        state = self._state(id)
        setResponseHeader('Cache-Control', 'private, no-store')
        return {'revision': state.session['revision'], **state.coverage}

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        describe('Get the values of one pixel of what has arrived so far.')
        .param('x', 'The column of the pixel in the image, from 0.', dataType='integer')
        .param('y', 'The row of the pixel.', dataType='integer')
        .param('frames', 'Frames of the image, as "0,1,2".', required=False, default='0')
    )
    @answers_errors
    def getValues(self, id: str, x: int, y: int, frames: str) -> Document:  # noqa: A002
        """Return the values of a pixel."""
        numbers = read_numbers('frames', frames, MAX_FRAMES)
        state = self._state(id)
        setResponseHeader('Cache-Control', 'private, no-cache')
        return {'revision': state.session['revision'], **values_of(state.source(), x, y, numbers)}

    @access.public(cookie=True, scope=TokenScope.DATA_READ)
    @autoDescribeRoute(describe('Get all that is known of the image of what has arrived so far.'))
    @answers_errors
    def getInternalMetadata(self, id: str) -> Any:  # noqa: A002
        """Return the internal metadata."""
        state = self._state(id)
        setResponseHeader('Cache-Control', 'private, no-store')
        return {**state.source().getInternalMetadata(), 'stitchSession': state.describe()}

    @access.public(cookie=True, scope=TokenScope.DATA_READ)
    @describeRoute(
        describe_picture('Get a tile of what has arrived so far.')
        .notes(
            'Other parameters are those of the tiles of items: encoding, jpegQuality, style, frame ...; and '
            'partial (true or false, as of all pictures here): leave out patches whose overviews are still '
            'being made, rather than wait for them.'
        )
        .param('z', 'The layer of the tile; 0 is the most zoomed-out.', paramType='path')
        .param('x', 'The column of the tile.', paramType='path')
        .param('y', 'The row of the tile.', paramType='path')
    )
    @answers_errors
    @reads_parameters
    def getTile(self, id: str, z: str, x: str, y: str, params: Document) -> Any:  # noqa: A002
        """Return a tile."""
        state = self._state(id, params)
        place = read_parameters({'z': z, 'x': x, 'y': y}, dict.fromkeys('zxy', INDEX))
        options = read_parameters(params, {**SOURCE, **FRAME, **PARTIAL})
        state = _pictured(state, options)
        frame = {'frame': options.pop('frame')} if 'frame' in options else {}

        def make() -> Any:
            source = state.source(**options)
            _check_frame(source, frame)
            return source.getTile(place['x'], place['y'], place['z'], **frame), source.getTileMimeType()

        return _picture(state, ['tile', place, options, frame], make)

    @access.public(cookie=True, scope=TokenScope.DATA_READ)
    @describeRoute(
        describe_picture('Get a tile of one frame of what has arrived so far.')
        .param('frame', 'The number of the frame.', paramType='path')
        .param('z', 'The layer of the tile; 0 is the most zoomed-out.', paramType='path')
        .param('x', 'The column of the tile.', paramType='path')
        .param('y', 'The row of the tile.', paramType='path')
    )
    @reads_parameters
    def getTileOfFrame(self, id: str, frame: str, z: str, x: str, y: str, params: Document) -> Any:  # noqa: A002
        """Return a tile of a frame."""
        return self.getTile(id=id, z=z, x=x, y=y, params={**params, 'frame': frame})

    @access.public(cookie=True, scope=TokenScope.DATA_READ)
    @describeRoute(
        describe_picture('Get a region of what has arrived so far, optionally scaled.').notes(
            'The parameters are those of regions of items: left, top, right, bottom, regionWidth, '
            'regionHeight, units, width, height, fill, frame, magnification, encoding, style ...'
        )
    )
    @answers_errors
    @reads_parameters
    def getTilesRegion(self, id: str, params: Document) -> Any:  # noqa: A002
        """Return a region."""
        state = self._state(id, params)
        values = read_parameters(params, {**SOURCE, **FRAME, **REGION, **PARTIAL})
        state = _pictured(state, values)
        options = {name: values.pop(name) for name in SOURCE if name in values}
        arguments: Document = {}
        for name, value in values.items():
            group, inner = REGION_NAMES.get(name, (None, name))
            (arguments.setdefault(group, {}) if group else arguments)[inner] = value

        def make() -> Any:
            source = state.source(**options)
            _check_frame(source, arguments)
            _check_size(source, arguments)
            return source.getRegion(**arguments, encoding=options.get('encoding', 'JPEG'))

        return _picture(state, ['region', arguments, options], make)

    @access.public(cookie=True, scope=TokenScope.DATA_READ)
    @describeRoute(
        describe_picture('Get a thumbnail of what has arrived so far.')
        .param('width', 'The width of the thumbnail at most.', required=False, dataType='integer')
        .param('height', 'The height of the thumbnail at most.', required=False, dataType='integer')
        .param('fill', 'A color that pads it to this size.', required=False)
        .param('frame', 'The number of the frame.', required=False, dataType='integer')
        .param('encoding', 'How it is encoded.', required=False, enum=list(ENCODINGS), default='JPEG')
    )
    @answers_errors
    @reads_parameters
    def getTilesThumbnail(self, id: str, params: Document) -> Any:  # noqa: A002
        """Return a thumbnail."""
        state = self._state(id, params)
        values = read_parameters(params, {**SOURCE, **FRAME, **THUMBNAIL, **PARTIAL})
        state = _pictured(state, values)
        options = {name: values.pop(name) for name in SOURCE if name in values}
        if 'width' not in values and 'height' not in values:
            values.update(width=_THUMBNAIL, height=_THUMBNAIL)

        def make() -> Any:
            source = state.source(**options)
            _check_frame(source, values)
            return source.getThumbnail(**values)

        return _picture(state, ['thumbnail', values, options], make)


def _revision_of(params: Document) -> int | None:
    """Return the revision that a partial picture is to have at least; others are of the newest."""
    revision = str(params.get('revision', ''))
    if params.get('partial') != 'true' or not re.fullmatch('[0-9]{1,18}', revision):
        return None
    return int(revision)


def _pictured(state: session_source.SessionState, values: Document) -> session_source.SessionState:
    """Take ``partial`` out of the parameters of a picture, and return the state that it is made of."""
    if values.pop('partial', False):
        return tracker.partial_state(state)
    tracker.hurry()
    return state


def _check_frame(source: session_source.PreviewTileSource, arguments: Document) -> None:
    """Check that there is such a frame.

    :raises NotFoundError: there is not.
    """
    if arguments.get('frame', 0) >= source.frames:
        msg = f'frame: the image has {source.frames} frames, counted from 0; found {arguments["frame"]}.'
        raise NotFoundError(msg)


def _check_size(source: Any, arguments: Document) -> None:
    """Check how large a region will be before anything is read.

    :raises LimitExceededError: too large.
    """
    info = TileIterator(source, resample=None, **arguments).info
    pixels = info['output']['width'] * info['output']['height'] if info else 0
    limit = MAX_PIXELS if getCurrentUser() is not None else MAX_ANONYMOUS_PIXELS
    if pixels > limit:
        msg = f'The region would have {pixels} pixels; the limit is {limit}: give a width or a height.'
        raise LimitExceededError(msg)


def _picture(state: session_source.SessionState, what: list[Any], make: Callable[[], tuple[Any, str]]) -> Any:
    """Answer with a picture, or with 304 where the client has it.

    A client asks every time: what it has is right as long as nothing of the session has changed.

    :param what: tells the picture from others of the session.
    """
    setResponseHeader('Cache-Control', 'private, no-cache')
    etag = None
    if state.etag is not None and not state.image.problems:
        etag = hashlib.sha256(repr((state.etag, what)).encode()).hexdigest()[:32]
        known = [str(tag).strip('W/"') for tag in cherrypy.request.headers.elements('If-None-Match') or []]
        if etag in known or known == ['*']:
            setResponseHeader('ETag', f'"{etag}"')
            cherrypy.response.status = 304
            setRawResponse()
            return b''
    data, mime_type = answers_tile_errors(make)
    # Something may have come to light while it was made.
    if etag is not None and not state.image.problems:
        setResponseHeader('ETag', f'"{etag}"')
    setResponseHeader('Content-Type', TileOutputMimeTypes.get(mime_type, mime_type))
    setRawResponse()
    return bytes(data)
