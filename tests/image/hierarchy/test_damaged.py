"""Fields of a plate that cannot be read: errors, but in pictures for people, which leave them out."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import pytest

from girder_zarr.errors import FieldLimitError, ForbiddenPartError, UnreadableImageError
from girder_zarr.image.hierarchy.damaged import leaving_out_damaged
from girder_zarr.image.hierarchy.mosaic import MosaicLevel
from girder_zarr.image.hierarchy.opening import open_hierarchy
from girder_zarr.image.hierarchy.selection import select
from girder_zarr.image.limits import FieldBudget, within
from girder_zarr.image.store.stores import open_store
from support.images import opened, region
from support.wells import noise, write_wells

if TYPE_CHECKING:
    from pathlib import Path


def damaged_plate(folder: Path) -> Path:
    """A plate of which one field has a damaged chunk, and another damaged metadata."""
    fields = dict(zip(('A/1/0', 'A/2/0', 'B/1/0', 'B/2/0'), noise(4, (64, 64)), strict=True))
    write_wells(folder, fields)
    for chunk in (folder / 'A' / '2').glob('0/*/c/0/0'):
        chunk.write_bytes(b'short')
    for document in (folder / 'B' / '1' / '0').glob('**/zarr.json'):
        document.write_text('{')
    return folder


@pytest.mark.parametrize('step', [1, 4])
def test_pictures_for_people_leave_out_what_cannot_be_read(tmp_path: Path, step: int) -> None:
    source = opened(damaged_plate(tmp_path / 'p'), series='overview')
    whole = {'left': 0, 'top': 0, 'width': 128, 'height': 128}
    small = {'maxWidth': 128 // step, 'maxHeight': 128 // step}
    with pytest.raises(UnreadableImageError, match=r'A/2/0|B/1'):
        region(source, region=whole, output=small)
    with leaving_out_damaged():
        pixels = region(source, region=whole, output=small)[..., 0]
    side = 64 // step
    shown = [bool(pixels[y : y + side, x : x + side].any()) for y in (0, side) for x in (0, side)]
    assert shown == [True, False, False, True]
    problems = source.getInternalMetadata()['zarr']['problems']
    found = [text for text in problems if 'cannot be read' in text]
    assert [text.split("'")[1] for text in sorted(found)] == ['A/2/0', 'B/1/0'], found


def test_fields_that_overlap_a_damaged_one_are_not_covered_by_it(tmp_path: Path) -> None:
    fields = dict(zip(('A/1/0', 'A/1/1'), noise(2, (64, 64)), strict=True))
    corners = {'A/1/0': (0.0, 0.0), 'A/1/1': (0.0, 24.0)}
    folder = write_wells(tmp_path / 'p', fields, corners=corners)
    for chunk in (folder / 'A' / '1').glob('1/*/c/0/0'):
        chunk.write_bytes(b'short')
    source = opened(folder, series='overview')
    assert source.sizeX == 112
    with leaving_out_damaged():
        pixels = region(source)[..., 0]
    np.testing.assert_array_equal(pixels[:, :64], fields['A/1/0'])
    assert not pixels[:, 64:].any()


def test_all_fields_are_looked_at(tmp_path: Path) -> None:
    source = opened(damaged_plate(tmp_path / 'p'), series='overview')
    level = source._series[0].levels[0]
    assert isinstance(level, MosaicLevel)
    assert level.look_for_damage() == 4
    problems = source.getInternalMetadata()['zarr']['problems']
    assert len([text for text in problems if text.startswith('The field ')]) == 2
    with within(FieldBudget(3, 2**20)), pytest.raises(FieldLimitError):
        level.look_for_damage()


@pytest.mark.parametrize(
    ('error', 'is_far', 'goes_on'),
    [
        (ForbiddenPartError('a part'), False, False),
        (UnreadableImageError('no answer'), True, False),
        (UnreadableImageError('no answer'), False, True),
    ],
)
def test_errors_that_say_nothing_of_a_field_stay_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, is_far: bool, goes_on: bool
) -> None:
    store = open_store(write_wells(tmp_path / 'p', dict(zip(('A/1/0', 'A/2/0'), noise(2), strict=True))))
    mosaic = select(store, open_hierarchy(store), 'overview').series[0].levels[0]
    monkeypatch.setattr(store, 'is_remote', is_far)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr('girder_zarr.image.hierarchy.plate_fields.LaterField.read', fail)
    everything = tuple(slice(0, side) for side in mosaic.shape)
    with leaving_out_damaged(), nullcontext() if goes_on else pytest.raises(type(error)):
        assert not mosaic.read(everything).any()
