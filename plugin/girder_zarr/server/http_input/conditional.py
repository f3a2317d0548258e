"""Answers that a client which asks again and again gets only when they are new (RFC 9110, If-None-Match)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import cherrypy
from girder.api.rest import setRawResponse, setResponseHeader
from girder.utility import JsonEncoder

if TYPE_CHECKING:
    from collections.abc import Callable


def only_if_new(answer: Any) -> Any:
    """Return a JSON answer with its ``ETag``, or 304 without a body where the client has it already.

    The tag is made of the answer itself, so that it cannot miss a change.
    """
    text = json.dumps(answer, sort_keys=True, cls=JsonEncoder)
    tag = hashlib.sha256(text.encode()).hexdigest()[:32]
    setResponseHeader('ETag', f'"{tag}"')
    setResponseHeader('Cache-Control', 'private, no-cache')
    if tag not in known_tags():
        return answer
    cherrypy.response.status = 304
    setRawResponse()
    return b''


def answer_bytes(make: Callable[[], tuple[bytes, str]], tag: str, seconds: int = 0) -> bytes:
    """Return a raw answer with its ``ETag``, or 304 without a body where the client has it already.

    :param make: returns the body and its MIME type; not called for 304. Without a body the answer is 204.
    :param seconds: for which a client need not ask again; 0: it always does.
    """
    if tag in known_tags():
        body = b''
        cherrypy.response.status = 304
    else:
        body, mime = make()  # an error of it is answered as JSON, without a tag
        if body:
            setResponseHeader('Content-Type', mime)
        else:
            cherrypy.response.status = 204
    setResponseHeader('ETag', f'"{tag}"')
    setResponseHeader('Cache-Control', f'private, max-age={seconds}' if seconds else 'private, no-cache')
    setRawResponse()
    return body


def known_tags() -> list[str]:
    """Return the tags in the request's ``If-None-Match``."""
    found = cherrypy.request.headers.elements('If-None-Match') or []
    return [str(tag).strip('W/"') for tag in found]
