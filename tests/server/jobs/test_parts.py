"""Large sessions: made in parts by any number of workers, of which any may die at any moment."""

import contextlib
import datetime as dt
import threading

import numpy as np
import pytest
from girder.models.file import File
from girder.models.setting import Setting
from girder_jobs.constants import JobStatus
from girder_jobs.models.job import Job

from girder_zarr.errors import UnsupportedFormatError
from girder_zarr.server.jobs import distribute, progress, publish, run
from girder_zarr.server.leases import run_lease
from girder_zarr.server.leases.part_lease import StitchPart
from girder_zarr.server.maintenance import reaper
from girder_zarr.server.settings.define import SettingKey
from girder_zarr.stitch.output.image_parts import PartMaker
from support.server import npy, on_call_for_help, png, random_pixels, stored_array

pytestmark = pytest.mark.plugin('zarr')


class Killed(BaseException):
    """What no handler catches, as no handler catches SIGKILL."""


@pytest.fixture
def helpers(monkeypatch):
    """What was asked for help; nobody comes unless a test sends somebody."""
    asked = []
    on_call_for_help(monkeypatch, asked.append)
    return asked


@pytest.fixture
def large(api, session, monkeypatch):
    """A session of sixteen parts, and its pixels."""
    Setting().set(SettingKey.STITCH_PART_VALUES, 512 * 512)
    monkeypatch.setattr(distribute, '_PAUSE', 0.01)
    monkeypatch.setattr(progress, 'CHECK_SECONDS', 0)
    pixels = random_pixels(2048, 2048, 1)
    for row in range(2):
        for column in range(2):
            patch = pixels[row * 1024 : row * 1024 + 1024, column * 1024 : column * 1024 + 1024]
            assert api.put(session, f'{row}-{column}', npy(patch), column * 1024, row * 1024)[0] == 201
    return session, pixels


@pytest.fixture
def nothing_left(db, stored):
    """Check that parts leave nothing behind."""
    before = {}

    def check(**more):
        assert StitchPart().collection.count_documents({}) == 0
        assert list(File().find({'stitchPartOf': {'$exists': True}})) == []
        found = stored()
        expected = {name: count + more.get(name, 0) for name, count in before.items()}
        assert found == expected

    check.start = lambda: before.update(stored())
    return check


def kill_at(monkeypatch, owner, name, times=1):
    """Let a worker die when it calls something, so many times."""
    original, left = getattr(owner, name), [times]

    def die(*args, **kwargs):
        if left[0]:
            left[0] -= 1
            raise Killed
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, die)


def test_one_worker_makes_all_parts(api, large, dispatched, helpers, nothing_left):
    session, pixels = large
    nothing_left.start()
    api.finalize(session)
    dispatched.run()
    done = api.get(session)[1]
    assert done['state'] == 'complete', done
    assert np.array_equal(stored_array(done), pixels)
    assert len(helpers) == 15
    assert done['progress']['current'] == done['progress']['total'] == pixels.size
    nothing_left(Item=1, File=1)
    job = Job().load(done['jobId'], force=True, includeLog=True)
    assert job['status'] == JobStatus.SUCCESS
    assert 'in 16 parts' in ''.join(job['log'])


def test_helpers_make_parts_too(api, large, dispatched, helpers, nothing_left, monkeypatch):
    session, pixels = large
    nothing_left.start()
    made, original = {}, PartMaker.write
    ready = threading.Barrier(3)

    def write(self, part, target, **options):
        name = threading.current_thread().name
        if name not in made:
            made[name] = 0
            ready.wait(30)  # each of the three makes at least one
        made[name] += 1
        return original(self, part, target, **options)

    monkeypatch.setattr(PartMaker, 'write', write)
    threads = []

    def come(kwargs):
        if len(threads) < 2:
            thread = threading.Thread(target=run.make_parts, args=(kwargs['sessionId'], kwargs['attempt']))
            threads.append(thread)
            thread.start()

    on_call_for_help(monkeypatch, come)
    api.finalize(session)
    dispatched.run()
    for thread in threads:
        thread.join()
    done = api.get(session)[1]
    assert done['state'] == 'complete', done
    assert np.array_equal(stored_array(done), pixels)
    assert sum(made.values()) == 16
    assert len(made) == 3
    nothing_left(Item=1, File=1)


def test_help_that_comes_too_late_or_for_nothing(api, large, dispatched, helpers, nothing_left):
    session, _ = large
    nothing_left.start()
    run.make_parts(session['_id'], 'another attempt')
    api.finalize(session)
    run.make_parts(session['_id'], dispatched[-1]['attempt'])  # nothing is planned yet
    dispatched.run()
    run.make_parts(session['_id'], dispatched[-1]['attempt'])
    nothing_left(Item=1, File=1)


def test_a_helper_lets_others_have_their_turn(api, large, dispatched, helpers, nothing_left, monkeypatch):
    session, pixels = large
    nothing_left.start()
    api.finalize(session)
    kill_at(monkeypatch, distribute, 'make')
    with pytest.raises(Killed):
        dispatched.run()
    asked = len(helpers)
    monkeypatch.setattr(distribute, 'HELP_SECONDS', 0)
    run.make_parts(session['_id'], dispatched[-1]['attempt'])
    assert StitchPart().collection.count_documents({'state': 'done'}) == 1
    assert len(helpers) == asked + 1
    dispatched.run()
    assert np.array_equal(stored_array(api.get(session)[1]), pixels)
    nothing_left(Item=1, File=1)


@pytest.mark.parametrize('times', [1, 3])
def test_a_run_that_died_goes_on_with_what_is_done(
    api, large, dispatched, helpers, nothing_left, monkeypatch, times
):
    session, pixels = large
    nothing_left.start()
    api.finalize(session)
    written, original = [], PartMaker.write

    def write(self, part, target, **options):
        if len(written) in range(3, 3 + 4 * times, 4):
            written.append(None)
            raise Killed
        written.append(part.first)
        return original(self, part, target, **options)

    monkeypatch.setattr(PartMaker, 'write', write)
    for _ in range(times):
        with pytest.raises(Killed):
            dispatched.run()
        assert api.get(session)[1]['state'] == 'finalizing'
    dispatched.run()
    done = api.get(session)[1]
    assert np.array_equal(stored_array(done), pixels)
    assert sorted(part for part in written if part is not None) == sorted(set(written) - {None})
    nothing_left(Item=1, File=1)


@pytest.mark.parametrize(
    ('owner', 'name'),
    [
        (StitchPart, 'set_plan'), (StitchPart, 'store'), (StitchPart, 'finish'),
        (distribute, 'merge_file'), (run, 'verify_file'), (publish, 'set_large_image'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)  # fmt: skip
def test_killed_anywhere(api, large, dispatched, helpers, nothing_left, monkeypatch, owner, name):
    session, pixels = large
    nothing_left.start()
    api.finalize(session)
    kill_at(monkeypatch, owner, name)
    with pytest.raises(Killed):
        dispatched.run()
    dispatched.run()
    assert np.array_equal(stored_array(api.get(session)[1]), pixels)
    nothing_left(Item=1, File=1)


@pytest.mark.parametrize('way', ['cancel', 'cancel and delete', 'folder'])
def test_stopped_in_the_middle(api, large, folder, dispatched, helpers, nothing_left, monkeypatch, way):
    from girder.models.folder import Folder

    session, _ = large
    nothing_left.start()
    api.finalize(session)
    original, parts = PartMaker.write, []

    def write(self, part, target, **options):
        parts.append(part)
        if len(parts) == 5:
            if way == 'folder':
                Folder().remove(Folder().load(folder['_id'], force=True))
            else:
                assert api.cancel(session)[0] == 200
            if way == 'cancel and delete':
                assert api.delete(session)[0] == 200
        return original(self, part, target, **options)

    monkeypatch.setattr(PartMaker, 'write', write)
    dispatched.run()
    assert len(parts) == 5
    if way == 'cancel':
        assert api.get(session)[1]['state'] == 'cancelled'
        nothing_left()
    else:
        nothing_left(File=-4, StitchPatch=-4, StitchSession=-1)
    assert Job().findOne({})['status'] == JobStatus.CANCELED


def test_a_lease_that_ran_out_is_taken_over_and_what_comes_late_is_dropped(
    api, large, dispatched, helpers, nothing_left
):
    session, pixels = large
    nothing_left.start()
    api.finalize(session)
    begun = run_lease.acquire(session['_id'], dispatched[-1]['attempt'])
    StitchPart().set_plan(begun, [], 512 * 512, None)
    part = {
        'sessionId': begun['_id'],
        'attempt': begun['attempt'],
        'index': 0,
        'state': 'waiting',
        'tries': 0,
    }
    part |= {'lease': None, 'leaseUntil': dt.datetime(2000, 1, 1, tzinfo=dt.UTC), 'values': 7, 'made': 0}
    StitchPart().collection.insert_one(part)
    slow = StitchPart().claim(begun)
    assert StitchPart().claim(begun) is None
    StitchPart().collection.update_one(
        {'_id': slow['_id']}, {'$set': {'leaseUntil': dt.datetime(2000, 1, 1, tzinfo=dt.UTC)}}
    )
    quick = StitchPart().claim(begun)
    assert (quick['_id'], quick['tries']) == (slow['_id'], 2)
    assert not StitchPart().renew(slow)
    assert StitchPart().renew(quick)
    user = {'_id': begun['finalizerId']}
    late, file = (StitchPart().store(begun, b'x', user) for _ in range(2))
    StitchPart().add_made(slow, 3)
    assert StitchPart().made(begun) == 0
    assert not StitchPart().finish(slow, late)
    assert File().load(late['_id'], force=True) is None
    assert StitchPart().finish(quick, file)
    assert StitchPart().made(begun) == 7
    assert not StitchPart().finish(quick, StitchPart().store(begun, b'x', user))
    api.cancel(session)
    run_lease.end(begun)
    reaper.scan()
    nothing_left()


def test_what_a_dead_helper_of_a_cancelled_session_left_goes(api, large, dispatched, helpers, nothing_left):
    session, _ = large
    nothing_left.start()
    api.finalize(session)
    begun = run_lease.acquire(session['_id'], dispatched[-1]['attempt'])
    StitchPart().set_plan(begun, [PartMakerPart(0)], 512 * 512, None)
    leased = StitchPart().claim(begun)
    run_lease.release(begun)
    api.cancel(session)
    assert StitchPart().collection.count_documents({}) == 1  # its worker may be at work
    StitchPart().store(begun, b'late', {'_id': begun['finalizerId']})
    StitchPart().collection.update_one(
        {'_id': leased['_id']}, {'$set': {'leaseUntil': dt.datetime(2000, 1, 1, tzinfo=dt.UTC)}}
    )
    reaper.scan()
    nothing_left()


def test_a_part_that_is_made_while_others_clear_up_after_it_leaves_no_file(
    api, large, dispatched, helpers, nothing_left, monkeypatch
):
    """By a worker that has not heard of the end yet, after the files are listed."""
    session, _ = large
    nothing_left.start()
    api.finalize(session)
    begun = run_lease.acquire(session['_id'], dispatched[-1]['attempt'])
    StitchPart().set_plan(begun, [PartMakerPart(0)], 512 * 512, None)
    find, claimed = File.find, []
    run_lease.release(begun)

    def find_and_make(self, query, *args, **kwargs):
        found = list(find(self, query, *args, **kwargs))
        if 'stitchPartOf.sessionId' in query and not claimed:
            claimed.append(StitchPart().claim(begun))
            if claimed[0] is not None:
                file = StitchPart().store(begun, b'late', {'_id': begun['finalizerId']})
                StitchPart().finish(claimed[0], file)
        return found

    monkeypatch.setattr(File, 'find', find_and_make)
    api.cancel(session)
    assert claimed
    nothing_left()


def PartMakerPart(first):
    from girder_zarr.stitch.output.image_parts import ImagePart

    return ImagePart(first, first + 1, 7)


def test_a_broken_patch_ends_the_image_whoever_meets_it(
    api, large, dispatched, helpers, nothing_left, monkeypatch
):
    session, _ = large
    broken = png(random_pixels(64, 64, 1))
    middle = len(broken) // 2
    api.put(session, 'bad', broken[:middle] + bytes(100) + broken[middle + 100 :], x=1024, order=1)
    nothing_left.start()
    api.finalize(session)

    def come(kwargs):
        with contextlib.suppress(UnsupportedFormatError):
            run.make_parts(kwargs['sessionId'], kwargs['attempt'])

    on_call_for_help(monkeypatch, come)
    with contextlib.suppress(UnsupportedFormatError):
        dispatched.run()
    found = api.get(session)[1]
    assert (found['state'], 'Patch bad' in found['error']) == ('error', True), found
    assert Job().load(found['jobId'], force=True)['status'] == JobStatus.ERROR
    nothing_left()


def test_what_fails_by_chance_is_tried_again(api, large, dispatched, helpers, nothing_left, monkeypatch):
    session, pixels = large
    nothing_left.start()
    api.finalize(session)
    original, failed = PartMaker.write, []

    def write(self, part, target, **options):
        if len(failed) < 3:
            failed.append(part.first)
            raise OSError('the disk was away')
        return original(self, part, target, **options)

    monkeypatch.setattr(PartMaker, 'write', write)
    dispatched.run()
    assert failed == [0, 0, 0]
    assert np.array_equal(stored_array(api.get(session)[1]), pixels)
    nothing_left(Item=1, File=1)


def test_what_always_fails_is_given_up(api, large, dispatched, helpers, nothing_left, monkeypatch):
    session, _ = large
    nothing_left.start()
    api.finalize(session)

    def write(self, part, target, **options):
        raise OSError('the disk is gone')

    monkeypatch.setattr(PartMaker, 'write', write)
    with pytest.raises(OSError, match='gone'):
        dispatched.run()
    assert api.get(session)[1]['state'] == 'error'
    nothing_left()


def test_registration_is_done_once(api, session, dispatched, helpers, nothing_left, monkeypatch):
    pytest.importorskip('skimage')
    from girder_zarr.stitch.registration import register

    Setting().set(SettingKey.STITCH_PART_VALUES, 4096)
    scene = np.random.default_rng(3).integers(0, 255, (400, 700)).astype('uint8')
    api.call(
        'PUT', f'/stitch_session/{session["_id"]}', body='{"spec": {"registration": {}, "chunk": 64}}',
        content_type='application/json',
    )  # fmt: skip
    api.put(session, 'left', npy(scene[:, :400]), 0, 0)
    api.put(session, 'right', npy(scene[:, 300:]), 303, 2)
    nothing_left.start()
    api.finalize(session)
    measured, original = [], register.measure
    monkeypatch.setattr(register, 'measure', lambda *args: measured.append(1) or original(*args))
    kill_at(monkeypatch, distribute, 'merge_file')
    with pytest.raises(Killed):
        dispatched.run()
    assert measured == [1]
    dispatched.run()
    assert measured == [1]
    done = api.get(session)[1]
    assert done['state'] == 'complete', done
    right = stored_array(done)[:, -400:]
    assert np.array_equal(right[:390], scene[:390, 300:]) or right.shape[1] == 400
    nothing_left(Item=1, File=1)
