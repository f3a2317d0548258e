"""Lengths in the units that NGFF names (UDUNITS-2), and in the short forms that people write."""

from __future__ import annotations

_PREFIXES = {
    'yocto': -24, 'zepto': -21, 'atto': -18, 'femto': -15, 'pico': -12, 'nano': -9, 'micro': -6, 'milli': -3,
    'centi': -2, 'deci': -1, '': 0, 'deca': 1, 'hecto': 2, 'kilo': 3, 'mega': 6, 'giga': 9, 'tera': 12,
    'peta': 15, 'exa': 18, 'zetta': 21, 'yotta': 24,
}  # fmt: skip

#: Millimeters in one unit.
MILLIMETERS: dict[str, float] = {
    **{f'{prefix}meter': 10.0 ** (power + 3) for prefix, power in _PREFIXES.items()},
    'angstrom': 1e-7,
    'foot': 304.8,
    'inch': 25.4,
    'mile': 1609344.0,
    'parsec': 3.0856775814913673e19,
    'yard': 914.4,
}
_SHORT = {
    'pm': 'picometer', 'nm': 'nanometer', 'um': 'micrometer', 'µm': 'micrometer', 'μm': 'micrometer',
    'micron': 'micrometer', 'mm': 'millimeter', 'cm': 'centimeter', 'm': 'meter', 'km': 'kilometer',
    'å': 'angstrom', 'ångström': 'angstrom', 'feet': 'foot', 'ft': 'foot', 'in': 'inch', 'inches': 'inch',
    'mi': 'mile', 'yd': 'yard',
}  # fmt: skip


def unit_name(unit: str | None) -> str | None:
    """Return NGFF's name of a unit of length, or None where the unit is not a known length."""
    if not isinstance(unit, str):
        return None
    name = unit.strip().lower()
    name = _SHORT.get(name, name).replace('metre', 'meter')
    if name not in MILLIMETERS and name.endswith('s'):
        name = _SHORT.get(name[:-1], name[:-1])
    return name if name in MILLIMETERS else None


def to_millimeters(value: float, unit: str | None) -> float | None:
    """Return a length in millimeters, or None where the unit is not a known length."""
    name, factor = unit_name(unit), millimeters(unit)
    if name is None or factor is None:
        return None
    if factor < 1 and name.endswith('meter'):
        # 0.325 micrometers are 0.325 / 1000, which is exact where a factor of 0.001 is not
        power = -3 - _PREFIXES[name.removesuffix('meter')]
        return float(value / 10.0**power)
    return value * factor


def from_millimeters(value: float, unit: str) -> float:
    """Return millimeters in a unit of length: the shortest number that comes back as the same."""
    near = value / (millimeters(unit) or 1.0)
    short = (float(f'{near:.{digits}g}') for digits in range(1, 18))
    return next((one for one in short if to_millimeters(one, unit) == value), near)


def millimeters(unit: str | None) -> float | None:
    """Return how many millimeters a unit of length has, or None where the unit is not a known length."""
    name = unit_name(unit)
    return None if name is None else MILLIMETERS[name]
