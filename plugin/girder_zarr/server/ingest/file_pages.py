"""One file as several patches: the checked patches of its pages, and how they are stored together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from girder_zarr.common.cache import LRU
from girder_zarr.errors import ConflictError, InvalidInputError
from girder_zarr.server.patches.batch import BatchEntry, put_together
from girder_zarr.server.patches.document import PAGE_MARK, is_page, to_patch
from girder_zarr.server.patches.incoming import CREATED, REPLACED, UNCHANGED, NewPatch
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.reader import open_picture
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.stitch.formats import registry as formats
from girder_zarr.stitch.patch import Placement, check_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from girder_zarr.server.common.names import Document
    from girder_zarr.server.common.spool import Spooled
    from girder_zarr.server.settings.session_limits import StitchLimits
    from girder_zarr.stitch.spec.patch_parameters import PatchParameters


#: Where the pages of files begin that came lately, by their digest: each page of a file may be asked for.
_places: LRU[str, list[formats.PageAt]] = LRU(max_items=4)


@dataclass(frozen=True, slots=True)
class Received:
    """A file that has arrived, or that is in Girder.

    :param stream: seekable.
    :param size: bytes.
    :param digest: as RFC 9530 writes it.
    """

    stream: IO[bytes]
    size: int
    digest: str


def max_bytes(parameters: PatchParameters, limits: StitchLimits) -> int:
    """Return how large a file may be: one of many pages is as much as many patches in one request."""
    is_many = parameters.pages is not None or parameters.options.page is not None
    return limits.requestBytes if is_many else limits.patchBytes


def new_patches(
    key: str, parameters: PatchParameters, file: Received | Spooled, limits: StitchLimits
) -> list[NewPatch]:
    """Return the patches that a file is, each checked by its header.

    With ``pages`` these are its pages, each under the key of the file, ``@`` and its number; a file of one
    page keeps its key.

    :raises UnsupportedFormatError, LimitExceededError: a page cannot be a patch; the message names it.
    :raises InvalidInputError: a key becomes too long.
    """
    if parameters.pages is None:
        return [_new_patch(key, parameters, parameters.placement, file, limits, parameters.options.page)]
    planes = formats.planes(file.stream, parameters.pages, limits.requestPatches)
    found = []
    for plane in planes:
        of_many = len(planes) > 1
        own_key = check_key(f'{key}{PAGE_MARK}{plane.page.number}') if of_many else key
        placement = _moved(parameters.placement, plane.index)
        page = plane.page if of_many else None
        try:
            found.append(_new_patch(own_key, parameters, placement, file, limits, page))
        except Exception as error:
            if of_many:
                error.args = (f'page {plane.page.number}: {error}',)
            raise
    return found


def _new_patch(
    key: str,
    parameters: PatchParameters,
    placement: Placement,
    file: Received | Spooled,
    limits: StitchLimits,
    page: formats.PageAt | None,
) -> NewPatch:
    if page is not None and not page.directory:
        pages = _places.fetch(file.digest, lambda: formats.locate_pages(file.stream))
        page = pages[page.number] if page.number < len(pages) else page
    options = replace(parameters.options, page=page)
    info = formats.inspect(file.stream, limits.for_formats, **options.for_formats)
    options = replace(options, page=info.page or page)
    return NewPatch(key, placement, parameters.order, file.digest, file.size, info, file.stream, options)


def _moved(placement: Placement, index: Mapping[str, int]) -> Placement:
    """Return a placement that is further along some axes, by indices that count from its own."""
    frame: dict[str, int | None] = dict(placement.frame)
    for axis, at in index.items():
        frame[axis] = (frame.get(axis) or 0) + at
    return Placement.make(placement.x, placement.y, frame)


def put_pages(
    session: Document,
    key: str,
    news: Sequence[NewPatch],
    user: Document,
    limits: StitchLimits,
    *,
    replace: bool,
) -> list[tuple[Document, str]]:
    """Store the pages of a file in place of all that its key stood for.

    What can be refused is refused before anything is stored. After an error between that and the end, the
    same again completes it.

    :returns: the document of each page, and what was done.
    :raises ConflictError: there is something else under one of the keys, and it is not to be replaced.
    """
    old = others(session, key, news, replace=replace)
    entries = [BatchEntry(new, replace) for new in news]
    found = []
    for result in put_together(session, entries, user, limits, whole=True):
        if isinstance(result, Exception):
            raise result
        found.append(result)
    remove(session, old)
    return found


def others(session: Document, key: str, news: Sequence[NewPatch], *, replace: bool) -> list[Document]:
    """Return what else is stored under the key of a file, as one picture or as its pages.

    :param news: what is to be there.
    :raises ConflictError: there is something, and it is not to be replaced.
    """
    kept = {new.key for new in news}
    alone = StitchPatch().find_key(session, key)
    found = [*([] if alone is None else [alone]), *StitchPatch().list_pages(session, key)]
    old = [document for document in found if document['key'] not in kept]
    if old and not replace:
        msg = f'Patch {old[0]["key"]} exists, which the file {key} does not have; replace=true removes it.'
        raise ConflictError(msg)
    return old


def remove(session: Document, documents: Sequence[Document]) -> None:
    """Remove patches that a file replaces as a whole."""
    if documents:
        StitchPatch().discard_pages(StitchSession().get(session['_id']), documents)


def together(statuses: Iterable[str]) -> str:
    """Return in one word what was done with the pages of a file."""
    found = set(statuses)
    return next((one for one in (REPLACED, CREATED) if one in found), UNCHANGED)


def held_file(session: Document, key: str, user: Document) -> tuple[Document, Received]:
    """Return the document of a page that is stored, and its file, of which another page is to be a patch.

    :raises NotFoundError: there is no such patch.
    :raises ConflictError: it is no page of a file that this user has sent into this session.
    """
    document = StitchPatch().get(session, check_key(key))
    if not is_page(document) or document.get('shared'):
        what = 'a file in Girder; name its fileId' if document.get('shared') else 'no page of a file'
        msg = f'sameAs: expected a patch that was sent with page or pages, found {key}, which is {what}.'
        raise ConflictError(msg)
    if not StitchPatch().is_of(document, user):
        msg = f'sameAs: expected a patch that you have sent yourself, found {key}; send the file.'
        raise ConflictError(msg)
    stream = open_picture(to_patch(document))
    return document, Received(stream, document['size'], document['digest'])


def check_announced(announced: str | None, file: Received) -> None:
    """Check the digest that a client gave of a file that it does not send.

    :raises InvalidInputError: it is another one.
    """
    if announced not in {None, file.digest}:
        msg = f'Content-Digest: announced {announced}, the file of sameAs has {file.digest}.'
        raise InvalidInputError(msg)
