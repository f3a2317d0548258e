"""The body of a request as it came over the wire, whatever its Content-Type claims."""

from __future__ import annotations

import hashlib
import json
import tempfile
from typing import IO, Any

import cherrypy

from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.stitch.patch import format_digest

_PIECE = 256 * 1024
#: Bodies up to this size are held in memory, larger ones in a temporary file.
SPOOL_BYTES = 4 * 2**20
#: What is left of a refused body is read and thrown away, so that the client gets to see the answer.
MAX_DRAIN = 2**31
_TOOL = 'girder_zarr_raw_body'


class _RawBodyTool(cherrypy.Tool):
    """Keeps CherryPy from parsing the body of a PUT as a form; empties the connection before the answer."""

    def __init__(self) -> None:
        super().__init__('before_request_body', self._begin, name=_TOOL)

    def _setup(self) -> None:
        super()._setup()
        cherrypy.serving.request.hooks.attach('before_finalize', _drain)

    @staticmethod
    def _begin() -> None:
        if cherrypy.request.method == 'PUT':
            cherrypy.request.process_request_body = False


def install(tree: Any, path: str) -> None:
    """Leave the bodies below a path of every Girder API in a CherryPy tree unparsed.

    :param path: without the API root, such as ``/v1/stitch_session``.
    """
    setattr(cherrypy.tools, _TOOL, _RawBodyTool())
    for script_name, application in tree.apps.items():
        if script_name.endswith('/api'):
            application.merge({path: {f'tools.{_TOOL}.on': True}})


def _pieces() -> Any:
    """Yield the body piece by piece; ends at Content-Length or where the connection ends."""
    request = cherrypy.request
    length = _content_length()
    done = getattr(request, 'girderZarrBodyRead', 0)
    while length is None or done < length:
        piece = request.body.fp.read(_PIECE if length is None else min(_PIECE, length - done))
        if not piece:
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
    if request.method != 'PUT' or not hasattr(request.body, 'fp') or request.process_request_body:
        return
    try:
        left = MAX_DRAIN
        for piece in _pieces():
            left -= len(piece)
            if left < 0:
                return
    except (InvalidInputError, OSError):
        return


def spool(limit: int) -> tuple[IO[bytes], int, str]:
    """Read the body in bounded memory.

    :param limit: bytes that are accepted.
    :returns: a seekable temporary file for the caller to close, its size, and its digest as in RFC 9530.
    :raises LimitExceededError: the body is larger.
    :raises InvalidInputError: it is empty or ends too early.
    """
    length = _content_length()
    if length is not None and length > limit:
        msg = f'The body has {length} bytes; the limit is {limit}.'
        raise LimitExceededError(msg)
    digest, size = hashlib.sha256(), 0
    stream = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES, prefix='girder-zarr-')  # noqa: SIM115 - returned
    try:
        for piece in _pieces():
            size += len(piece)
            if size > limit:
                msg = f'The body has more than {limit} bytes, which is the limit.'
                raise LimitExceededError(msg)
            digest.update(piece)
            stream.write(piece)
        if length is not None and size < length:
            msg = f'The body ends after {size} bytes; Content-Length announced {length}.'
            raise InvalidInputError(msg)
        if not size:
            msg = 'The body is empty; expected an image.'
            raise InvalidInputError(msg)
    except BaseException:
        stream.close()
        raise
    return stream, size, format_digest(digest.digest())


def read_json(limit: int = 2**20) -> dict[str, Any]:
    """Return the JSON object that is the body.

    :raises InvalidInputError: it is something else. :raises LimitExceededError: it is larger than the limit.
    """
    data = cherrypy.request.body.read(limit + 1) or b''
    if len(data) > limit:
        msg = f'The body has more than {limit} bytes, which is the limit.'
        raise LimitExceededError(msg)
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        msg = f'The body: expected a JSON object, found something that is not JSON ({error}).'
        raise InvalidInputError(msg) from error
    if not isinstance(value, dict):
        msg = f'The body: expected a JSON object, found {type(value).__name__}.'
        raise InvalidInputError(msg)
    return value


def _refuse_constant(name: str) -> None:
    msg = f'{name} is not JSON'
    raise ValueError(msg)
