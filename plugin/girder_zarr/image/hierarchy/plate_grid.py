"""A plate as a grid: its rows and columns by name, its wells, and which fields each of them has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder_zarr.image.ngff.parse import ome_attributes

from .plates import axis_names, listed_wells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.image.series.series import Series

    from .opening import Opened

#: Places of a grid, listed wells or not; plates have up to 6,144. Of larger ones only rows and columns with a
#: well count.
MAX_CELLS = 20_000
#: Acquisitions that are listed, and letters of a text of theirs.
MAX_ACQUISITIONS, MAX_TEXT = 1000, 200


def plate_grid(opened: Opened) -> dict[str, Any] | None:
    """Return the grid of a plate, or of a well that is opened by itself; None where it is neither.

    :returns: ``rows`` and ``columns`` are names. ``wells`` are in the order of the file: ``row`` and
        ``column`` count from 0, ``path`` is that of the group, ``first`` the number of its first field among
        all of the plate, ``fields`` how many it has: 0 where the plate lists the well and it is not there.
        ``acquisitions`` of a well are those of its fields, where they say; those of the plate have ``id``,
        ``name`` and ``description``.
    """
    if opened.kind == 'well':
        found = {'row': 0, 'column': 0, 'path': '', 'first': 0, 'fields': len(opened.every)}
        return {
            'rows': [''],
            'columns': [''],
            'wells': [{**found, **_acquisitions_of(opened.every)}],
            'acquisitions': [],
        }
    plate = ome_attributes(opened.attributes).get('plate')
    if opened.kind != 'plate' or not isinstance(plate, dict):
        return None
    listed = listed_wells(plate)
    axes = [
        _axis(axis_names(plate.get(key)), [place[name] for _, place in listed])
        for key, name in (('rows', 'Row'), ('columns', 'Column'))
    ]
    if len(axes[0]) * len(axes[1]) > MAX_CELLS:
        axes = [
            [name for name in names if name in {place[key] for _, place in listed}]
            for names, key in zip(axes, ('Row', 'Column'), strict=True)
        ]
    rows, columns = ({name: at for at, name in enumerate(names)} for names in axes)
    wells, first = [], 0
    for path, place in listed:
        fields = _fields_of(opened.every, path, first)
        wells.append(
            {
                'row': rows[place['Row']],
                'column': columns[place['Column']],
                'path': path,
                'first': first,
                'fields': len(fields),
                **_acquisitions_of(fields),
            }
        )
        first += len(fields)
    return {
        'rows': axes[0],
        'columns': axes[1],
        'wells': wells,
        'acquisitions': _acquisitions(plate.get('acquisitions')),
    }


def _axis(named: Sequence[str], used: Sequence[str]) -> list[str]:
    """Return the names along an axis, those that only wells have at the end."""
    known = dict.fromkeys(name for name in named if name)
    return [*known, *sorted(set(used) - set(known), key=lambda name: (len(name), name))]


def _fields_of(every: Sequence[Series], path: str, first: int) -> Sequence[Series]:
    """Return the fields of a well; they follow each other, and each well counts its own from 0."""
    last = first
    while last < len(every) and str(every[last].path).startswith(f'{path}/'):
        if last > first and every[last].place.get('Field') == 0:
            break
        last += 1
    return every[first:last]


def _acquisitions_of(fields: Sequence[Series]) -> dict[str, Any]:
    """Return to which acquisition each field belongs, if any says so."""
    found = [one.place.get('Acquisition') for one in fields]
    return {'acquisitions': found} if any(one is not None for one in found) else {}


def _acquisitions(value: object) -> list[dict[str, Any]]:
    found = []
    for one in value[:MAX_ACQUISITIONS] if isinstance(value, list) else []:
        if isinstance(one, dict) and isinstance(one.get('id'), int | str):
            texts = {
                key: one[key][:MAX_TEXT] for key in ('name', 'description') if isinstance(one.get(key), str)
            }
            found.append({'id': one['id'], **texts})
    return found
