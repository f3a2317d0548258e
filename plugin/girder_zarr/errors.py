"""Every error that girder_zarr raises on purpose; `server/http_errors.py` gives each its HTTP status."""

from __future__ import annotations

from large_image.exceptions import TileSourceError, TileSourceFileNotFoundError


class GirderZarrError(Exception):
    """Base of all errors of this package: one sentence that says what was expected and what was found."""


class UnreadableImageError(GirderZarrError, TileSourceError):
    """The bytes are there, but they are not an image that we read."""


class MissingImageError(GirderZarrError, TileSourceFileNotFoundError):
    """There is nothing at the path or address."""


class ForbiddenPartError(UnreadableImageError):
    """A part of an image may not be read by all who may read the image, so nobody is shown it."""


class UnreadableChunkError(UnreadableImageError):
    """A chunk exists and cannot be decoded; the message names it."""


class EditError(GirderZarrError, TileSourceError):
    """A tile, property or output of a new image is not acceptable."""


class AxesError(EditError, ValueError):
    """The axes of a tile are not what they should be; a ValueError in large-image-source-zarr."""


class InvalidInputError(GirderZarrError):
    """A value from outside has the wrong form; the message names the field."""


class StyleError(InvalidInputError, TileSourceError):
    """A style that is not applied; large_image's routes answer with its message."""


class UnsupportedFormatError(GirderZarrError):
    """The bytes are in a format that is not on the list of formats we accept."""


class LimitExceededError(GirderZarrError):
    """The request is well formed but larger than a limit; the message gives the limit."""


class FieldLimitError(LimitExceededError):
    """A picture of a plate would be put together from more fields than somebody may ask for."""


class OutputSizeError(LimitExceededError, TileSourceError):
    """A picture was asked for that has more pixels than are made at once."""


class NoSpaceError(LimitExceededError):
    """The disk has too little room; the message gives what is free, what is needed and the setting."""


class TooManyError(LimitExceededError):
    """There are too many of something at once, each of which is well formed; the message gives the limit."""


class NotFoundError(GirderZarrError):
    """No such session, patch or file."""


class ConflictError(GirderZarrError):
    """The request does not fit the present state; the message gives the state."""


class CancelledError(GirderZarrError):
    """The work was cancelled."""


class StackError(GirderZarrError):
    """A part of the embedded stack did not start or stopped by itself; the message names it and its log."""
