"""The routes of share links. docs/rest.md describes them for client authors, docs/share.md for users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder.api import access
from girder.api.describe import Description, autoDescribeRoute, describeRoute
from girder.api.rest import Resource, getApiUrl
from girder.constants import TokenScope

from girder_zarr.errors import InvalidInputError, NotFoundError
from girder_zarr.server.common.database import object_id
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.http_input import list_params, request_body
from girder_zarr.server.iiif.iiif_address import address_beside
from girder_zarr.server.settings import viewers
from girder_zarr.server.share.grants import forget_grants
from girder_zarr.server.share.links import (
    KINDS,
    ZarrLink,
    check_expires,
    check_label,
    load_target,
    may_read,
    view,
)
from girder_zarr.server.share.reads import ZarrRead, counts
from girder_zarr.server.share.requests import SUFFIX

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

_FIELDS = (*KINDS.values(), 'label', 'expires')
_NOTES = 'See docs/share.md of girder_zarr.'


class ZarrLinkResource(Resource):
    """``/zarr_link``."""

    def __init__(self) -> None:
        super().__init__()
        self.resourceName = 'zarr_link'
        self.route('GET', (), self.listLinks)
        self.route('POST', (), self.createLink)
        self.route('DELETE', (':id',), self.deleteLink)
        self.route('GET', (':id', 'reads'), self.getReads)
        self.route('GET', ('viewers',), self.listViewers)

    # A link outlives the token that makes it, so that a token for reading data alone makes none.
    @access.user(scope=TokenScope.DATA_OWN)
    @describeRoute(
        Description(
            'Make a share link: a key by which anybody reads an image, a folder or a session as OME-Zarr.'
        )
        .notes(f'The answer holds the key, which is not shown again. {_NOTES}')
        .param(
            'body', 'A JSON object with itemId, folderId or sessionId, label and expires.', paramType='body'
        )
        .errorResponse('A field is missing, unknown or malformed.')
        .errorResponse('There is no such target that you may read.', 404)
        .errorResponse('You have as many links as one may have.', 429)
    )
    @answers_errors
    def createLink(self, params: Document) -> Document:  # noqa: ARG002 - Girder passes it
        """Make a link."""
        body = request_body.read_json()
        unknown = sorted(set(body) - set(_FIELDS))
        if unknown:
            msg = f'{unknown[0][:80]}: expected one of the fields {", ".join(_FIELDS)}.'
            raise InvalidInputError(msg)
        user = self.getCurrentUser()
        kind, target = _one_target(body, user)
        if kind is None or target is None:
            msg = f'expected one of {", ".join(KINDS.values())}.'
            raise InvalidInputError(msg)
        label, expires = check_label(body.get('label')), check_expires(body.get('expires'))
        link, key = ZarrLink().create(user, kind, target, label, expires)
        suffix = '' if kind == 'folder' else SUFFIX
        return {**view(link), 'key': key, 'url': f'{_site()}/zarr/k/{key}{suffix}/'}

    @access.user(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('List share links: your own, or those of a target; its administrators see them all.')
        .notes(_NOTES)
        .param('itemId', 'Links to this item only.', required=False)
        .param('folderId', 'Links to this folder only.', required=False)
        .param('sessionId', 'Links to this session only.', required=False)
        .param('limit', 'The most links.', dataType='integer', required=False, default=50)
        .param('offset', 'Links to pass over.', dataType='integer', required=False, default=0)
        .errorResponse('A parameter is malformed.')
        .errorResponse('There is no such target that you may read.', 404)
    )
    @answers_errors
    def listLinks(
        self, itemId: str | None, folderId: str | None, sessionId: str | None, limit: int, offset: int
    ) -> list[Document]:
        """List links."""
        list_params.check(limit, offset)
        user = self.getCurrentUser()
        given = {'itemId': itemId, 'folderId': folderId, 'sessionId': sessionId}
        kind, target = _one_target({name: value for name, value in given.items() if value is not None}, user)
        counts.flush()
        return [view(link) for link in ZarrLink().list_for(user, kind, target, limit, offset)]

    @access.user(scope=TokenScope.DATA_OWN)
    @autoDescribeRoute(
        Description('Revoke a share link. It is of no use within five seconds.')
        .param('id', 'The link.', paramType='path')
        .errorResponse('There is no such link that you may revoke.', 404)
    )
    @answers_errors
    def deleteLink(self, id: str) -> Document:  # noqa: A002 - Girder's name for it
        """Revoke a link."""
        link = ZarrLink().require(id, self.getCurrentUser())
        ZarrLink().remove(link)
        forget_grants()  # other processes hold theirs for seconds
        return {'message': f'Revoked the share link {link["hint"]}... {link["label"]}'.rstrip()}

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('List the programs that open an image by its address, with the address filled in.')
        .notes('Administrators change the list in the setting zarr.viewers.')
        .param('url', 'The address of the image, such as that of a share link.')
        .errorResponse('The address is malformed.')
    )
    @answers_errors
    def listViewers(self, url: str) -> list[dict[str, str]]:
        """List viewers."""
        if not viewers.is_address(url):
            msg = f'url: expected an address of http or https, found {url[:80]!r}.'
            raise InvalidInputError(msg)
        return viewers.filled(url, **_iiif_of(url))

    @access.user(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Get how much was read by a share link, by the hour.')
        .param('id', 'The link.', paramType='path')
        .param('limit', 'The most hours.', dataType='integer', required=False, default=50)
        .param('offset', 'Hours to pass over.', dataType='integer', required=False, default=0)
        .errorResponse('There is no such link that you may see.', 404)
    )
    @answers_errors
    def getReads(self, id: str, limit: int, offset: int) -> list[Document]:  # noqa: A002
        """Return the counts of a link."""
        list_params.check(limit, offset)
        link = ZarrLink().require(id, self.getCurrentUser())
        counts.flush()
        return ZarrRead().of_link(link, limit, offset)


def _one_target(given: Document, user: Document) -> tuple[str | None, Document | None]:
    """Return the kind and document of the one target that is named, or None and None.

    :raises InvalidInputError: more than one is named. :raises NotFoundError: the user may not read it.
    """
    named = [kind for kind, field in KINDS.items() if given.get(field) is not None]
    if len(named) > 1:
        msg = f'expected one of {", ".join(KINDS.values())}, found {len(named)} of them.'
        raise InvalidInputError(msg)
    if not named:
        return None, None
    kind = named[0]
    target_id = object_id(given[KINDS[kind]], kind)
    target = load_target(kind, target_id)
    if target is None or not may_read(kind, target, user):
        msg = f'There is no {kind} {target_id} that you may read.'
        raise NotFoundError(msg)
    return kind, target


def _site() -> str:
    """Return the address of the server as the client knows it."""
    url: str = getApiUrl(preferReferer=False)
    return url.rsplit('/api/', 1)[0]


def register(info: Document) -> None:
    """Add the routes to a server. Called from the plugin's ``load``."""
    info['apiRoot'].zarr_link = ZarrLinkResource()
    request_body.install(info['serverRoot'], '/v1/zarr_link')


def _iiif_of(url: str) -> dict[str, str]:
    """Return the addresses of IIIF of what an address names: no session has one, a folder has no image."""
    found = address_beside(url)
    if found is None:
        return {}
    door, name, base = found
    is_image = door == 'item'
    if not is_image:
        link = ZarrLink().of_key(name)
        if link is None or link['sessionId'] is not None:
            return {}
        is_image = link['itemId'] is not None
    return {'manifest': f'{base}/manifest', **({'info': f'{base}/info.json'} if is_image else {})}
