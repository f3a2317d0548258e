"""What sessions may cost, as one setting that an administrator changes while the server runs.

Each limit can only be lowered from what the floors below can do, so that raising one cannot break them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from girder import events
from girder.exceptions import ValidationException

from girder_zarr.errors import LimitExceededError, TooManyError
from girder_zarr.server.common.names import HANDLER
from girder_zarr.stitch.formats import registry as formats
from girder_zarr.stitch.formats.info import DEFAULT_LIMITS, DTYPES
from girder_zarr.stitch.spec.field_checks import MAX_PAIRS
from girder_zarr.stitch.spec.model import MAX_PIXELS, MAX_SIDE, StitchSpec

from .define import SettingKey, define
from .polled import PolledSetting

if TYPE_CHECKING:
    from girder_zarr.stitch.extent import Extent

#: A pixel of four bands of float64 is the largest that there is.
_PIXEL_BYTES = 32


@dataclass(frozen=True, slots=True)
class StitchLimits:
    """The limits of sessions, as docs/rest.md describes them. These defaults are the largest values."""

    patchBytes: int = 2**30
    patchPixels: int = DEFAULT_LIMITS.pixels
    patches: int = 10_000_000
    sessionBytes: int = 2**50
    openSessions: int = 100_000
    imageSide: int = MAX_SIDE
    imageValues: int = MAX_PIXELS
    requestBytes: int = 2**36
    requestPatches: int = 100_000
    references: int = 10_000
    registrationPairs: int = MAX_PAIRS
    registrationPatches: int = 10_000_000
    dtypes: tuple[str, ...] = tuple(sorted(DTYPES))

    @property
    def for_formats(self) -> formats.PatchLimits:
        """What one patch may cost, as `formats.inspect` takes it."""
        nbytes = min(DEFAULT_LIMITS.nbytes, self.patchPixels * _PIXEL_BYTES)
        return formats.PatchLimits(pixels=self.patchPixels, nbytes=nbytes)

    def check_dtype(self, dtype: str) -> None:
        """Check the dtype of a patch.

        :raises LimitExceededError: it is none of those that are taken; the message gives them.
        """
        if dtype not in self.dtypes:
            msg = f'dtype: the patch is {dtype}; the limit is {", ".join(self.dtypes)}.'
            raise LimitExceededError(msg)

    def check_references(self, count: int) -> None:
        """Check how many reference images a session would have.

        :raises LimitExceededError: they are too many; the message gives the limit.
        """
        if count > self.references:
            msg = f'The session would have {count} reference images; the limit is {self.references}.'
            raise LimitExceededError(msg)

    def check_registration(self, spec: StitchSpec, patches: int = 0) -> None:
        """Check what registration would compare, if the spec asks for it.

        :raises LimitExceededError: it is too much; the message gives the limit.
        """
        if spec.registration is None:
            return
        if spec.registration.max_pairs > self.registrationPairs:
            msg = (
                f'spec.registration.maxPairs: expected at most {self.registrationPairs}, which is the limit, '
                f'found {spec.registration.max_pairs}.'
            )
            raise LimitExceededError(msg)
        if patches > self.registrationPatches:
            msg = (
                f'Registration would look at {patches} patches; the limit is {self.registrationPatches}; '
                'without spec.registration the session can be finalized.'
            )
            raise LimitExceededError(msg)

    def check_session(self, counts: Mapping[str, int], patches: int, nbytes: int) -> None:
        """Check what a session would hold with more patches.

        :param counts: what it holds, ``{'patches', 'bytes'}``.
        :raises LimitExceededError: it would be too many or too much; the message gives the limit.
        """
        total = counts['patches'] + patches
        if patches > 0 and total > self.patches:
            msg = f'The session would hold {total} patches; the limit is {self.patches}.'
            raise LimitExceededError(msg)
        total = counts['bytes'] + nbytes
        if nbytes > 0 and total > self.sessionBytes:
            msg = f'The patches of the session would have {total} bytes; the limit is {self.sessionBytes}.'
            raise LimitExceededError(msg)

    def check_extent(self, extent: Extent, spec: StitchSpec, bands: int) -> None:
        """Check the size of the image.

        :raises LimitExceededError: it would be too large; the message gives the limit.
        """
        extent.check(spec, bands)
        extent = extent.declared(spec)
        height, width = extent.size(spec)
        if max(height, width) > self.imageSide:
            msg = (
                f'The image would be {width} x {height} pixels; the limit is {self.imageSide} along x and y.'
            )
            raise LimitExceededError(msg)
        values = height * width * bands
        for length in extent.frame.values():
            values *= length
        if values > self.imageValues:
            msg = f'The image would hold {values} values; the limit is {self.imageValues}.'
            raise LimitExceededError(msg)

    def check_open_sessions(self, count: int) -> None:
        """Check how many sessions of a user are not complete.

        :raises TooManyError: they are too many; the message gives the limit.
        """
        if count > self.openSessions:
            msg = (
                f'You would have {count} stitch sessions that are not complete; '
                f'the limit is {self.openSessions}.'
            )
            raise TooManyError(msg)


MAX_LIMITS = StitchLimits()
#: The limits where the setting has none: what a server with disks of some terabytes can take.
DEFAULTS = StitchLimits(
    patches=1_000_000,
    sessionBytes=2**42,
    openSessions=1000,
    requestBytes=2**34,
    requestPatches=10_000,
    references=1000,
    registrationPatches=200_000,
)
_NAMES = tuple(field.name for field in fields(StitchLimits))


def current() -> StitchLimits:
    """Return the limits: at once what this process has changed, within a second what others have."""
    return _followed()


def _parse(value: object) -> StitchLimits:
    given = normalise(value)
    if 'dtypes' in given:
        given['dtypes'] = tuple(given['dtypes'])
    return replace(DEFAULTS, **given)


def normalise(value: object) -> dict[str, Any]:
    """Check the value of the setting: an object of some of the limits; null leaves one at its default.

    Each is a number, but for ``dtypes``, a list of names.

    :raises ValidationException: with what was expected and what was found.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _invalid(f'expected a JSON object of limits, found {str(value)[:60]!r}')
    result = {}
    for name, number in value.items():
        if name not in _NAMES:
            raise _invalid(f'expected the names {", ".join(_NAMES)}, found {str(name)[:60]!r}')
        if number is not None:
            result[name] = _dtypes(number) if name == 'dtypes' else _number(name, number)
    return result


def _number(name: str, value: object) -> int:
    largest = getattr(MAX_LIMITS, name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
        raise _invalid(f'{name}: expected an integer from 1 to {largest}, found {str(value)[:60]!r}')
    return value


def _dtypes(value: object) -> list[str]:
    known = MAX_LIMITS.dtypes
    if not isinstance(value, list | tuple) or not value or any(name not in known for name in value):
        raise _invalid(f'dtypes: expected a list of some of {", ".join(known)}, found {str(value)[:60]!r}')
    return list(dict.fromkeys(value))


def _invalid(message: str) -> ValidationException:
    return ValidationException(f'{SettingKey.STITCH_LIMITS}: {message}.', 'value')


define(SettingKey.STITCH_LIMITS, {}, normalise)

#: One for the process: each patch that is put asks for the limits.
_followed: PolledSetting[StitchLimits] = PolledSetting(
    SettingKey.STITCH_LIMITS, _parse, DEFAULTS, fail_closed=False
)


def bind() -> None:
    """Let limits that are changed in this process hold from the next request."""
    for event in ('save.after', 'remove'):
        events.bind(f'model.setting.{event}', f'{HANDLER}.{__name__}', forget)


def forget(*_: object) -> None:
    """Read the limits anew."""
    _followed.invalidate()
