import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arrange, cellOf, check, keyOf, withoutCommonFolder } from '../src/lib/layout.js';
import { compile, guessPattern, readNames } from '../src/lib/names.js';

const grid = (rows, columns, name) => Array.from({ length: rows * columns }, (_, number) =>
    name(Math.floor(number / columns), number % columns));

test('a pattern is guessed from names', () => {
    const cases = [
        ['tile_x{x}_y{y}.png', grid(2, 3, (row, column) => `tile_x${column * 480}_y${row * 480}.png`)],
        ['r{row}_c{col}.tif', grid(2, 3, (row, column) => `r${row}_c${column}.tif`)],
        ['img_r{row}_c{col}_z{z}.tif', grid(2, 4, (row, column) => `img_r${row}_c${column >> 1}_z${column % 2}.tif`)],
        ['Scan{row}_{col}_w1.TIF', grid(3, 3, (row, column) => `Scan${row + 1}_${column + 1}_w1.TIF`)],
        ['slide7_tile_{n}.jpg', grid(1, 12, (_row, column) => `slide7_tile_${String(column).padStart(3, '0')}.jpg`)],
        ['t_x{col}_y{row}.png', grid(3, 2, (row, column) => `t_x${column}_y${row}.png`)],
        ['x{x}_y{y}.png', ['x0_y0.png', 'x64_y0.png']],
        ['r{row}_c{col}.png', ['r1_c1.png', 'r2_c1.png']],
        ['x{x}_y{y}.png', ['x5_y7.png']],
        ['a_x{x}_y{y}.png', ['a_x-480_y0.png', 'a_x0_y0.png', 'a_x480_y0.png', 'a_x480_y960.png']]
    ];
    cases.forEach(([pattern, names]) => {
        assert.equal(guessPattern(names), pattern);
        assert.ok(readNames(names, pattern).every(Boolean), pattern);
    });
    assert.equal(guessPattern([]), '');
});

test('names are read by a pattern, and those that do not match are null', () => {
    assert.deepEqual(readNames(['a/x-5_y7.5.tif', 'notes.txt'], 'x{x}_y{y}'), [{ x: -5, y: 7.5 }, null]);
    assert.deepEqual(readNames(['w1/r1_c2.tif', 'r1_c2.tif'], 'w{c}/r{row}_c{column}.tif'),
        [{ c: 1, row: 1, col: 2 }, null]);
    assert.throws(() => compile('{x}_{x}'), /each once, found \{x\}/);
    assert.throws(() => compile('tile_{z}.tif'), /found none of them/);
    assert.throws(() => compile('{X}_{y}'), /found \{X\}/);
});

test('rows and columns become places, whatever they count from', () => {
    const patches = grid(2, 2, (row, column) => (
        { key: `${row}${column}`, numbers: { row: row + 1, col: column + 5, c: 3 }, width: 100, height: 50 }));
    const places = arrange(patches, { overlapX: 10, overlapY: 5 });
    assert.deepEqual(places.map(({ x, y }) => [x, y]), [[0, 0], [90, 0], [0, 45], [90, 45]]);
    assert.deepEqual(places[0].index, { c: 0 });
    const flipped = arrange(patches, { overlapX: 10, overlapY: 5, flipY: true });
    assert.deepEqual(flipped.map(({ x, y }) => [x, y]), [[0, 45], [90, 45], [0, 0], [90, 0]]);
});

test('positions are whole pixels from 0, or stay where they are', () => {
    const patches = [[100.5, -7], [50, 3.4]].map(([x, y], at) => (
        { key: `${at}`, numbers: { x, y }, width: 100, height: 100 }));
    assert.deepEqual(arrange(patches, {}).map(({ x, y }) => [x, y]), [[51, 0], [0, 10]]);
    assert.deepEqual(arrange(patches, { fromZero: false }).map(({ x, y }) => [x, y]), [[101, -7], [50, 3]]);
});

test('a path through a grid', () => {
    const along = (path, columns, count) => Array.from({ length: count }, (_, number) => {
        const { row, col } = cellOf(number, { path, columns, count });
        return `${row}${col}`;
    }).join(' ');
    assert.equal(along('rows', 3, 6), '00 01 02 10 11 12');
    assert.equal(along('snake', 3, 6), '00 01 02 12 11 10');
    assert.equal(along('columns', 3, 6), '00 10 01 11 02 12');
    assert.equal(along('snake-columns', 3, 6), '00 10 11 01 02 12');
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
