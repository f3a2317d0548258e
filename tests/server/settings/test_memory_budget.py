"""The setting zarr.memory_budget: what is taken, and that every process follows it."""

import pytest
from girder.exceptions import ValidationException
from girder.models.setting import Setting

from girder_zarr.common.budget import BUDGET, DEFAULT_BYTES
from girder_zarr.server.settings import polled
from girder_zarr.server.settings.define import SettingKey

pytestmark = pytest.mark.plugin('zarr')


@pytest.mark.parametrize('value', [0, -1, 1.5, True, '2 GB', 2**20, 2**60, []])
def test_only_reasonable_budgets_are_taken(db, value):
    with pytest.raises(ValidationException, match=r'zarr\.memory_budget: expected an integer'):
        Setting().set(SettingKey.MEMORY_BUDGET, value)


def test_the_budget_is_what_the_setting_says(db):
    before = BUDGET.source
    try:
        polled.install()
        assert BUDGET.source() == DEFAULT_BYTES
        Setting().set(SettingKey.MEMORY_BUDGET, 2**29)
        BUDGET.source.invalidate()
        assert BUDGET.source() == 2**29
    finally:
        BUDGET.source = before
