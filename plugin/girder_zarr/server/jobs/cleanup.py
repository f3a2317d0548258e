"""Removes what attempts leave behind; every step may be done twice, by any process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bson import ObjectId
from girder.constants import SortDir
from girder.models.item import Item
from girder.models.upload import Upload

from girder_zarr.server.leases import run_lease
from girder_zarr.server.leases.part_lease import StitchPart
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions.model import StitchSession, spec_of
from girder_zarr.server.sessions.states import COMPLETE, FINALIZING

from . import girder_job

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document


#: Behind all characters of descriptions of ours.
LAST_CHARACTER = '\uffff'


def ensure_index() -> None:
    """Make the index by which items are found that runs have left."""
    Item().ensureIndex(([(name, SortDir.ASCENDING) for name in ('folderId', 'description')], {}))


def clean_up(session: Document) -> None:
    """Remove what an ended attempt leaves, and end its job and its run.

    The run is removed last: a process that dies before leaves it, so that the reaper begins anew.
    """
    remove_leftovers(session)
    StitchPart().discard(session['_id'])
    if session['state'] == COMPLETE and not spec_of(session).keep_patches:
        _drop_patches(session)
    girder_job.end(session)
    if session.get('run'):
        run_lease.end(session)


def clean_up_if_abandoned(session: Document) -> None:
    """Clean up after an ended attempt whose worker is lost, or that never had one."""
    if session['state'] != FINALIZING and not run_lease.is_held(session):
        clean_up(session)


def clean_up_after_run(session: Document) -> None:
    """Clean up when a run stops; where another run has taken over, remove only what belongs to this one.

    :param session: with the run, as it was acquired.
    """
    current = StitchSession().findOne({'_id': session['_id']})
    if current is None:
        StitchPart().discard(session['_id'])
        remove_leftovers(session)
        girder_job.close(session['jobId'])
        return
    if (current.get('run') or {}).get('id') != session['run']['id']:
        remove_leftovers(session, own=True)
        if current['attempt'] != session['attempt']:
            girder_job.close(session['jobId'])
            StitchPart().discard(session['_id'], keep=current['attempt'])
        return
    if run_lease.is_running(session):
        run_lease.release(session)
        return
    clean_up(current)


def end_job_of_ended_attempt(job: Document) -> None:
    """End a job whose attempt has ended, unless a worker still cleans up and ends it itself."""
    session = StitchSession().findOne({'_id': ObjectId(job['meta']['stitchSessionId'])})
    if session is None or session['attempt'] != job['meta']['attempt']:
        girder_job.close(job['_id'])
    elif session['state'] != FINALIZING and not run_lease.is_held(session):
        girder_job.end(session)
        girder_job.close(job['_id'])


def item_description(session: Document) -> str:
    """Return the description of an item that is being made, by which `remove_leftovers` finds it."""
    run = (session.get('run') or {}).get('id')
    return f'Being stitched by session {session["_id"]}, attempt {session["attempt"]}, run {run}.'


def remove_leftovers(session: Document, *, own: bool = False) -> None:
    """Remove the items that unfinished runs of a session left behind, with their unfinished uploads.

    :param own: only those of this very run.
    """
    pattern = item_description(session) if own else f'Being stitched by session {session["_id"]}, '
    begins = {'$gte': pattern, '$lt': pattern + LAST_CHARACTER}
    for item in list(Item().find({'folderId': session['folderId'], 'description': begins})):
        current = StitchSession().findOne({'_id': session['_id']}) or {}
        if item['_id'] not in current.get('made', ()):
            remove_item(item)
        else:
            clear_description(item)


def clear_description(item: Document) -> None:
    """Mark an item as finished: no session claims it in its description any more."""
    Item().update({'_id': item['_id']}, {'$set': {'description': ''}}, multi=False)


def remove_item(item: Document) -> None:
    """Remove an item with its unfinished uploads."""
    for upload in list(Upload().find({'parentType': 'item', 'parentId': item['_id']})):
        Upload().cancelUpload(upload)
    found = Item().load(item['_id'], force=True)
    if found is not None:
        Item().remove(found)


def _drop_patches(session: Document) -> None:
    """Remove the patches of a complete session whose spec does not keep them."""
    StitchPatch().remove_all(session)
    StitchSession().change(session['_id'], {}, {'$set': {'counts': {'patches': 0, 'bytes': 0}, 'extent': {}}})
