"""What was found: errors, hints, and how much was looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Bounds:
    """How much is looked at before the report says that this was not all."""

    #: Groups: images, wells, fields, labels.
    groups: int = 20_000
    #: Keys of one array, and of all of them.
    keys: int = 20_000
    all_keys: int = 500_000
    #: Errors, and hints, that are listed.
    findings: int = 200


#: What internal metadata look at, which anybody may ask for: some hundredths of a second.
QUICK = Bounds(groups=10, keys=200, all_keys=1000, findings=50)


@dataclass
class Findings:
    """The report on one hierarchy or attributes document.

    :param errors: sentences on what the specification forbids, each begins with where it is.
    :param hints: sentences on what it advises against, and on what was not checked.
    :param groups: how many groups were looked at, and ``arrays`` and ``keys`` likewise.
    """

    bounds: Bounds = field(default_factory=Bounds)
    errors: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    groups: int = 0
    arrays: int = 0
    keys: int = 0

    @property
    def valid(self) -> bool:
        """Whether no error was found."""
        return not self.errors

    def error(self, where: str, what: str) -> None:
        """Note an error."""
        self._note(self.errors, where, what)

    def hint(self, where: str, what: str) -> None:
        """Note a hint."""
        self._note(self.hints, where, what)

    def _note(self, found: list[str], where: str, what: str) -> None:
        sentence = f'{where or "/"}: {what}'
        if sentence in found[-50:] or len(found) > self.bounds.findings:
            return
        if len(found) == self.bounds.findings:
            sentence = 'There is more of this kind.'
        found.append(sentence)

    def to_json(self) -> dict[str, Any]:
        """Return the report as REST and ``--json`` give it."""
        return {
            'valid': self.valid,
            'errors': list(self.errors),
            'hints': list(self.hints),
            'looked': {'groups': self.groups, 'arrays': self.arrays, 'keys': self.keys},
        }

    def to_conformance(self) -> dict[str, Any]:
        """Return what the conformance suite of ome/ngff-spec reads: ``valid`` and ``message``."""
        return {'valid': self.valid, 'message': ' '.join(self.errors[:5])}
