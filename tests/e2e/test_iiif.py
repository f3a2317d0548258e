"""IIIF on the real stack: the validator of its Image API, with its own picture, by a share link."""

import io
import json
import urllib.request

from support.iiif_validation import image_failures, read_presentation, validation_image
from support.shared_images import make_image


def test_the_validator_finds_nothing(stack, girder):
    picture = validation_image()
    user = girder.get('user/me')
    folder = girder.createFolder(user['_id'], 'iiif', parentType='user', public=False)
    file = girder.uploadFile(
        folder['_id'], io.BytesIO(picture), 'picture.png', len(picture), parentType='folder'
    )
    make_image(girder, file['itemId'])
    link = girder.post('zarr_link', data=json.dumps({'itemId': file['itemId'], 'label': 'validator'}))
    passed, failed = image_failures(f'{stack.url}iiif/k', link['key'])
    assert failed == []
    assert passed > 100
    with urllib.request.urlopen(f'{stack.url}iiif/k/{link["key"]}/manifest') as answer:
        document = json.load(answer)
    read_presentation(document)
    assert document['id'] == f'{stack.url}iiif/k/{link["key"]}/manifest'
    address = f'{stack.url}iiif/folder/{folder["_id"]}/manifest'
    with urllib.request.urlopen(
        urllib.request.Request(address, headers={'Girder-Token': girder.token})
    ) as answer:
        document = json.load(answer)
    read_presentation(document)
    assert [one['id'] for one in document['items']] == [f'{stack.url}iiif/item/{file["itemId"]}/manifest']
