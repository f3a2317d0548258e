"""What happens to an upload that is named or built like a zarr and is none."""

import io
import zipfile

import pytest
from girder.models.item import Item
from girder_jobs.models.job import Job
from girder_large_image.models.image_item import ImageItem

from support.girder_images import upload
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')


def zipped(**files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


BROKEN = zipped(**{'zarr.json': '{"node_type": "group", "zarr_format": 3}', 'a': 'x' * 5000})


@pytest.mark.parametrize(
    ('name', 'body'),
    [
        ('a.zarr.zip', b'this is no zip'),
        ('a.ozx', b'PK\3\4 but then nothing'),
        ('a.zarr', b'\0' * 100),
        ('a.zarr.zip', BROKEN[:-30]),
        ('a.zarr.zip', zipped(readme='hello')),
        ('a.zip', zipped(**{'zarr.json': 'not json'})),
        ('a.zip', zipped(**{'inside/.zgroup': '{}'})),
        ('whatever', BROKEN),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_it_is_told_why_and_no_job_begins(api, people, folder, stored, name, body):
    item, _ = upload(folder, people['owner'], name, body)
    before = stored()
    status, refusal = api.call('POST', f'/item/{item["_id"]}/tiles')
    assert status == 415, refusal
    assert name in refusal['message']
    assert stored() == before
    assert 'largeImage' not in Item().load(item['_id'], force=True)
    assert Job().collection.count_documents({}) == 0


@pytest.mark.parametrize(
    ('name', 'body'),
    [('a.zip', zipped(readme='hello')), ('picture.png', png(random_pixels(20, 20)))],
    ids=['zip', 'png'],
)
def test_other_files_are_left_to_large_image(api, people, folder, monkeypatch, name, body):
    item, file = upload(folder, people['owner'], name, body)
    asked = []
    monkeypatch.setattr(
        ImageItem, 'createImageItem', lambda _self, _item, file, *_, **__: asked.append(file['_id'])
    )
    status, answer = api.call('POST', f'/item/{item["_id"]}/tiles')
    assert (status, asked) == (200, [file['_id']]), answer


def test_who_may_not_write_learns_nothing(api, people, folder):
    item, _ = upload(folder, people['owner'], 'a.zarr.zip', b'this is no zip')
    path = f'/item/{item["_id"]}/tiles'
    assert api.call('POST', path, user=people['reader'])[0] == 403
    assert api.call('POST', path, user=None)[0] == 401
