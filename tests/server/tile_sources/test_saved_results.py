"""Results that large_image saves with items, asked for by several requests at the same time."""

import pytest

pytestmark = pytest.mark.plugin('zarr')


class EndedThread:
    """A thread that has ended, and that another request notices while this one looks at it."""

    def __init__(self, model):
        self._model = model
        self._is_looked_at = False

    def join(self, timeout):
        if not self._is_looked_at:
            self._is_looked_at = True
            assert self._model.cacheSaveDataManagement(timeout) == 0

    def is_alive(self):
        return False


def test_a_thread_that_two_requests_see_end_fails_neither(server):
    from girder_large_image.models.image_item import ImageItem

    model = ImageItem()
    assert model.cacheSaveDataManagement(None) == 0
    model._cacheSaveDataThreads.append(EndedThread(model))
    assert model.cacheSaveDataManagement() == 0
