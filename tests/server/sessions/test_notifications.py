"""What the creator of a session is told while it changes."""

import threading

import pytest

from support.server import npy, png, random_pixels

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def clock(monkeypatch):
    """The time as the events see it; a test sets it."""
    from girder_zarr.server.sessions import notifications

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(notifications, 'time', found)
    return found


@pytest.fixture
def told(monkeypatch, clock):
    """The events that were sent: (whom, what)."""
    from girder_zarr.server.sessions import notifications

    sent = []

    class Recorded:
        def __init__(self, kind, data, user):
            assert kind == 'stitch_session'
            self.what = user['_id'], data

        def flush(self):
            sent.append(self.what)

    monkeypatch.setattr(notifications, 'Notification', Recorded)
    return sent


def test_arrivals_are_told_once_a_second(api, people, session, told, clock):
    for second in range(3):
        for number in range(5):
            api.put(session, f'{second}-{number}', npy(random_pixels(4, 4, 1)), x=4 * number)
        clock.now += 1.5
    assert [data['counts']['patches'] for _, data in told] == [1, 6, 11]
    whom, data = told[-1]
    assert whom == people['owner']['_id']
    assert str(data['_id']) == session['_id']
    assert (data['state'], data['deleted']) == ('open', False)


def test_a_change_of_state_is_told_at_once(api, session, told, dispatched):
    api.put(session, 'a', png(random_pixels(20, 30)))
    api.finalize(session)
    dispatched.run()
    assert [data['state'] for _, data in told] == ['open', 'finalizing', 'complete']
    assert told[-1][1]['itemId'] is not None
    api.delete(session)
    assert told[-1][1]['deleted']


def test_others_who_may_read_are_not_told_more_than_they_ask_for(api, people, session, told):
    """A writer changes the session; the creator is told, whoever it was."""
    api.put(session, 'a', npy(random_pixels(4, 4, 1)), user=people['writer'])
    assert [whom for whom, _ in told] == [people['owner']['_id']]


def test_a_finalizing_session_says_how_long_it_will_take(api, session, dispatched, monkeypatch):
    from girder_zarr.server.jobs import progress
    from girder_zarr.server.patches.reader import PatchReader
    from girder_zarr.server.sessions.model import StitchSession

    for x in range(4):
        api.put(session, f'{x}', png(random_pixels(512, 512, 1, seed=x)), x=512 * x)
    seen, is_under_way = [], threading.Event()
    report, load = StitchSession.report, PatchReader.__call__

    def look_after(self, *args):
        report(self, *args)
        seen.append(api.get(session)[1]['progress'])
        if 0 < seen[-1]['current'] < seen[-1]['total']:
            is_under_way.set()

    def wait_for_report(self, patch):
        # the thread that reports goes its own pace
        assert patch.key != '3' or is_under_way.wait(60)
        return load(self, patch)

    monkeypatch.setattr(StitchSession, 'report', look_after)
    monkeypatch.setattr(PatchReader, '__call__', wait_for_report)
    monkeypatch.setattr(progress, 'REPORT_SECONDS', 0.001)
    monkeypatch.setattr(progress, 'PACE_SECONDS', 0)
    api.finalize(session)
    dispatched.run()
    assert seen[0]['timeLeft'] is None
    middle = [one for one in seen if 0 < one['current'] < one['total']]
    assert middle
    assert all(one['timeLeft'] >= 1 for one in middle)
    _, done = api.get(session)
    assert (done['state'], done['progress']['timeLeft']) == ('complete', None)
