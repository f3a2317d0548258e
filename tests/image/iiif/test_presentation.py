"""Manifests: what they say of an image. `tests/server/iiif` has the models of the specification read them."""

from __future__ import annotations

from typing import Any

import pytest

from girder_zarr.image.iiif.picture_request import PictureLimits
from girder_zarr.image.iiif.presentation import (
    MAX_CANVASES,
    Described,
    collection,
    frame_address,
    frame_label,
    manifest,
    member,
    plain,
    rights_uri,
)

LIMITS = PictureLimits(16_383, 2**22)
ADDRESS = 'https://girder.example/iiif/item/1'
SLIDE = {'sizeX': 40_000, 'sizeY': 30_000, 'mm_x': 0.00025, 'mm_y': 0.00025, 'magnification': 40.0}


def test_an_image() -> None:
    made = manifest(Described(ADDRESS, 'slide', 'A slide.', 'http://x', 'https://y'), SLIDE, LIMITS, 1)
    assert (made['id'], made['type']) == (f'{ADDRESS}/manifest', 'Manifest')
    assert (made['label'], made['summary']) == ({'none': ['slide']}, {'none': ['A slide.']})
    assert (made['rights'], made['homepage'][0]['id']) == ('http://x', 'https://y')
    facts = {one['label']['en'][0]: one['value']['none'] for one in made['metadata']}
    assert facts == {
        'Size': ['40000 x 30000 pixels'],
        'Pixel size': ['0.25 x 0.25 micrometers'],
        'Magnification': ['40'],
    }
    (canvas,) = made['items']
    assert (canvas['width'], canvas['height'], canvas['label']) == (40_000, 30_000, {'none': ['slide']})
    body = canvas['items'][0]['items'][0]['body']
    # The largest picture that everybody gets, not the whole of it.
    assert body['id'] == f'{ADDRESS}/full/2364,1773/0/default.jpg'
    assert body['width'] * body['height'] <= LIMITS.area
    assert body['service'] == [{'id': ADDRESS, 'type': 'ImageService3', 'profile': 'level2'}]
    assert made['thumbnail'][0]['id'] == f'{ADDRESS}/full/256,192/0/default.jpg'
    (scale,) = canvas['service']
    assert (scale['physicalScale'], scale['physicalUnits']) == (0.00025, 'mm')
    assert 'physdim' in scale['profile']


@pytest.mark.parametrize(
    'sides', [(None, None), (0.1, None), (0, 0), (float('inf'), float('inf')), (0.1, 0.2), ('1', '1')]
)
def test_one_scale_is_told_where_there_is_one(sides: tuple[Any, Any]) -> None:
    found = manifest(
        Described(ADDRESS, 'x'), {'sizeX': 9, 'sizeY': 9, 'mm_x': sides[0], 'mm_y': sides[1]}, LIMITS, 1
    )
    assert 'service' not in found['items'][0]
    labels = [one['label']['en'][0] for one in found['metadata']]
    assert ('Pixel size' in labels) == (sides == (0.1, 0.2))


def test_small_images_are_not_scaled() -> None:
    made = manifest(Described(ADDRESS, 'x'), {'sizeX': 100, 'sizeY': 50}, LIMITS, 1)
    assert made['thumbnail'][0]['id'] == f'{ADDRESS}/full/max/0/default.jpg'
    body = made['items'][0]['items'][0]['items'][0]['body']
    assert (body['id'], body['width']) == (f'{ADDRESS}/full/max/0/default.jpg', 100)
    assert not {'summary', 'rights', 'homepage'} & set(made)


def test_frames() -> None:
    metadata = {
        'sizeX': 10,
        'sizeY': 10,
        'channels': ['DAPI', '<b>GFP</b>'],
        'IndexRange': {'IndexC': 2, 'IndexZ': 3},
        'frames': [
            {'Frame': at, 'IndexC': at % 2, 'IndexZ': at // 2, 'Channel': ['DAPI', '<b>GFP</b>'][at % 2]}
            for at in range(6)
        ],
    }
    made = manifest(Described(ADDRESS, 'x'), metadata, LIMITS, 6)
    assert [one['label']['none'][0] for one in made['items']][:3] == [
        'DAPI, z 0',
        '<b>GFP</b>, z 0',
        'DAPI, z 1',
    ]
    services = [one['items'][0]['items'][0]['body']['service'][0]['id'] for one in made['items']]
    assert services == [ADDRESS, *(f'{ADDRESS};frame={at}' for at in range(1, 6))]
    assert services == [frame_address(ADDRESS, at) for at in range(6)]
    facts = {one['label']['en'][0]: one['value']['none'] for one in made['metadata']}
    assert facts['Channels'] == ['DAPI', '<span>&lt;b&gt;GFP&lt;/b&gt;</span>']
    assert facts['Length along z'] == ['3']
    ids = [one['id'] for one in made['items']]
    assert len(set(ids)) == 6


def test_frames_without_names() -> None:
    metadata = {'frames': [{'Frame': 0}, {'Frame': 1}]}
    assert [frame_label(metadata, at) for at in (0, 1)] == ['Frame 0', 'Frame 1']
    indices = {
        'IndexRange': {'IndexC': 2, 'IndexT': 1},
        'frames': [{'IndexC': 0, 'IndexT': 0}, {'IndexC': 1}],
    }
    assert [frame_label(indices, at) for at in (0, 1)] == ['c 0', 'c 1']


def test_the_canvases_are_bounded() -> None:
    count = 100_000
    metadata = {'sizeX': 10, 'sizeY': 10, 'frames': [{'Frame': at} for at in range(count)]}
    made = manifest(Described(ADDRESS, 'x'), metadata, LIMITS, count)
    assert len(made['items']) == MAX_CANVASES
    assert made['metadata'][-1]['value']['none'] == [f'{count}, of which the first {MAX_CANVASES} are shown']


@pytest.mark.parametrize(
    ('value', 'uri'),
    [
        ('https://creativecommons.org/licenses/by/4.0/', 'http://creativecommons.org/licenses/by/4.0/'),
        ('http://creativecommons.org/publicdomain/zero/1.0/', 'http://creativecommons.org/publicdomain/zero/1.0/'),
        ('https://rightsstatements.org/page/InC/1.0/', 'http://rightsstatements.org/vocab/InC/1.0/'),
        ('CC BY 4.0', None),
        ('https://creativecommons.org.evil.example/licenses/by/4.0/', None),
        ('https://creativecommons.org/licenses/by/4.0/"><script>', None),
        ('http://creativecommons.org/licenses/' + 'a' * 300, None),
        (None, None),
        (['http://creativecommons.org/licenses/by/4.0/'], None),
    ],
)  # fmt: skip
def test_rights_are_uris_of_the_sets_that_may_be_named(value: object, uri: str | None) -> None:
    assert rights_uri(value) == uri


def test_a_collection() -> None:
    image = member('https://g/iiif/item/1', 'a', is_image=True)
    folder = member('https://g/iiif/folder/2', 'b', is_image=False)
    made = collection(Described('https://g/iiif/folder/0', 'top', '<script>'), [image, folder])
    assert [one['type'] for one in made['items']] == ['Manifest', 'Collection']
    assert [one['id'] for one in made['items']] == [
        'https://g/iiif/item/1/manifest', 'https://g/iiif/folder/2/manifest',
    ]  # fmt: skip
    assert made['summary'] == {'none': ['<span>&lt;script&gt;</span>']}
    assert 'thumbnail' not in folder


def test_text_is_never_taken_for_html() -> None:
    assert plain(' 3 < 4 ') == '3 < 4'
    assert plain('<a>') == '<span>&lt;a&gt;</span>'
