"""What workers read of the parts of an image: those that are under way, however many there are."""

import pytest

from girder_zarr.server.leases import part_lease, run_lease
from girder_zarr.server.leases.part_lease import StitchPart
from girder_zarr.stitch.output.image_parts import ImagePart
from support.queries import documents_read, recorded_queries
from support.server import npy, random_pixels

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def begun(api, session, dispatched):
    """A session with a run that has begun."""
    assert api.put(session, 'a', npy(random_pixels(8, 8)))[0] == 201
    assert api.finalize(session)[0] == 200
    return run_lease.acquire(session['_id'], dispatched[-1]['attempt'])


def make_parts(begun, count):
    StitchPart().set_plan(begun, [ImagePart((at,), (at + 1,), 7) for at in range(count)], 8, None)


def finish(begun):
    part = StitchPart().claim(begun)
    file = StitchPart().store(begun, b'x', {'_id': begun['finalizerId']})
    assert StitchPart().finish(part, file)
    return part['index']


@pytest.mark.parametrize('count', [80, 320])
def test_few_parts_are_read_to_find_the_next(begun, db, count):
    make_parts(begun, count)
    for at in range(count // 4):
        StitchPart().collection.update_one(
            {'sessionId': begun['_id'], 'attempt': begun['attempt'], 'index': at},
            {'$set': {'state': 'done', 'made': 7, 'tries': 1}},
        )
    StitchPart().claim(begun)
    assert [finish(begun) for _ in range(3)] == [count // 4 + at for at in (1, 2, 3)]
    with recorded_queries() as made:
        assert StitchPart().made(begun) == 7 * (count // 4 + 3)
        assert StitchPart().claim(begun)['index'] == count // 4 + 4
        assert StitchPart().find_done(begun, 0)['index'] == 0
    assert documents_read(made, db.get_default_database()) <= 40


def test_all_parts_are_leased_in_their_order_also_those_that_were_given_up(begun):
    make_parts(begun, 70)
    leased = [StitchPart().claim(begun) for _ in range(40)]
    assert [part['index'] for part in leased] == list(range(40))
    StitchPart().release(leased[3])
    StitchPart().release(leased[30])
    assert [StitchPart().claim(begun)['index'] for _ in range(32)] == [3, 30, *range(40, 70)]
    assert StitchPart().claim(begun) is None
    part_lease._fronts.clear()  # as another process sees it
    assert StitchPart().claim(begun) is None
    StitchPart().add_made(StitchPart().find({'sessionId': begun['_id'], 'index': 69})[0], 5)
    assert StitchPart().made(begun) == 5


def test_parts_of_ended_attempts_are_looked_for_in_one_reading(begun, db):
    make_parts(begun, 5)
    part_lease._attempts.forget()
    with recorded_queries() as made:
        assert StitchPart().list_ended() == []
    assert [(one.collection, one.operation) for one in made] == [
        ('stitch_part', 'aggregate'), ('stitch_session', 'find_one'),
    ]  # fmt: skip
    StitchPart().collection.update_one({'index': 3}, {'$set': {'attempt': 'over'}})
    part_lease._attempts.forget()
    assert StitchPart().list_ended() == [begun['_id']]
