"""The progress of a run: written beside the work, in its order, and not without a word where it cannot be."""

import threading

import pytest
from girder_jobs.models.job import Job
from pymongo.errors import AutoReconnect

from girder_zarr.server.jobs import progress
from girder_zarr.server.jobs.progress import ProgressReporter
from girder_zarr.server.patches.reader import PatchReader
from girder_zarr.server.sessions.model import StitchSession
from support.server import png, random_pixels
from support.waiting import wait_until

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def finalizing(api, session, dispatched):
    """The document of a session that is finalizing."""
    assert api.put(session, 'a', png(random_pixels(64, 64)))[0] == 201
    assert api.finalize(session)[1]['state'] == 'finalizing'
    return StitchSession().get(session['_id'])


def log_of(session):
    return ''.join(Job().load(session['jobId'], force=True, includeLog=True)['log']).splitlines()


def test_nobody_waits_for_the_database(finalizing, monkeypatch):
    report, may_go_on, writers = StitchSession.report, threading.Event(), set()

    def wait(self, *args):
        writers.add(threading.current_thread())
        assert may_go_on.wait(60)
        report(self, *args)

    monkeypatch.setattr(StitchSession, 'report', wait)
    reporter = ProgressReporter(finalizing)
    reporter.begin(100, 'First')
    for _ in range(50):
        reporter.advance(1)
    reporter.show('Second')
    reporter.update(lambda: 70)
    reporter.show('Third', current=60)
    assert len(log_of(finalizing)) == 0
    may_go_on.set()
    reporter.finish('Done')
    assert log_of(finalizing) == ['First', 'Second', 'Third', 'Done']
    assert threading.current_thread() not in writers
    assert not any(writer.is_alive() for writer in writers)
    shown = StitchSession().get(finalizing['_id'])['progress']
    assert (shown['current'], shown['total'], shown['message']) == (60, 100, 'Third')


def test_values_are_counted_by_who_makes_them_or_by_the_database(finalizing, monkeypatch):
    monkeypatch.setattr(progress, 'REPORT_SECONDS', 0.001)

    def current():
        return (StitchSession().get(finalizing['_id']).get('progress') or {}).get('current')

    reporter = ProgressReporter(finalizing)
    reporter.begin(100, 'Begun')
    reporter.advance(10)
    reporter.advance(10)
    wait_until(lambda: current() == 20)
    reporter.update(lambda: 55)
    wait_until(lambda: current() == 55)
    reporter.log('a line')
    assert log_of(finalizing) == ['Begun', 'a line']
    reporter.show('more may follow')
    reporter.close()
    assert log_of(finalizing) == ['Begun', 'a line', 'more may follow']


@pytest.mark.parametrize('call', ['advance', 'update', 'show'])
def test_what_goes_wrong_reaches_who_makes_the_image(finalizing, monkeypatch, call):
    def fail(*_):
        raise AutoReconnect('gone')

    arguments = {'advance': 1, 'update': lambda: 1, 'show': 'more'}
    monkeypatch.setattr(StitchSession, 'report', fail)
    reporter = ProgressReporter(finalizing)
    reporter.begin(100, 'Begun')
    reporter.close()
    with pytest.raises(AutoReconnect, match='gone'):
        getattr(reporter, call)(arguments[call])
    reporter.finish('the image is there all the same')
    assert log_of(finalizing) == ['the image is there all the same']


def test_a_run_that_cannot_write_its_progress_is_lost(finalizing, dispatched, monkeypatch):
    write, load, has_ended = ProgressReporter._run, PatchReader.__call__, threading.Event()

    def fail(*_):
        raise AutoReconnect('gone')

    def write_and_end(self):
        write(self)
        has_ended.set()

    def load_then(self, patch):
        assert has_ended.wait(60)
        return load(self, patch)

    with monkeypatch.context() as gone:
        gone.setattr(StitchSession, 'report', fail)
        gone.setattr(ProgressReporter, '_run', write_and_end)
        gone.setattr(PatchReader, '__call__', load_then)
        dispatched.run()
    found = StitchSession().get(finalizing['_id'])
    assert (found['state'], found['run']) == ('finalizing', None)
