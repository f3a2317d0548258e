"""The map of patches as a drawing (SVG 1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from .placement_map import MapTile, PlacementMap

#: The longer side of the drawing, in its own units.
SIDE = 1000
#: Patches that are drawn; more cannot be distinguished at this size.
MAX_DRAWN = 20_000
#: Patches up to this number carry their names, as far as these fit.
MAX_NAMED = 400
_LINE = 22
_LETTER = 7  # of a name, at its size of 12
_COLORS = {'tile': '#3b7dd8', 'duplicate': '#c0392b', 'outlier': '#e67e22'}


def draw(found: PlacementMap, title: str = '') -> str:
    """Return an SVG of the places of all patches: overlaps darker, duplicates red, outliers orange.

    Patches of one place in several channels or planes are drawn once; each shows its key as a tooltip.
    """
    width, height = found.size
    scale = SIDE / max(width, height)
    doubled = {key for keys in found.duplicates for key in keys}
    outliers = set(found.outliers)
    lines = [title, *describe(found)]
    top = _LINE * len(lines) + 10
    tall = height * scale + top + 20
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIDE + 20}" height="{tall:.0f}" '
    parts = [
        f'{head}viewBox="-10 {-top} {SIDE + 20} {tall:.2f}" font-family="sans-serif">',
        f'<rect x="0" y="0" width="{width * scale:.2f}" height="{height * scale:.2f}" fill="#f2f2f2"/>',
    ]
    parts += [
        f'<text x="0" y="{-top + _LINE * (at + 1)}" font-size="15">{escape(line)}</text>'
        for at, line in enumerate(lines)
    ]
    seen: set[tuple[int, int, int, int]] = set()
    for tile in found.tiles:
        place = (tile.x, tile.y, tile.width, tile.height)
        if place in seen and tile.key not in doubled:
            continue
        seen.add(place)
        kind = 'duplicate' if tile.key in doubled else 'outlier' if tile.key in outliers else 'tile'
        parts.append(_rectangle(tile, found.origin, scale, kind))
        if len(found.tiles) <= MAX_NAMED:
            parts.append(_name(tile, found.origin, scale))
        if len(seen) == MAX_DRAWN:
            break
    return '\n'.join([*filter(None, parts), '</svg>', ''])


def _rectangle(tile: MapTile, origin: tuple[int, int], scale: float, kind: str) -> str:
    x, y = (tile.x - origin[0]) * scale, (tile.y - origin[1]) * scale
    # a tile that is smaller than a dot is still there
    width, height = max(tile.width * scale, 1), max(tile.height * scale, 1)
    about = f'{tile.key} ({tile.file}) at {tile.x}, {tile.y}' if tile.file else tile.key
    return (
        f'<rect class={quoteattr(kind)} x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" '
        f'fill="{_COLORS[kind]}" fill-opacity="0.35" stroke="{_COLORS[kind]}" stroke-width="0.8">'
        f'<title>{escape(about)}</title></rect>'
    )


def _name(tile: MapTile, origin: tuple[int, int], scale: float) -> str:
    """Return the name of a patch in its left upper corner, its end where all of it does not fit."""
    letters = int(tile.width * scale / _LETTER) - 1
    if letters < 3 or tile.height * scale < _LINE:
        return ''
    name = tile.key if len(tile.key) <= letters else f'\u2026{tile.key[1 - letters :]}'
    x, y = (tile.x - origin[0]) * scale, (tile.y - origin[1]) * scale
    return f'<text x="{x + 5:.2f}" y="{y + 16:.2f}" font-size="12">{escape(name)}</text>'


def describe(found: PlacementMap) -> list[str]:
    """Return what is printed of a map: size, what is covered, overlaps; warnings stand apart."""
    axes = ''.join(f', {axis} {count}' for axis, count in found.axes.items())
    size = f'{found.size[0]} x {found.size[1]} pixels{axes}'
    share = f'{found.covered:.1%} covered, {1 - found.covered:.1%} empty'
    lines = [f'{len(found.tiles)} patches make {size}; {share}.']
    for axis, values in found.overlaps.items():
        if values:
            ordered = sorted(values)
            middle = ordered[len(ordered) // 2]
            extent = f'{ordered[0]} to {ordered[-1]} pixels, mostly {middle}'
            if ordered[0] == ordered[-1]:
                extent = f'{middle} pixels'
            lines.append(f'Overlap along {axis}: {extent}.')
    return lines
