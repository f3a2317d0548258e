import assert from 'node:assert/strict';
import { createHash, webcrypto } from 'node:crypto';
import test from 'node:test';

globalThis.window = { crypto: webcrypto };
const { digestsOf } = await import('../src/lib/digests.js');

const bytesOf = (count) => Uint8Array.from({ length: count }, (_, at) => (at * 7 + count) % 256);
const expected = (bytes) => `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`;

test('files that are read together have the digests of their own', async () => {
    const all = [1000, 0, 1, 70000, 0].map(bytesOf);
    assert.deepEqual(await digestsOf(all.map((bytes) => new Blob([bytes]))), all.map(expected));
    assert.deepEqual(await digestsOf([new Blob([all[0]])]), [expected(all[0])]);
    assert.deepEqual(await digestsOf([]), []);
});

test('one that cannot be read does not keep the others from theirs', async () => {
    const gone = { size: 10, arrayBuffer: async () => Promise.reject(new Error('it was moved')) };
    const [first, error, last] = await digestsOf([new Blob([bytesOf(5)]), gone, new Blob([bytesOf(9)])]);
    assert.deepEqual([first, last], [expected(bytesOf(5)), expected(bytesOf(9))]);
    assert.match(error.message, /it was moved/);
});
