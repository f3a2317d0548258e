"""Two changes of a session, one of them whole between two steps of the other: counts and extent stay right.

At each command that the first sends to the database the second is made from its beginning to its end, by
another request that read the session before or after.
"""

import itertools

import pytest
from girder.models.file import File

from girder_zarr.errors import ConflictError
from girder_zarr.server.patches import model
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.session_extent import extent_of
from girder_zarr.server.sessions.model import StitchSession
from support.factories import new_patch
from support.queries import interrupted

pytestmark = pytest.mark.plugin('zarr')

#: Each changes a key of its own. What moves beside c ends where c does, at the edge of the image.
CHANGES = {
    'a moves': lambda session, user: StitchPatch().put(session, new_patch('a', 200), user, replace=True),
    'b moves': lambda session, user: StitchPatch().put(session, new_patch('b', 16), user, replace=True),
    'c goes': lambda session, _: StitchPatch().discard(session, 'c'),
    'd comes': lambda session, user: StitchPatch().put(session, new_patch('d', 300), user, replace=False),
}
PLACES = {'a': 0, 'b': 100, 'c': 200}
PAIRS = list(itertools.permutations(CHANGES, 2))


@pytest.fixture
def filled(folder, people):
    """Make a session with the patches of PLACES."""

    def make():
        session = StitchSession().create(folder, people['owner'], 'steps', None)
        for key, x in PLACES.items():
            StitchPatch().put(
                StitchSession().get(session['_id']), new_patch(key, x), people['owner'], replace=False
            )
        return StitchSession().get(session['_id'])

    return make


def check(session_id, where):
    """Hold counts and extent of a session against its patches."""
    session = StitchSession().get(session_id)
    patches = list(StitchPatch().find({'sessionId': session_id}))
    for patch in patches:
        assert (patch['stored'], patch['lockedBy'], 'moving' in patch) == (True, None, False), where
    assert session['extent'] == extent_of(patches), where
    nbytes = sum(patch['size'] for patch in patches)
    assert session['counts'] == {'patches': len(patches), 'bytes': nbytes}, where
    files = {file['_id'] for file in File().find({'attachedToId': session_id})}
    assert files == {patch['fileId'] for patch in patches}, where


@pytest.mark.usefixtures('zarr_server')
@pytest.mark.parametrize(('first', 'second'), PAIRS)
def test_a_change_between_two_steps_of_another(filled, people, first, second):
    interleave(filled, people['owner'], first, second)


@pytest.mark.usefixtures('zarr_server')
@pytest.mark.parametrize(('first', 'second'), [pair for pair in PAIRS if 'c goes' in pair])
def test_the_same_where_all_patches_are_read(filled, people, first, second, monkeypatch):
    monkeypatch.setattr(model, 'extent_without', lambda *_: None)
    interleave(filled, people['owner'], first, second)


def interleave(filled, user, first, second):
    for step in itertools.count():
        session = filled()

        def whole(session=session, reads_again=step % 2):
            seen = StitchSession().get(session['_id']) if reads_again else session
            CHANGES[second](seen, user)

        with interrupted(step, whole) as made:
            CHANGES[first](session, user)
        if len(made) <= step:
            assert step >= 4
            return
        check(session['_id'], f'{second} before {made[step]} (step {step}) of {first}: {made}')


@pytest.mark.usefixtures('zarr_server')
def test_what_was_to_move_is_where_it_was_after_an_error(filled, people, monkeypatch):
    """Another request has seen meanwhile where it would have been."""
    session, commit = filled(), StitchPatch.commit

    def fails(model, seen, *rest):
        monkeypatch.setattr(StitchPatch, 'commit', commit)
        CHANGES['c goes'](StitchSession().get(seen['_id']), None)
        assert StitchSession().get(seen['_id'])['extent']['x1'] == 508
        raise ConflictError('no')

    monkeypatch.setattr(StitchPatch, 'commit', fails)
    with pytest.raises(ConflictError):
        StitchPatch().put(session, new_patch('a', 500), people['owner'], replace=True)
    check(session['_id'], 'after the error')
