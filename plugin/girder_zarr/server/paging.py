"""The parameters of lists."""

from __future__ import annotations

from girder_zarr.errors import InvalidInputError


def check(limit: int, offset: int) -> None:
    """Check the parameters of a list.

    :raises InvalidInputError: one is negative or larger than the database takes.
    """
    for name, value in (('limit', limit), ('offset', offset)):
        if not 0 <= value < 2**31:
            msg = f'{name}: expected an integer from 0 to {2**31 - 1}, found {value}.'
            raise InvalidInputError(msg)
