import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Sha256 } from '../src/lib/sha256.js';

test('digests are those of the system, however the bytes come', () => {
    for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 100003]) {
        const bytes = new Uint8Array(randomBytes(length));
        for (const piece of [1 + length, 64, 61, 7]) {
            const hash = new Sha256();
            for (let at = 0; at < length; at += piece) {
                hash.update(bytes.subarray(at, at + piece));
            }
            assert.equal(Buffer.from(hash.digest()).toString('hex'), createHash('sha256').update(bytes).digest('hex'));
        }
    }
});

test('the length counts beyond 2 ** 32 bits', () => {
    const hash = new Sha256();
    hash.length = 2 ** 30;
    const other = new Sha256();
    assert.notDeepEqual(hash.digest(), other.digest());
});
