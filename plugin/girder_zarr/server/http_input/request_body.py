"""The body of a request as it came over the wire, whatever its Content-Type claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cherrypy

from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.server.common.json_input import MAX_VALUES, parse_json
from girder_zarr.server.common.spool import Spooled, spool

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 256 * 1024
#: So much of a refused body is read and thrown away, since most clients read no answer before they have sent
#: everything; a client that sends more than this finds the connection closed.
MAX_DRAIN = 2**31
_TOOL = 'girder_zarr_raw_body'
#: The last segments of the paths whose POST bodies are left unparsed.
RAW_POSTS = ('/patches', '/missing', '/files')
#: A form of the few parameters that routes take.
MAX_FORM_BYTES = 2**14


class _RawBodyTool(cherrypy.Tool):
    """Keeps CherryPy from parsing bodies of patches as forms; empties the connection before the answer."""

    def __init__(self) -> None:
        super().__init__('before_request_body', self._begin, name=_TOOL)

    def _setup(self) -> None:
        super()._setup()
        cherrypy.serving.request.hooks.attach('before_finalize', _drain)

    @staticmethod
    def _begin() -> None:
        if is_raw(cherrypy.request):
            cherrypy.request.process_request_body = False


def is_raw(request: Any) -> bool:
    """Return whether a request's body is left unparsed.

    It is where it carries patches, whatever its Content-Type, and where it is no short form: Girder's routes
    of sessions take no others, and CherryPy reads a form of 100 MB for anybody.
    """
    many = request.method == 'POST' and request.path_info.rstrip('/').endswith(RAW_POSTS)
    return bool(request.method == 'PUT' or many or not _is_short_form(request.headers))


def _is_short_form(headers: Any) -> bool:
    kind = headers.get('Content-Type', '').partition(';')[0].strip().lower()
    length = headers.get('Content-Length', '').strip()
    is_short = length.isascii() and length.isdigit() and int(length[:20]) <= MAX_FORM_BYTES
    return not kind.startswith('multipart/') and (is_short or kind != 'application/x-www-form-urlencoded')


def install(tree: Any, path: str) -> None:
    """Leave the bodies below a path of every Girder API in a CherryPy tree unparsed.

    :param path: without the API root, such as ``/v1/stitch_session``.
    """
    setattr(cherrypy.tools, _TOOL, _RawBodyTool())
    for script_name, application in tree.apps.items():
        if script_name.endswith('/api'):
            application.merge({path: {f'tools.{_TOOL}.on': True}})


def _pieces() -> Iterator[bytes]:
    """Yield the body piece by piece, up to Content-Length or to the end of a chunked body.

    :raises InvalidInputError: the connection ends before Content-Length.
    """
    request = cherrypy.request
    length = _content_length()
    done = getattr(request, 'girderZarrBodyRead', 0)
    while length is None or done < length:
        piece = request.body.fp.read(_PIECE if length is None else min(_PIECE, length - done))
        if not piece:
            if length is not None:
                msg = f'The body ends after {done} bytes; Content-Length announced {length}.'
                raise InvalidInputError(msg)
            return
        done += len(piece)
        request.girderZarrBodyRead = done
        yield piece


def _content_length() -> int | None:
    """Return the announced length, or None for a chunked body.

    :raises InvalidInputError: there is none, or it is not a number.
    """
    headers = cherrypy.request.headers
    if 'Content-Length' in headers:
        text = headers['Content-Length'].strip()
        if not text.isascii() or not text.isdigit():
            msg = f'Content-Length: expected a number of bytes, found {text!r}.'
            raise InvalidInputError(msg)
        return int(text)
    if headers.get('Transfer-Encoding', '').lower() == 'chunked':
        return None
    msg = 'The request needs a body with a Content-Length.'
    raise InvalidInputError(msg)


def _drain() -> None:
    request = cherrypy.request
    if not is_raw(request) or not hasattr(request.body, 'fp') or request.process_request_body:
        return
    try:
        left = MAX_DRAIN
        for piece in _pieces():
            left -= len(piece)
            if left < 0:
                return
    except (InvalidInputError, OSError):
        return


def spool_body(limit: int, announced: str | None = None) -> Spooled:
    """Read the body in bounded memory.

    :param limit: bytes that are accepted.
    :param announced: the digest that the body should have, if the client gave one.
    :raises LimitExceededError: the body is larger.
    :raises InvalidInputError: it is empty, ends too early or has another digest.
    """
    length = _content_length()
    if length is not None and length > limit:
        msg = f'The body has {length} bytes; the limit is {limit}.'
        raise LimitExceededError(msg)
    return spool(_pieces(), limit, announced)


class BodyReader:
    """The body as a stream that is read once, from its beginning to its end.

    :param limit: bytes that are read at most.
    :raises LimitExceededError: more are announced.
    """

    def __init__(self, limit: int) -> None:
        length = _content_length()
        self._limit = limit
        if length is not None and length > limit:
            raise self._too_large()
        self._pieces, self._piece, self._at, self._read = _pieces(), b'', 0, 0

    def _too_large(self) -> LimitExceededError:
        return LimitExceededError(f'The body has more than {self._limit} bytes, which is the limit.')

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than asked for only at the end.

        :raises LimitExceededError: the body has more than the limit.
        """
        parts = []
        while size > 0:
            part = self.read_some(size)
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b''.join(parts)

    def read_some(self, size: int) -> bytes:
        """Return from 1 to ``size`` of the next bytes, or none at the end.

        :raises LimitExceededError: the body has more than the limit.
        """
        if self._at == len(self._piece):
            self._piece, self._at = next(self._pieces, b''), 0
            self._read += len(self._piece)
            if self._read > self._limit:
                raise self._too_large()
        part = self._piece[self._at : self._at + size]
        self._at += len(part)
        return part


def read_json(limit: int = 2**20, *, max_values: int = MAX_VALUES, max_texts: int | None = None) -> Any:
    """Return the JSON object that is the body.

    :param limit: bytes that it may have; for the others see `parse_json`.
    :raises InvalidInputError: it is something else. :raises LimitExceededError: it is larger than a limit.
    """
    if is_raw(cherrypy.request):
        data = BodyReader(limit).read(limit + 1)
        return parse_json(data, max_values=max_values, max_texts=max_texts)
    data = cherrypy.request.body.read(limit + 1) or b''
    if len(data) > limit:
        msg = f'The body has more than {limit} bytes, which is the limit.'
        raise LimitExceededError(msg)
    return parse_json(data, max_values=max_values, max_texts=max_texts)
