"""The setting of how large the parts of images are."""

import pytest
from girder.models.setting import Setting

from girder_zarr.server.settings import job_settings
from girder_zarr.server.settings.define import SettingKey

pytestmark = pytest.mark.plugin('zarr')


def test_the_size_of_parts_is_a_setting(api, people):
    for bad in ('12', 1.5, True, 1, 2**40):
        with pytest.raises(Exception, match='expected an integer from 4096'):
            Setting().set(SettingKey.STITCH_PART_VALUES, bad)
    Setting().set(SettingKey.STITCH_PART_VALUES, 2**20)
    assert job_settings.part_values() == 2**20
