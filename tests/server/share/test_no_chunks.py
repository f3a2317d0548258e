"""An image without any chunk says so, wherever it lies."""

import numpy as np
import pytest

pytestmark = pytest.mark.plugin('zarr')


@pytest.mark.parametrize(
    'kind', ['directory', 'zip', 'database', 'uploaded', 's3 zip', 's3 prefix', 's3 uploaded']
)
def test_internal_metadata_say_so(api, make_image, kind):
    for name, value, expected in (('empty', 0, True), ('full', 7, False)):
        pixels = np.full((150, 200), value, np.uint8)
        image = make_image(kind, name=name, pixels=pixels)
        assert any('/c/' in key for key in image.snapshot) is not expected
        status, found = api.call('GET', f'/item/{image.item["_id"]}/tiles/internal_metadata')
        assert status == 200
        problems = found['zarr']['problems']
        assert any(one.startswith('No chunk was found') for one in problems) is expected, (name, problems)
