"""What is stored under a key goes on being there, whatever fails after it was replaced or removed."""

import numpy as np
import pytest
from girder.models.file import File
from girder.utility.filesystem_assetstore_adapter import FilesystemAssetstoreAdapter

from girder_zarr.server.maintenance import orphans
from girder_zarr.server.patches import keyed
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.references import StitchReference
from girder_zarr.server.sessions.model import StitchSession
from support.server import png, random_pixels, stored_array, tar

pytestmark = pytest.mark.plugin('zarr')
OLD, NEW = random_pixels(16, 16, seed=1), random_pixels(16, 16, seed=2)
KEYS = ('a_x0_y0', 'b_x16_y0')


def put_patch(api, session, pixels):
    return [api.put(session, KEYS[0], png(pixels), replace=True)]


def put_reference(api, session, pixels):
    path = f'/stitch_session/{session["_id"]}/reference/{KEYS[0]}'
    # One band, as masks have.
    return [api.call('PUT', path, {'replace': True}, body=png(pixels[..., 0]), content_type='image/png')]


def put_batch(api, session, pixels):
    files = [(key, png(pixels + np.uint8(at))) for at, key in enumerate(KEYS)]
    path = f'/stitch_session/{session["_id"]}/patches'
    status, answer = api.call(
        'POST', path, {'replace': True}, body=tar(files), content_type='application/x-tar'
    )
    assert status == 200, answer
    return [(outcome['code'], outcome) for outcome in answer['patches']]


WAYS = {
    'patch': (put_patch, StitchPatch),
    'reference': (put_reference, StitchReference),
    'batch': (put_batch, StitchPatch),
}
each_way = pytest.mark.parametrize(('put', 'model'), WAYS.values(), ids=WAYS)


@pytest.fixture
def failing_once(monkeypatch):
    """Let the next removal of a file from the assetstore fail, as one from S3 can."""
    original, failed = FilesystemAssetstoreAdapter.deleteFile, []

    def fail(self, file):
        if not failed:
            failed.append(file['_id'])
            raise OSError('the bucket does not answer')
        original(self, file)

    def begin():
        monkeypatch.setattr(FilesystemAssetstoreAdapter, 'deleteFile', fail)
        return failed

    return begin


def bytes_of(model, session):
    """The bytes of everything that is stored, read through Girder."""
    found = {}
    for document in model().find({'sessionId': StitchSession().get(session['_id'])['_id']}):
        assert (document['stored'], document['lockedBy']) == (True, None)
        file = File().load(document['fileId'], force=True)
        assert file is not None, f'{document["key"]} names a file that is gone'
        with File().open(file) as handle:
            handle.seek(document.get('offset', 0))
            found[document['key']] = handle.read(document['size'])
    return found


@each_way
def test_a_replacement_whose_old_file_cannot_be_removed(api, session, stored, failing_once, put, model):
    put(api, session, OLD)
    before = bytes_of(model, session)
    files = stored()
    failed = failing_once()
    answers = put(api, session, NEW)
    assert [(status, answer['status']) for status, answer in answers] == [(200, 'replaced')] * len(before)
    assert len(failed) == 1
    after = bytes_of(model, session)
    assert set(after) == set(before)
    assert all(after[key] != before[key] for key in before)
    # The file that could not be removed is nobody's any more, and goes with the next sweep.
    assert orphans.sweep_orphans(StitchSession().get(session['_id']), 0) == 1
    assert bytes_of(model, session) == after
    if put is not put_batch:
        assert stored() == files


@each_way
def test_a_removal_whose_file_cannot_be_removed(api, session, failing_once, put, model):
    put(api, session, OLD)
    failed = failing_once()
    kind = 'reference' if model is StitchReference else 'patch'
    for key in bytes_of(model, session):
        assert api.call('DELETE', f'/stitch_session/{session["_id"]}/{kind}/{key}')[0] == 200
    assert len(failed) == 1
    assert bytes_of(model, session) == {}
    current = StitchSession().get(session['_id'])
    assert (current['counts'], current['extent']) == ({'patches': 0, 'bytes': 0}, {})
    assert orphans.sweep_orphans(current, 0) == 1
    assert File().findOne({'attachedToId': current['_id']}) is None


@each_way
def test_an_image_of_what_was_replaced(api, session, dispatched, failing_once, put, model):
    """As an end: the job finds every file, with the pixels that were put last."""
    put(api, session, OLD)
    failing_once()
    put(api, session, NEW)
    if model is StitchReference:
        api.put(session, 'p', png(NEW), maskKey=KEYS[0])
    assert api.finalize(session)[0] == 200
    dispatched.run()
    done = api.get(session)[1]
    assert done['state'] == 'complete', done
    found = np.moveaxis(stored_array(done), 0, -1)
    if model is StitchPatch:
        assert np.array_equal(found[:16, :16], NEW)


@each_way
def test_an_answer_that_is_lost_after_the_change_costs_no_bytes(api, session, monkeypatch, put, model):
    """The connection to the database breaks when it has done what it was asked for."""
    put(api, session, OLD)
    original = model._update

    def fail(self, *args):
        original(self, *args)
        raise RuntimeError('the database is gone')

    with monkeypatch.context() as patched:
        patched.setattr(model, '_update', fail)
        with pytest.raises(AssertionError, match='the database is gone'):
            put(api, session, NEW)
    expected = png(NEW[..., 0]) if model is StitchReference else png(NEW)
    assert bytes_of(model, session)[KEYS[0]] == expected


def test_keys_that_are_taken_meanwhile_cost_a_batch_one_file(api, people, session, failing_once, monkeypatch):
    """All of a batch's keys are taken between its look at them and its locks; its file cannot be removed."""
    taken = keyed.KeyedModel._insert_many
    failing_once()
    monkeypatch.setattr(keyed.KeyedModel, '_insert_many', lambda *_: {})
    answers = put_batch(api, session, OLD)
    assert [answer['status'] for _, answer in answers] == ['created', 'created']
    monkeypatch.setattr(keyed.KeyedModel, '_insert_many', taken)
    assert orphans.sweep_orphans(StitchSession().get(session['_id']), 0) == 1
    assert bytes_of(StitchPatch, session) == {key: png(OLD + np.uint8(at)) for at, key in enumerate(KEYS)}
