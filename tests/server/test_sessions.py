"""A stitch session from its creation to its end, over REST."""

import pytest

from .conftest import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')


def test_a_session_says_what_it_holds(api, folder, session):
    status, patch = api.put(session, 'a', png(random_pixels(20, 30)), x=-5, y=7)
    assert status == 201, patch
    assert patch['status'] == 'created'
    assert patch['shape'] == [20, 30, 3]
    status, found = api.get(session)
    assert status == 200
    assert found['counts']['patches'] == 1
    assert found['bounds'] == {'x': [-5, 25], 'y': [7, 27]}
    assert (found['dtype'], found['bands'], found['state']) == ('uint8', 3, 'open')


@pytest.fixture
def dispatched(monkeypatch):
    """What was sent to the workers; ``run()`` does what a worker would do with the last of it."""
    from girder_zarr.server import tasks

    class Sent(list):
        def run(self):
            from girder_jobs.models.job import Job

            kwargs = self[-1]
            jobs = [job for job in Job().find() if job['meta'].get('attempt') == kwargs['attempt']]
            tasks.run(kwargs['sessionId'], kwargs['attempt'], str(jobs[0]['_id']))

    sent = Sent()
    original = tasks.stitch.apply_async

    def apply_async(*args, **options):
        sent.append(dict(options['kwargs']))
        return original(*args, **options)

    monkeypatch.setattr(tasks.stitch, 'apply_async', apply_async)
    return sent


def test_patches_become_an_item_that_the_viewer_can_show(api, folder, dispatched, people):
    picture = random_pixels(700, 900)
    status, session = api.create(folder, pixelSize={'x': 0.5, 'y': 0.25, 'unit': 'micrometer'})
    for y in (300, 0):
        for x in (0, 400):
            status, patch = api.put(session, f'y{y}_x{x}', png(picture[y : y + 400, x : x + 500]), x=x, y=y)
            assert status == 201, patch
    status, started = api.finalize(session)
    assert (status, started['state']) == (200, 'finalizing'), started
    dispatched.run()
    status, done = api.get(session)
    assert done['state'] == 'complete', done
    assert done['progress']['current'] == done['progress']['total'] == 700 * 900 * 3
    status, metadata = api.call('GET', f'/item/{done["itemId"]}/tiles')
    assert status == 200, metadata
    assert (metadata['sizeX'], metadata['sizeY'], metadata['mm_x'], metadata['mm_y']) == (
        900,
        700,
        0.0005,
        0.00025,
    )
