"""Sentences name files of the server by their last names, and leave all else as it is."""

import pytest

from girder_zarr.server.common.hidden_paths import shown_to, without_paths


@pytest.mark.parametrize(
    ('sentence', 'shown'),
    [
        ('There is no file /data/store/ab/cd.zarr.', 'There is no file cd.zarr.'),
        (
            "There is no file or directory '/data/x/image.zarr'.",
            "There is no file or directory 'image.zarr'.",
        ),
        ('0/zarr.json in /mnt/a-b/c_d.zarr cannot be read', '0/zarr.json in c_d.zarr cannot be read'),
        ('/a/b and (/c/d/e)', 'b and (e)'),
        ('The folder /data/store/ is full', 'The folder ... is full'),
        ('https://example.org/a/b.zarr is not allowed', 'https://example.org/a/b.zarr is not allowed'),
        ('s3://bucket/a/b', 's3://bucket/a/b'),
        ('expected image/png or 1/2/3', 'expected image/png or 1/2/3'),
        ('labels/cells/0 is missing', 'labels/cells/0 is missing'),
        ('of 10 / 20 / 30', 'of 10 / 20 / 30'),
    ],
)
def test_paths_lose_their_folders(sentence, shown):
    assert without_paths(sentence) == shown
    assert shown_to({'admin': False}, sentence) == shown_to(None, sentence) == shown
    assert shown_to({'admin': True}, sentence) == sentence
