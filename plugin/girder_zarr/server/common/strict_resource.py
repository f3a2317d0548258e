"""What all resources of the plugin do with a request: parameters are known ones, answers are only data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder.api.rest import Resource, setResponseHeader
from girder.exceptions import RestException

from girder_zarr.server.common.http_errors import answers_errors

if TYPE_CHECKING:
    from collections.abc import Callable

#: Parameters that Girder reads itself, or that only make addresses differ.
GENERAL_PARAMETERS = frozenset(('_', 'token', 'revision'))
#: Answers that every route may give, as the API page names them.
COMMON_RESPONSES = {
    400: 'A parameter is unknown or malformed.',
    401: 'Nobody is logged in, where that is needed.',
    503: 'The database does not answer; try again.',
}
#: Nothing that the routes answer with is a page: a browser neither guesses another type nor runs any of it.
#: Girder shows JSON as HTML with a style of its own to a browser that asks for HTML.
ANSWER_HEADERS = {
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
    ),
}
_READS = 'girder_zarr_reads_parameters'


def reads_parameters(handler: Any) -> Any:
    """Mark a route handler that checks the names of its query parameters itself. The innermost decorator."""
    setattr(handler, _READS, True)
    return handler


class StrictResource(Resource):
    """A resource whose routes refuse query parameters that they do not know.

    Girder passes them over. A misspelt ``c`` of a patch would so put it in the place of another.
    """

    def route(self, method: str, route: tuple[str, ...], handler: Callable[..., Any], *args: Any) -> None:
        """Add a route, and the answers that all routes may give to its description."""
        super().route(method, route, handler, *args)
        for code, reason in COMMON_RESPONSES.items():
            if str(code) not in handler.description._responses:  # type: ignore[attr-defined]
                handler.description.errorResponse(reason, code)  # type: ignore[attr-defined]

    @answers_errors
    def handleRoute(self, method: str, path: Any, params: dict[str, Any]) -> Any:
        """Answer a request.

        :raises RestException: its query names a part of the path, whose place Girder would give it, or
            something that the route does not know.
        """
        for name, value in ANSWER_HEADERS.items():
            setResponseHeader(name, value)
        _, handler, in_path = self._matchRoute(method.lower(), path)
        twice = sorted(set(in_path) & set(params))
        if twice:
            msg = f'{twice[0]}: expected in the path only, found it in the query too.'
            raise RestException(msg)
        if not getattr(handler, _READS, False):
            _check_names(params, handler)
        return super().handleRoute(method, path, params)


def _check_names(params: dict[str, Any], handler: Any) -> None:
    known = [one['name'] for one in handler.description._params if one['in'] in {'query', 'formData'}]
    unknown = sorted(set(params) - set(known) - GENERAL_PARAMETERS)
    if unknown:
        expected = f'one of the parameters {", ".join(sorted(known))}' if known else 'no parameters'
        msg = f'{unknown[0][:80]}: expected {expected}; there is none of this name.'
        raise RestException(msg)
