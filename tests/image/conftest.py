"""What the tests of the image library share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from girder_zarr.image.store import stores


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Return the folder of real data by other programs, or skip."""
    default = Path(__file__).parents[3] / 'shared' / 'data'
    folder = Path(os.environ.get('GIRDER_ZARR_TEST_DATA', default))
    if not folder.is_dir():
        pytest.skip(f'there is no real data at {folder}; set GIRDER_ZARR_TEST_DATA')
    return folder


@pytest.fixture(scope='session')
def picture(shared_data: Path) -> np.ndarray:
    """Return a real picture as (480, 640, 3) uint8."""
    import PIL.Image

    with PIL.Image.open(shared_data / 'zarr' / 'camera.jpg') as image:
        gray = np.asarray(image.convert('L'))
    return np.stack([gray, gray[::-1], 255 - gray], axis=-1)


@pytest.fixture(autouse=True)
def _links_as_in_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Follow links in paths, whatever a server that ran in this process before has bound."""
    monkeypatch.setattr(stores, '_link_roots', [])


@pytest.fixture
def temporary_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder in which new images have their temporary data."""
    folder = tmp_path_factory.mktemp('tmpdir')
    monkeypatch.setenv('TMPDIR', str(folder))
    monkeypatch.setattr('tempfile.tempdir', None)
    return folder
