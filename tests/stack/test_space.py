"""What is said where Girder has no room."""

import shutil
from typing import NamedTuple

import pytest

from girder_zarr.stack.space import RESERVE_SETTING, note_of_space, reserve_of


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_disk_below_the_reserve_is_noted_with_the_setting(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: Usage(2**40, 2**40, 3 * 2**30))
    note = note_of_space(tmp_path, {})
    assert f'{tmp_path} has 3.0 GiB free. Girder keeps 10 GiB free' in note
    assert f'{RESERVE_SETTING}=512' in note
    assert note_of_space(tmp_path, {RESERVE_SETTING: '2048'}) is None


@pytest.mark.parametrize('value', [None, '', 'much', '0', '-1', '1', '0.5', '2048'])
def test_the_reserve_is_the_one_that_girder_keeps(tmp_path, monkeypatch, value):
    environ = {} if value is None else {RESERVE_SETTING: value}
    monkeypatch.delenv(RESERVE_SETTING, raising=False)
    for name, given in environ.items():
        monkeypatch.setenv(name, given)
    from girder.utility.filesystem_assetstore_adapter import FilesystemAssetstoreAdapter

    adapter = FilesystemAssetstoreAdapter({'root': str(tmp_path)})
    assert reserve_of(environ) == adapter.capacityInfo()['reserved']
