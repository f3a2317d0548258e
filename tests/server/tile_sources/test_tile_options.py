"""The options series and labels of the tile source, through Girder's tile routes."""

import io
import json
import zipfile

import numpy as np
import pytest
from girder.models.item import Item
from girder.models.upload import Upload
from PIL import Image

pytestmark = pytest.mark.plugin('zarr')


def array(name, pixels):
    side, across = pixels.shape
    document = {
        'zarr_format': 2, 'shape': [side, across], 'chunks': [side, across], 'dtype': pixels.dtype.str,
        'compressor': None, 'filters': None, 'fill_value': 0, 'order': 'C',
    }  # fmt: skip
    return {f'{name}/.zarray': json.dumps(document), f'{name}/0.0': pixels.tobytes()}


def image(prefix, pixels, **attributes):
    scale = [{'type': 'scale', 'scale': [1, 1]}]
    axes = [{'name': name, 'type': 'space'} for name in 'yx']
    multiscale = {
        'version': '0.4',
        'axes': axes,
        'datasets': [{'path': '0', 'coordinateTransformations': scale}],
    }
    return {
        f'{prefix}.zgroup': '{"zarr_format": 2}',
        f'{prefix}.zattrs': json.dumps({'multiscales': [multiscale], **attributes}),
        **array(f'{prefix}0', pixels),
    }


@pytest.fixture
def item(people, folder, zarr_server):
    """Two images and a label of the second, in one zip."""
    group = '{"zarr_format": 2}'
    small, large = np.full((200, 250), 90, 'u1'), np.full((300, 400), 40, 'u1')
    label = np.zeros((300, 400), '<u4')
    label[100:150, 200:260] = 123_456
    colors = {'colors': [{'label-value': 123_456, 'rgba': [0, 255, 0, 255]}]}
    files = {
        '.zgroup': group,
        '.zattrs': json.dumps({'bioformats2raw.layout': 3}),
        **image('0/', small),
        **image('1/', large),
        '1/labels/.zgroup': group,
        '1/labels/.zattrs': json.dumps({'labels': ['cells']}),
        **image('1/labels/cells/', label, **{'image-label': colors}),
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    body = stream.getvalue()
    file = Upload().uploadFromFile(
        io.BytesIO(body), len(body), 'two.zarr.zip', 'folder', folder, people['owner']
    )
    return Item().load(file['itemId'], force=True)


def picture(api, route, **params):
    status, body = api.call('GET', route, params, is_json=False)
    assert status == 200, body
    return np.asarray(Image.open(io.BytesIO(body)))


# girder_large_image leaves a file open where a source refuses to open.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_series_and_labels_over_rest(api, item):
    base = f'/item/{item["_id"]}/tiles'
    if 'largeImage' not in item:
        status, answer = api.call('POST', base)
        assert status == 200, answer
    sizes = []
    for params in ({}, {'series': '0'}, {'series': '1'}, {'series': '1', 'labels': 'true'}, {}):
        status, metadata = api.call('GET', base, params)
        assert status == 200
        sizes.append((metadata['sizeX'], metadata['sizeY'], len(metadata.get('frames', [0]))))
    assert sizes == [(400, 300, 2), (250, 200, 1), (400, 300, 1), (400, 300, 2), (400, 300, 2)]
    route, chosen = f'{base}/zxy/0/0/0', {'series': '1', 'labels': 'true', 'encoding': 'PNG'}
    assert (picture(api, route, series='0', encoding='PNG')[:200, :250] == 90).all()
    assert (picture(api, route, series='1', encoding='PNG')[:200, :250] == 40).all()
    colored = picture(api, f'{base}/fzxy/1/0/0/0', **chosen)
    assert colored[120, 230].tolist() == [0, 255, 0, 255]
    assert colored[0, 0].tolist() == [0, 0, 0, 0]
    assert picture(api, f'{base}/region', frame=1, **chosen)[120, 230].tolist() == [0, 255, 0, 255]
    assert picture(api, f'{base}/thumbnail', series='0', width=125, encoding='PNG').shape[:2] == (100, 125)
    status, inside = api.call('GET', f'{base}/internal_metadata', {'series': '1'})
    assert (status, inside['zarr']['chosen']) == (200, '1')
    status, answer = api.call('GET', base, {'series': '7'})
    assert (status, 'There is no series 7' in answer['message']) == (400, True)
