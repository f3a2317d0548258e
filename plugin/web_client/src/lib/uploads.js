/** The uploads of this page, by session; they go on while somebody looks at other pages of Girder. */
import { request, send } from './api.js';
import { digestsOf } from './digests.js';
import { isInGirder } from './fileKinds.js';
import { forget, remember } from './planStore.js';
import store from './store.js';
import { tarOf } from './tar.js';
import { UploadQueue } from './uploadQueue.js';

/** The session is asked for once in so many milliseconds while patches are sent. */
const WHILE_SENDING = 1000;

/** @type {Map<string, UploadQueue>} */
const queues = new Map();

/** Send files with their patches in one request. */
async function sendPatches(sessionId, units, { signal, onProgress }) {
    const path = `stitch_session/${sessionId}`;
    if (isInGirder(units[0].file)) {
        const json = units.flatMap(({ file, entries }) => entries.map((entry) => (
            { itemId: file.itemId, key: entry.key, ...placeOf(entry) })));
        return (await request('POST', `${path}/files`, { json, signal })).data.patches;
    }
    const [{ file, digest, entries: [{ key, ...entry }] }] = units;
    if (units.length === 1 && units[0].entries.length === 1) {
        await send('PUT', `${path}/patch/${encodeURIComponent(key)}`, {
            query: placeOf(entry), body: file, signal, onProgress,
            headers: { 'Content-Type': 'application/octet-stream', ...(digest ? { 'Content-Digest': digest } : {}) }
        });
        return [{ key, code: 201 }];
    }
    const manifest = units.flatMap((unit, at) => unit.entries.map((one) => (
        { file: `p${at}`, key: one.key, ...placeOf(one), digest: unit.digest || undefined })));
    const body = tarOf([
        { name: 'manifest.json', content: new Blob([JSON.stringify(manifest)]) },
        ...units.map((unit, at) => ({ name: `p${at}`, content: unit.file }))
    ]);
    const headers = { 'Content-Type': 'application/x-tar' };
    const answer = await send('POST', `${path}/patches`, { body, headers, signal, onProgress });
    return answer.patches;
}

const placeOf = ({ fields, page, replace }) => ({ ...fields, page, replace });

/**
 * Begin to send patches to a session.
 *
 * @param {string} sessionId
 * @param {import('./uploadQueue.js').Task[]} tasks
 * @param {Object} [options] of the queue.
 */
function startUpload(sessionId, tasks, options) {
    const queue = new UploadQueue(tasks, {
        digests: digestsOf,
        isInGirder,
        send: (batch, how) => sendPatches(sessionId, batch, how),
        missing: async (keys) => (await request('POST', `stitch_session/${sessionId}/missing`, { json: { keys } })).data
    }, options);
    let seen = 0;
    queue.listen(() => {
        if (queue.counts.stored > seen) {
            seen = queue.counts.stored;
            store.noticed({ _id: sessionId }, WHILE_SENDING);
        }
        if (queue.isDone) {
            store.changed();
            if (!queue.problems.length) {
                forget(sessionId);
            }
        }
    });
    queues.set(sessionId, queue);
    queue.start();
    return queue;
}

/** @returns {?UploadQueue} */
function uploadOf(sessionId) {
    return queues.get(sessionId) || null;
}

window.addEventListener('beforeunload', (event) => {
    if ([...queues.values()].some(({ isActive }) => isActive)) {
        event.preventDefault();
    }
});

girder.events.on('g:login', () => queues.forEach((queue) => {
    if (queue.signedOut) {
        queue.start();
    }
}));

export { remember, startUpload, uploadOf };
