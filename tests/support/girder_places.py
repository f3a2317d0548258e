"""Picking a folder on our pages."""


def name_of(girder, collection):
    return girder.getCollection(collection)['name']


def choose_folder(page, girder, folder):
    """Pick the folder of a test as the place of a run."""
    page.get_by_role('button', name='Choose in Girder').press('Enter')
    places = page.get_by_role('region', name='Places in Girder')
    name = name_of(girder, girder.getFolder(folder)['parentId'])
    places.get_by_role('button', name=name, exact=True).click()
    places.get_by_role('button', name='Slides', exact=True).click()
    places.get_by_role('button', name='Choose the folder Slides').click()
    places.wait_for(state='detached')
    assert page.evaluate('document.activeElement.textContent') == 'Choose in Girder'
    page.locator('.g-zarr-place').get_by_text(f'{name} / Slides').wait_for()
