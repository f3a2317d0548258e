"""What is there, counted from outside: in the database and on the disk, with nothing of the server's code."""

from __future__ import annotations

import collections
import datetime as dt
import os
from pathlib import Path
from typing import Any

import pymongo

from support.stack import Stack, processes_below

#: Girder's numbers for jobs that have ended: success, error, cancelled.
JOBS_ENDED = (3, 4, 5)


class Census:
    """Counts everything that a stack keeps.

    :param temporary: where the stack makes its temporary files.
    """

    def __init__(self, stack: Stack, temporary: Path) -> None:
        self._stack, self._temporary = stack, temporary
        self._client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            database_address(stack), serverSelectionTimeoutMS=30000
        )
        self._db = self._client.get_default_database()

    def close(self) -> None:
        """End the connection to the database."""
        self._client.close()

    def kept(self) -> dict[str, int]:
        """Return how much there is of what may be there."""
        db = self._db
        return {
            'sessions': db.stitch_session.count_documents({}),
            'patches': db.stitch_patch.count_documents({}),
            'files of patches': db.file.count_documents({'attachedToType': {'$ne': None}}),
            'items': db.item.count_documents({}),
            'files on disk': len(self._on_disk()[0]),
            'small copies': sum(db[name].count_documents({}) for name in self._copies()),
            'jobs': db.job.count_documents({}),
        }

    def orphans(self) -> dict[str, list[str]]:
        """Return what nothing refers to, or what is not finished, by its kind."""
        db = self._db
        sessions = {one['_id']: one for one in db.stitch_session.find({})}
        patches = list(db.stitch_patch.find({}))
        files = {one['_id']: one for one in db.file.find({})}
        references = list(db.stitch_reference.find({}))
        used = {one.get('fileId') for one in (*patches, *references)}
        results = {one['fileId'] for one in sessions.values() if one['fileId']}
        items = {one['itemId'] for one in sessions.values() if one['itemId']}
        found: dict[str, list[Any]] = collections.defaultdict(list)
        found['sessions being deleted'] = [one for one, what in sessions.items() if what['deleting']]
        found['patches of no session'] = [one['_id'] for one in patches if one['sessionId'] not in sessions]
        found['patches never stored'] = [one['key'] for one in patches if not one['stored']]
        found['patches locked'] = [one['key'] for one in patches if one['stored'] and one.get('lockedBy')]
        found['patches without a file'] = [one['key'] for one in patches if one['fileId'] not in files]
        found['files that no patch or session names'] = [
            file for file in files if file not in used and file not in results
        ]
        found['items of no session'] = [
            one['_id'] for one in db.item.find({}, {'_id': 1}) if one['_id'] not in items
        ]
        found['sessions without their item or file'] = [
            one
            for one, what in sessions.items()
            if what['state'] == 'complete'
            and (what['fileId'] not in files or db.item.find_one({'_id': what['itemId']}) is None)
        ]
        found['uploads'] = [one['_id'] for one in db.upload.find({}, {'_id': 1})]
        found['jobs without an end'] = [
            one['_id'] for one in db.job.find({'status': {'$nin': list(JOBS_ENDED)}}, {'_id': 1})
        ]
        # However often a session was finalized without a broker, none is left once it has begun.
        unsent = {'meta.unsent': True, 'meta.stitchSessionId': {'$in': [*map(str, sessions)]}}
        present = {what['jobId'] for what in sessions.values()}
        found['jobs that no worker heard of'] = [
            one['_id'] for one in db.job.find(unsent, {'_id': 1}) if one['_id'] not in present
        ]
        found['small copies of no patch'] = self._copies_of_nothing(patches)
        found |= self._working_documents()
        found |= self._disk(files)
        return {kind: [str(one) for one in those] for kind, those in found.items()}

    def age(self, hours: float) -> None:
        """Let everything that may be waiting for its time look as if it had been there for longer."""
        before = dt.timedelta(hours=hours)
        moments = {
            'file': ('created',),
            'upload': ('created', 'updated'),
            'stitch_patch': ('lockedAt',),
            'stitch_session': ('updated',),
        }
        for collection, fields in moments.items():
            # Sessions that are not being deleted are left alone: their time is looked at by others, too.
            query = {'deleting': True} if collection == 'stitch_session' else {}
            for one in self._db[collection].find(query, dict.fromkeys(fields, 1)):
                older = {name: one[name] - before for name in fields if one.get(name) is not None}
                if older:
                    self._db[collection].update_one({'_id': one['_id']}, {'$set': older})
        for path in (self._stack.data / 'assetstore' / 'temp').iterdir():
            then = path.stat().st_mtime - before.total_seconds()
            os.utime(path, (then, then))

    def _copies(self) -> list[str]:
        """Return the names of the collections that hold smaller copies of patches."""
        names = self._db.list_collection_names()
        return sorted(name for name in names if name.startswith('stitch_') and name.endswith('_copy'))

    def _copies_of_nothing(self, patches: list[dict[str, Any]]) -> list[Any]:
        sources = {f'{one["fileId"]}' for one in patches}
        sources |= {f'{one["fileId"]}:{one.get("offset")}:{one["size"]}' for one in patches}
        copies = [one['_id'] for name in self._copies() for one in self._db[name].find({}, {'_id': 1})]
        return [one for one in copies if one not in sources]

    def _working_documents(self) -> dict[str, list[Any]]:
        """Return documents of further collections of ours, which only live while a job runs."""
        known = {'stitch_session', 'stitch_patch', 'stitch_reference', *self._copies()}
        found: dict[str, list[Any]] = {'parts of images': list(self._db.stitch_part.find({}, {'_id': 1}))}
        lost = {'sessionId': {'$nin': self._db.stitch_session.distinct('_id')}}
        blocks = self._db.stitch_preview_block.find(lost, {'_id': 1})
        found['preview blocks of no session'] = [one['_id'] for one in blocks]
        for name in sorted(self._db.list_collection_names()):
            if name.startswith('stitch_') and name not in {*known, 'stitch_part', 'stitch_preview_block'}:
                documents = list(self._db[name].find({}, {'_id': 1}))
                found[f'documents in {name}'] = [one['_id'] for one in documents]
        return found

    def _disk(self, files: dict[Any, Any]) -> dict[str, list[Any]]:
        named = {file['path'] for file in files.values() if file.get('path')}
        stored, unfinished, locks = self._on_disk()
        # Of each part of the stack; what multiprocessing makes for a worker that runs is empty.
        inside = self._temporary.glob('girder-zarr-*/*/*')
        temporary = sorted(path.name for path in inside if not path.name.startswith('pymp-'))
        temporary += sorted(
            path.name for path in self._temporary.iterdir() if not path.name.startswith('girder-zarr-')
        )
        return {
            'files on disk that no file names': [name for name in stored if name not in named],
            'files that are not on disk': sorted(named - set(stored)),
            'unfinished files on disk': unfinished,
            'locks on disk': locks,
            'temporary files and folders': temporary,
        }

    def _on_disk(self) -> tuple[list[str], list[str], list[str]]:
        root = self._stack.data / 'assetstore'
        stored, unfinished, locks = [], [], []
        for path in sorted(root.rglob('*')):
            name = str(path.relative_to(root))
            if not path.is_file():
                continue
            if name.endswith('.deleteLock'):
                locks.append(name)
            elif name.startswith('temp/'):
                unfinished.append(name)
            else:
                stored.append(name)
        return stored, unfinished, locks


def database_address(stack: Stack) -> str:
    """Return the address of the database that a stack's processes were given."""
    for pid in processes_below(stack.process.pid):
        for entry in Path(f'/proc/{pid}/environ').read_bytes().split(b'\0'):
            name, _, value = entry.decode().partition('=')
            if name == 'GIRDER_MONGO_URI':
                return value
    raise AssertionError('no process of the stack knows of a database')
