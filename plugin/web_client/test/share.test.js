import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf, groupsOf, hasEnded, isInsecure, requestOf, usesText } from '../src/lib/share.js';

test('a link lasts for hours, until the end of a day, or for ever', () => {
    const target = { itemId: 'a' };
    assert.deepEqual(requestOf(target, { label: ' x ', lasts: '', day: '' }), { itemId: 'a', label: 'x' });
    assert.equal(requestOf(target, { label: '', lasts: '24', day: '' }).expires, 24);
    const { expires } = requestOf(target, { label: '', lasts: 'day', day: '2027-06-30' });
    assert.equal(new Date(expires).getTime(), new Date(2027, 5, 30, 23, 59, 59).getTime());
    assert.equal(requestOf(target, { label: '', lasts: 'day', day: '' }).expires, '');
});

test('only addresses of the web become links', () => {
    const viewers = [
        { name: 'a', kind: 'link', text: 'https://a.example/' },
        { name: 'b', kind: 'link', text: 'javascript:alert(1)' },
        { name: 'c', kind: 'python', text: 'print()' }
    ];
    assert.deepEqual(groupsOf(viewers), { links: [viewers[0]], texts: [viewers[2]] });
});

test('the same image with chunks in zstd lies below its address', () => {
    assert.equal(addressOf('http://x/zarr/k/a.zarr/', { transcoded: true }), 'http://x/zarr/k/a.zarr/@zstd');
    assert.equal(addressOf('http://x/zarr/k/a.zarr/', { transcoded: false }), 'http://x/zarr/k/a.zarr');
});

test('pages over https read from this machine without https, and from no other', () => {
    assert.deepEqual(
        ['http://x/', 'https://x/', 'http://localhost:8080/', 'http://127.0.0.1/', 'http://[::1]:1/'].map(isInsecure),
        [true, false, false, false, false]
    );
});

test('uses and ends are in words', () => {
    assert.deepEqual([0, 1, 2].map((uses) => usesText({ uses })), ['not used yet', 'used once', 'used 2 times']);
    const now = new Date('2027-01-02');
    assert.equal(hasEnded({ expires: null }, now), false);
    assert.equal(hasEnded({ expires: '2027-01-01T00:00:00Z' }, now), true);
    assert.equal(hasEnded({ expires: '2027-01-03T00:00:00Z' }, now), false);
});
