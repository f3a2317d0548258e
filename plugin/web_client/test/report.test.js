import assert from 'node:assert/strict';
import { test } from 'node:test';

import { TERMS, fieldOf } from '../src/lib/flatField.js';
import { arrowFactor, comparedPairs, histogramOf, movedPatches, pixelsText, worst } from '../src/lib/report.js';

const REPORT = {
    patches: [
        { key: 'a', position: { x: 0, y: 0, c: 0 } },
        { key: 'b', position: { x: 100, y: 0, c: 0 }, correction: { x: 3, y: -4 }, measured: { x: 3.1, y: -4 } },
        { key: 'b2', position: { x: 100, y: 0, c: 1 }, correction: { x: 3, y: -4 }, measured: { x: 3.1, y: -4 } },
        { key: 'c', position: { x: 200, y: 0, c: 0 }, correction: { x: 0.5, y: 0 } }
    ],
    pairs: [
        { keys: ['a', 'b'], shift: { x: 3, y: -4 }, correlation: 0.9, residual: { x: 0.3, y: 0.4 } },
        { keys: ['b', 'c'], shift: { x: 30, y: 40 }, correlation: 0.1, residual: null },
        { keys: ['c', 'gone'], shift: { x: 0, y: 1 }, correlation: 0.8, residual: { x: 0, y: 0 } }
    ]
};

test('patches of one position move together, by what was measured', () => {
    const moved = movedPatches(REPORT);
    assert.deepEqual(moved.map(({ key, dx, isKnown }) => [key, dx, isKnown]), [['a', 0, false], ['b', 3.1, true], ['c', 0.5, true]]);
    assert.deepEqual(worst(moved, 2).map(({ key }) => key), ['b', 'c']);
});

test('of refused pairs the shift counts, of others what is left of it', () => {
    const pairs = comparedPairs(REPORT);
    assert.deepEqual(pairs.map(({ isUsed, length }) => [isUsed, length]), [[true, 0.5], [false, 50], [true, 0]]);
    assert.deepEqual(pairs[0].ends.map(({ x }) => x), [0, 100]);
    assert.equal(pairs[2].ends, null);
    assert.deepEqual(comparedPairs({ patches: [] }), []);
});

test('arrows are drawn longer by a round number, and never shorter', () => {
    assert.equal(arrowFactor([{ length: 4 }], 100), 10);
    assert.equal(arrowFactor([{ length: 0.011 }], 100), 2000);
    assert.equal(arrowFactor([{ length: 90 }], 100), 1);
    assert.equal(arrowFactor([{ length: 0 }], 100), 1);
});

test('a histogram counts every value once', () => {
    assert.deepEqual(histogramOf([0, 1, 2, 4], 4), { counts: [1, 1, 1, 1], most: 4 });
    assert.deepEqual(histogramOf([0, 0], 2), { counts: [2, 0], most: 0 });
    assert.deepEqual(histogramOf([], 2), { counts: [0, 0], most: 0 });
    assert.equal(pixelsText(12.345), '12.3 px');
    assert.equal(pixelsText(0.005), '0.01 px');
});

test('a field without coefficients is even, and each has a mean of 1', () => {
    const even = fieldOf(TERMS.map(() => 0), 4, 3);
    assert.deepEqual([...even.values], new Array(12).fill(1));
    assert.equal(TERMS.length, 27);
    // Only the degree 1 along x: brighter to the right, the same in each row.
    const slope = fieldOf(TERMS.map(([row, column]) => (row === 0 && column === 1 ? 0.5 : 0)), 8, 2);
    assert.ok(Math.abs(slope.values.reduce((sum, value) => sum + value, 0) / 16 - 1) < 1e-6);
    assert.ok(Math.abs(Math.log(slope.values[7] / slope.values[0]) - 0.5 * (2 * 7.5 / 8 - 2 * 0.5 / 8)) < 1e-6);
    assert.equal(slope.values[0], slope.values[8]);
    assert.equal(Math.fround(slope.least), slope.values[0]);
});
