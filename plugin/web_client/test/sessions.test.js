import assert from 'node:assert/strict';
import { test } from 'node:test';

import { actionsOf, isIncomplete, isLive, newlyComplete, patchesText, percentOf } from '../src/lib/sessions.js';

test('what may be done follows the state', () => {
    assert.deepEqual(actionsOf({ state: 'open' }), ['finalize', 'cancel', 'delete']);
    assert.ok(!actionsOf({ state: 'finalizing' }).includes('delete'));
    assert.ok(!actionsOf({ state: 'complete' }).includes('cancel'));
    assert.deepEqual(actionsOf({ state: 'a state of a later server' }), []);
});

test('only sessions that change by themselves are watched closely', () => {
    assert.deepEqual(['open', 'finalizing', 'complete', 'error', 'cancelled'].filter((state) => isLive({ state })),
        ['open', 'finalizing']);
});

test('progress is a whole percent, or not known', () => {
    assert.equal(percentOf({ progress: { current: 1, total: 3 } }), 33);
    assert.equal(percentOf({ progress: { current: 5, total: 3 } }), 100);
    assert.equal(percentOf({ progress: { current: 0, total: 0 } }), null);
    assert.equal(percentOf({}), null);
});

test('patches are counted, of how many where that is known', () => {
    assert.equal(patchesText({ counts: { patches: 1 } }), '1 patch');
    assert.equal(patchesText({ counts: { patches: 0 } }), '0 patches');
    assert.equal(patchesText({ counts: { patches: 1 }, spec: { expected: 24 } }), '1 of 24 patches');
    assert.ok(isIncomplete({ counts: { patches: 1 }, spec: { expected: 24 } }));
    assert.ok(!isIncomplete({ counts: { patches: 24 }, spec: { expected: 24 } }));
    assert.ok(!isIncomplete({ counts: { patches: 1 }, spec: { expected: null } }));
});

test('a session counts as newly complete once, and not when the page is opened', () => {
    const done = { _id: 'a', state: 'complete' };
    assert.deepEqual(newlyComplete([{ _id: 'a', state: 'finalizing' }], [done]), [done]);
    assert.deepEqual(newlyComplete([done], [done]), []);
    assert.deepEqual(newlyComplete([], [done]), []);
});
