"""Answers that a client which asks again and again gets only when they are new (RFC 9110, If-None-Match)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import cherrypy
from girder.api.rest import setRawResponse, setResponseHeader
from girder.utility import JsonEncoder


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


def known_tags() -> list[str]:
    """Return the tags in the request's ``If-None-Match``."""
    found = cherrypy.request.headers.elements('If-None-Match') or []
    return [str(tag).strip('W/"') for tag in found]
