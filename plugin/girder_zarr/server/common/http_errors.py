"""One table: which status code each error of the floors below answers with."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from girder.api.rest import getCurrentUser
from girder.exceptions import RestException

from girder_zarr import errors

from . import database
from .hidden_paths import shown_to

logger = logging.getLogger(__name__)

#: Looked through from the top: a class stands above its base classes.
STATUS: tuple[tuple[type[Exception], int], ...] = (
    (errors.InvalidInputError, 400),
    (errors.EditError, 400),
    (errors.NotFoundError, 404),
    (errors.MissingImageError, 404),
    (errors.ConflictError, 409),
    (errors.CancelledError, 409),
    (errors.TooManyError, 429),
    (errors.NoSpaceError, 507),
    (errors.LimitExceededError, 413),
    (errors.UnsupportedFormatError, 415),
    (errors.ForbiddenPartError, 403),
    (errors.UnreadableImageError, 415),
    (errors.GirderZarrError, 500),
    *((kind, 503) for kind in database.CONNECTION_ERRORS),
)
_AWAY = 'The database does not answer; try again in a moment.'

Handler = TypeVar('Handler', bound=Callable[..., Any])


def status_of(error: Exception) -> int:
    """Return the status code of an error."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def answers_errors(handler: Handler) -> Handler:
    """Decorate a route handler so that the errors of the table become answers with their status code."""

    @functools.wraps(handler)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except (errors.GirderZarrError, *database.CONNECTION_ERRORS) as error:
            raise rest_exception(error) from error

    return wrapped  # type: ignore[return-value]


def rest_exception(error: Exception) -> RestException:
    """Return the exception that makes Girder answer with the error's sentence and status code."""
    status = status_of(error)
    if isinstance(error, database.CONNECTION_ERRORS):
        # The error's own message names machines and ports.
        logger.warning('The database was away in a route: %s', error)
        return RestException(_AWAY, code=status)
    if status >= 500:
        logger.error('Unexpected error in a route', exc_info=error)
    return RestException(shown_to(getCurrentUser(), str(error)), code=status)
