import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countsText, percentOf, progressText, scopeText } from '../src/lib/sourceRuns.js';
import { sortedBy } from '../src/lib/tableSort.js';

const run = (fields) => ({ counts: {}, state: 'running', examined: 0, total: null, ...fields });

test('a run in words', () => {
    assert.equal(progressText(run({})), 'Waiting for a worker');
    assert.equal(progressText(run({ total: 1 })), '0 of 1 item');
    assert.equal(progressText(run({ total: 9, examined: 3, counts: { changed: 2, failed: 1, kept: 0 } })),
        '3 of 9 items: 2 changed, 1 cannot be opened');
    assert.equal(countsText(run({ state: 'complete' })), 'every item has its first choice');
    assert.equal(percentOf(run({ total: 3, examined: 1 })), 33);
    assert.equal(percentOf(run({})), null);
    assert.equal(scopeText({ type: 'all', name: null }), 'all items');
    assert.equal(scopeText({ type: 'folder', name: 'x' }), 'folder x');
});

test('rows are sorted by texts and numbers, without a value at the end', () => {
    const rows = [{ n: 2, t: 'b' }, { n: null, t: 'a' }, { n: 10, t: null }];
    assert.deepEqual(sortedBy(rows, 'n', false).map(({ n }) => n), [2, 10, null]);
    assert.deepEqual(sortedBy(rows, 'n', true).map(({ n }) => n), [10, 2, null]);
    assert.deepEqual(sortedBy(rows, 't', true).map(({ t }) => t), ['b', 'a', null]);
});
