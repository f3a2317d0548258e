/** The uploads of this page, by session; they go on while somebody looks at other pages of Girder. */
import { request, send } from './api.js';
import { forget, remember } from './planStore.js';
import store from './store.js';
import { UploadQueue } from './uploadQueue.js';

/** Larger files are sent without a digest: the browser can only make one of a file that is in memory as a whole. */
const MOST_DIGESTED = 2 ** 28;

/** @type {Map<string, UploadQueue>} */
const queues = new Map();

/** The digest of a file as RFC 9530 writes it; null on pages that came over plain http from another machine. */
async function digestOf(file) {
    if (!window.crypto.subtle || file.size > MOST_DIGESTED) {
        return null;
    }
    const hash = new Uint8Array(await window.crypto.subtle.digest('SHA-256', await file.arrayBuffer()));
    return `sha-256=:${btoa(String.fromCharCode(...hash))}:`;
}

async function sendPatches(sessionId, tasks, { digests, signal, onProgress }) {
    const path = `stitch_session/${sessionId}`;
    if (tasks.length === 1) {
        const [{ key, fields, file, replace }] = tasks;
        await send('PUT', `${path}/patch/${encodeURIComponent(key)}`, {
            query: { ...fields, replace }, body: file, signal, onProgress,
            headers: { 'Content-Type': 'application/octet-stream', ...(digests[0] ? { 'Content-Digest': digests[0] } : {}) }
        });
        return [{ key, code: 201 }];
    }
    const form = new FormData();
    const manifest = tasks.map(({ key, fields, replace }, at) => (
        { file: `p${at}`, key, ...fields, replace, digest: digests[at] || undefined }));
    form.append('manifest', new Blob([JSON.stringify(manifest)], { type: 'application/json' }), 'manifest.json');
    tasks.forEach(({ file }, at) => form.append('patch', file, `p${at}`));
    const answer = await send('POST', `${path}/patches`, { body: form, signal, onProgress });
    return answer.patches;
}

/**
 * Begin to send patches to a session.
 *
 * @param {string} sessionId
 * @param {import('./uploadQueue.js').Task[]} tasks
 * @param {Object} [options] of the queue.
 */
function startUpload(sessionId, tasks, options) {
    const queue = new UploadQueue(tasks, {
        digest: digestOf,
        send: (batch, how) => sendPatches(sessionId, batch, how),
        missing: async (keys) => (await request('POST', `stitch_session/${sessionId}/missing`, { json: { keys } })).data
    }, options);
    let seen = 0;
    queue.listen(() => {
        if (queue.counts.stored > seen) {
            seen = queue.counts.stored;
            store.noticed({ _id: sessionId });
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
