import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UploadQueue } from '../src/lib/uploadQueue.js';

const MB = 2 ** 20;
const tasks = (count, size = 1000) => Array.from({ length: count }, (_, at) => (
    { key: `k${at}`, path: `k${at}.png`, file: { size }, fields: { x: at, y: 0 } }));
const refusal = (status, message) => Object.assign(new Error(message), { status });

/** A queue with a server that keeps what it gets; `answer` may refuse. */
function made(list, answer = () => null, options = {}) {
    const server = { stored: new Map(), requests: [], waits: [], now: 0, most: 0, open: 0, asked: [] };
    const queue = new UploadQueue(list, {
        now: () => server.now,
        wait: async (ms) => {
            server.waits.push(ms);
        },
        digests: async (files) => files.map(({ size }) => `digest of ${size}`),
        missing: async (keys) => {
            server.asked.push(...keys);
            return {
                missing: keys.filter(({ key }) => !server.stored.has(key)).map(({ key }) => key),
                different: keys.filter(({ key, digest }) => server.stored.has(key) && server.stored.get(key) !== digest)
                    .map(({ key }) => key)
            };
        },
        isInGirder: ({ itemId }) => itemId !== undefined,
        send: async (units, { signal, onProgress }) => {
            const batch = units.flatMap(({ entries }) => entries);
            server.requests.push(batch.map(({ key }) => key));
            server.open += 1;
            server.most = Math.max(server.most, server.open);
            onProgress(units[0].file.size / 2);
            await new Promise((resolve) => setImmediate(resolve));
            server.open -= 1;
            server.now += 1000;
            if (signal.aborted) {
                throw new DOMException('Stopped.', 'AbortError');
            }
            const refused = answer(batch, server);
            if (refused) {
                return refused;
            }
            units.forEach(({ digest, entries }) => entries.forEach(({ key }) => server.stored.set(key, digest)));
            return batch.map(({ key }) => ({ key, code: 201 }));
        }
    }, options);
    return { queue, server };
}

async function finished(queue) {
    while (!queue.isDone && !(queue.isPaused && !queue.running)) {
        await new Promise((resolve) => setImmediate(resolve));
    }
}

test('small files share requests, large ones go alone, four at a time', async () => {
    const { queue, server } = made([...tasks(250), { key: 'big', path: 'big', file: { size: 3 * MB }, fields: {} }]);
    queue.start();
    await finished(queue);
    assert.deepEqual(server.requests.map(({ length }) => length), [100, 100, 50, 1]);
    assert.equal(server.stored.size, 251);
    assert.equal(queue.counts.stored, 251);
    assert.equal(server.most, 4);
    assert.equal(queue.progress.bytes, queue.totalBytes);
});

test('batches end at eight megabytes', async () => {
    const { queue, server } = made(tasks(10, 2 * MB));
    queue.start();
    await finished(queue);
    assert.deepEqual(server.requests.map(({ length }) => length), [4, 4, 2]);
});

test('what gets lost is sent again, with longer pauses; what is refused is not', async () => {
    let lost = 0;
    const { queue, server } = made(tasks(3), (batch) => {
        lost += 1;
        if (lost < 3) {
            throw refusal(503, 'The database is away.');
        }
        return batch.map(({ key }, at) => (at === 1 ? { key, code: 415, message: 'k1 is no image.' } : { key, code: 201 }));
    });
    queue.start();
    await finished(queue);
    assert.deepEqual(server.waits, [500, 1000]);
    assert.equal(server.requests.length, 3);
    assert.deepEqual(queue.problems.map(({ key, state, message }) => [key, state, message]),
        [['k1', 'refused', 'k1 is no image.']]);
});

test('what fails in the end can be tried again', async () => {
    let isAway = true;
    const { queue } = made(tasks(2), () => {
        if (isAway) {
            throw refusal(0, 'The server does not answer.');
        }
        return null;
    });
    queue.start();
    await finished(queue);
    assert.equal(queue.counts.failed, 2);
    isAway = false;
    queue.retry();
    await finished(queue);
    assert.deepEqual([queue.counts.stored, queue.counts.failed], [2, 0]);
});

test('a pause stops what is under way, and going on sends it', async () => {
    const { queue, server } = made(tasks(400));
    queue.start();
    queue.pause();
    await finished(queue);
    assert.equal(server.stored.size, 0);
    assert.equal(queue.counts.waiting, 400);
    queue.start();
    await finished(queue);
    assert.equal(server.stored.size, 400);
});

test('who is not signed in any more is asked to, and nothing is lost', async () => {
    let isOut = true;
    const { queue } = made(tasks(2), () => {
        if (isOut) {
            throw refusal(401, 'You must be logged in.');
        }
        return null;
    });
    queue.start();
    await finished(queue);
    assert.ok(queue.signedOut);
    isOut = false;
    queue.start();
    await finished(queue);
    assert.equal(queue.counts.stored, 2);
});

test('a resumed upload sends what is missing and lists what differs', async () => {
    const list = tasks(3);
    const { queue, server } = made(list, undefined, { isResumed: true });
    server.stored.set('k0', 'digest of 1000');
    server.stored.set('k1', 'another');
    queue.start();
    await finished(queue);
    assert.deepEqual(server.requests, [['k2']]);
    assert.deepEqual(queue.problems.map(({ key, state }) => [key, state]), [['k1', 'refused']]);
    assert.equal(server.asked[0].digest, 'digest of 1000');
});

test('a file that cannot be read does not stop the others', async () => {
    const { queue } = made(tasks(3));
    queue.outside.digests = async (files) => files.map((file) =>
        (file === queue.entries[1].file ? new Error('it was moved') : `digest of ${file.size}`));
    queue.start();
    await finished(queue);
    assert.equal(queue.counts.stored, 2);
    assert.match(queue.problems[0].message, /cannot be read: it was moved/);
});

test('a file of pages is sent once, and its pages have outcomes of their own', async () => {
    const file = { size: 5 * MB };
    const pages = Array.from({ length: 3 }, (_, page) => ({ key: `s@${page}`, path: 's.tif', file, page, fields: { x: 0, y: 0 } }));
    let refusals = 1;
    const { queue, server } = made([...tasks(2), ...pages], (batch) => {
        if (batch[0].page === undefined || !refusals) {
            return null;
        }
        refusals -= 1;
        return batch.map(({ key, page }) => (page === 1 ? { key, code: 415, message: 'page 1: damaged.' } : { key, code: 201 }));
    });
    queue.start();
    await finished(queue);
    assert.deepEqual(server.requests, [['k0', 'k1'], ['s@0', 's@1', 's@2']]);
    assert.deepEqual([queue.counts.stored, queue.totalBytes], [4, 5 * MB + 2000]);
    assert.deepEqual(queue.problems.map(({ key, message }) => [key, message]), [['s@1', 'page 1: damaged.']]);
    queue.retry();
    await finished(queue);
    assert.deepEqual(server.requests[2], ['s@1']);
    assert.deepEqual([queue.counts.stored, Math.round(queue.progress.bytes)], [5, queue.totalBytes]);
});

test('files in Girder go by name, apart from those of the disk', async () => {
    const there = Array.from({ length: 60 }, (_, at) => (
        { key: `g${at}`, path: `g${at}.tif`, file: { size: 4 * MB, itemId: `${at}` }, fields: { x: at, y: 0 } }));
    const { queue, server } = made([...tasks(1), ...there, ...tasks(2).map((one) => ({ ...one, key: `x${one.key}` }))]);
    queue.start();
    await finished(queue);
    assert.deepEqual(server.requests.map(({ length }) => length), [1, 25, 25, 10, 2]);
    assert.equal(queue.counts.stored, 63);
});

test('of a file of pages that goes on, only the missing pages are sent', async () => {
    const file = { size: 1000 };
    const pages = Array.from({ length: 3 }, (_, page) => ({ key: `s@${page}`, path: 's.tif', file, page, fields: {} }));
    const { queue, server } = made(pages, undefined, { isResumed: true });
    server.stored.set('s@0', 'digest of 1000');
    queue.start();
    await finished(queue);
    assert.deepEqual(server.requests, [['s@1', 's@2']]);
});

test('ten thousand files are queued at once', async () => {
    const { queue, server } = made(tasks(10000));
    queue.start();
    await finished(queue);
    assert.equal(server.requests.length, 100);
    assert.equal(queue.counts.stored, 10000);
});
