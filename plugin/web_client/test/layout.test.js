import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arrange, check, keyOf, withoutCommonFolder } from '../src/lib/layout.js';

const grid = (rows, columns, name) => Array.from({ length: rows * columns }, (_, number) =>
    name(Math.floor(number / columns), number % columns));

test('flipped and swapped places begin at 0', () => {
    const patches = grid(2, 2, (row, column) => (
        { key: `${row}${column}`, numbers: { x: column * 90, y: row * 45, c: 0 }, width: 100, height: 50 }));
    const places = arrange(patches, { flipY: true });
    assert.deepEqual(places.map(({ x, y }) => [x, y]), [[0, 45], [90, 45], [0, 0], [90, 0]]);
    assert.deepEqual(places[0].index, { c: 0 });
    const swapped = arrange(patches, { swap: true, flipX: true });
    assert.deepEqual(swapped.map(({ x, y }) => [x, y]), [[45, 0], [45, 90], [0, 0], [0, 90]]);
});

test('positions are whole pixels from 0, or stay where they are', () => {
    const patches = [[100.5, -7], [50, 3.4]].map(([x, y], at) => (
        { key: `${at}`, numbers: { x, y }, width: 100, height: 100 }));
    assert.deepEqual(arrange(patches, {}).map(({ x, y }) => [x, y]), [[51, 0], [0, 10]]);
    assert.deepEqual(arrange(patches, { fromZero: false }).map(({ x, y }) => [x, y]), [[101, -7], [50, 3]]);
});

test('overlaps, gaps, duplicates and strays are found', () => {
    const place = (key, x, y, index = {}) => ({ key, x, y, width: 100, height: 100, index });
    const whole = check([place('a', 0, 0), place('b', 90, 0), place('c', 0, 80), place('d', 90, 80)]);
    assert.deepEqual([whole.overlap, whole.empty, whole.duplicates, whole.strays],
        [{ width: 10, height: 20 }, 0, [], []]);
    assert.deepEqual(whole.box, { x: 0, y: 0, width: 190, height: 180 });
    const broken = check([place('a', 0, 0), place('b', 0, 0), place('c', 100, 0), place('far', 900, 900)]);
    assert.deepEqual([broken.duplicates, broken.strays], [['b'], ['far']]);
    assert.ok(broken.empty > 0.95);
    const planes = check([place('a', 0, 0, { z: 0 }), place('b', 0, 0, { z: 1 })]);
    assert.deepEqual([planes.planes, planes.duplicates], [2, []]);
});

test('ten thousand patches are checked at once', () => {
    const places = grid(100, 100, (row, column) => (
        { key: `${row}_${column}`, x: column * 900, y: row * 900, width: 1000, height: 1000, index: {} }));
    const found = check(places);
    assert.deepEqual(found.overlap, { width: 100, height: 100 });
    assert.equal(found.strays.length, 0);
});

test('keys and folders', () => {
    assert.equal(keyOf('a b/\u00fc.png'), 'a_b_.png');
    assert.deepEqual(withoutCommonFolder(['s/a/1.png', 's/b/2.png']), ['a/1.png', 'b/2.png']);
    assert.deepEqual(withoutCommonFolder(['1.png']), ['1.png']);
    assert.deepEqual(withoutCommonFolder([]), []);
});
