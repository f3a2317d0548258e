"""A folder as each program writes it becomes the picture that it was cut from, where it lay on the stage."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from girder_zarr.stitch.arrange.map_drawing import draw
from support.arranged import assembled
from support.microscopes import PROGRAMS

PICTURES = Path(__file__).parents[3] / 'docs' / 'images' / 'programs'


@pytest.mark.parametrize('program', PROGRAMS)
def test_a_folder_becomes_its_picture(program: str, tmp_path: Path) -> None:
    (tmp_path / 'in').mkdir()
    folder = PROGRAMS[program](tmp_path / 'in')
    # position lists are the only ones that say micrometers and not how many a pixel has
    spec = {'pixelSize': {'x': 0.5, 'y': 0.5}} if program.startswith('micromanager_pos') else None
    pixels, multiscale, prepared = assembled(folder.source, tmp_path / 'out', spec)
    assert [axis['name'] for axis in multiscale['axes']] == list(folder.axes)
    assert np.array_equal(pixels, folder.picture)
    level = multiscale['datasets'][0]['coordinateTransformations']
    scale = level[0]['scale']
    if folder.pixel is not None:
        assert scale[-2:] == [folder.pixel, folder.pixel]
        assert multiscale['axes'][-1]['unit'] == 'micrometer'
    translation = level[1]['translation'] if len(level) > 1 else [0.0] * pixels.ndim
    if folder.place is not None:
        assert translation[-2:] == pytest.approx(
            [at * s for at, s in zip(folder.place, scale[-2:], strict=True)]
        )
    if folder.channels is not None:
        assert [one['label'] for one in multiscale['omero']['channels']] == folder.channels
    assert prepared.placement_map is not None
    assert prepared.placement_map.covered == 1
    assert not prepared.placement_map.duplicates
    assert not prepared.placement_map.outliers
    check_picture(program, draw(prepared.placement_map, program))


def check_picture(program: str, drawn: str) -> None:
    """Hold the map that docs/microscopes.md shows against what `--dry-run` draws of the same folder.

    ``GIRDER_ZARR_SCREENSHOTS=docs/images pytest tests/stitch/positions`` makes the pictures anew.
    """
    picture = PICTURES / f'{program}.svg'
    if not picture.exists():  # one picture for each program, whatever forms it writes
        return
    if os.environ.get('GIRDER_ZARR_SCREENSHOTS'):
        picture.write_text(drawn)
    assert picture.read_text() == drawn
