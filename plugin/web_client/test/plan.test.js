import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldsOf, kindsOf, numbersOf, placesOf, readPlan, sorted } from '../src/lib/plan.js';

const chosen = (...paths) => paths.map((path) => ({ path, file: { name: path.split('/').pop() } }));

test('images, files of positions and others are told apart', () => {
    const { tiles, tables, others } = sorted(chosen('s/a.tif', 's/b.PNG', 's/Index.idx.xml', 's/p.csv', 's/notes.docx'));
    assert.deepEqual(tiles.map(({ key }) => key), ['a.tif', 'b.PNG']);
    assert.deepEqual(tables.map(({ path }) => path), ['s/Index.idx.xml', 's/p.csv']);
    assert.deepEqual(others, ['s/notes.docx']);
});

test('two files never have one key', () => {
    const { tiles } = sorted(chosen('a b.png', 'a_b.png'));
    assert.equal(new Set(tiles.map(({ key }) => key)).size, 2);
});

test('places come from names, from the server, or from the order', () => {
    const { tiles } = sorted(chosen('r1_c1.png', 'r1_c2.png', 'notes.png'));
    const headers = new Map([['r1_c1.png', { width: 10, height: 8 }], ['r1_c2.png', null], ['notes.png', null]]);
    const how = { headers, arrangement: { overlapX: 2 }, removed: new Set(), moved: new Map() };
    const named = numbersOf(tiles, { kind: 'names', pattern: 'r{row}_c{col}.png' });
    assert.deepEqual(placesOf(tiles, { ...how, numbers: named.numbers }).map(({ x, width }) => [x, width]),
        [[0, 10], [8, 10]]);
    const answer = readPlan({
        placements: [{ file: 'r1_c2.png', x: -3, y: 5, index: { z: 1 } }], program: 'Fiji', wells: [], notes: ['A note.'],
        warnings: [], refusals: [{ file: 'r1_c1.png', message: 'no position.' }], refusalCount: 3, spec: {}
    });
    assert.deepEqual(answer.notes, ['A note.', 'r1_c1.png: no position.', '2 more are refused.']);
    assert.deepEqual(numbersOf(tiles, { kind: 'table' }, answer).numbers, [null, { x: -3, y: 5, z: 1 }, null]);
    assert.deepEqual(numbersOf(tiles, { kind: 'table' }).numbers, [null, null, null]);
    assert.equal(numbersOf(tiles, { kind: 'names', pattern: '{z}' }).error.includes('found none'), true);
});

test('a file that holds several patches is not sent in part', () => {
    const answer = readPlan({
        placements: [0, 1].map((z) => ({ file: 'stack.tif', x: 0, y: 0, index: { z } })), program: 'names', wells: [],
        notes: [], warnings: [], refusals: [], refusalCount: 0, spec: {}
    });
    assert.equal(answer.numbers.size, 0);
    assert.match(answer.notes[0], /^stack\.tif holds several patches/);
});

test('what was removed and moved', () => {
    const { tiles } = sorted(chosen('x0_y0.png', 'x9_y0.png'));
    const { numbers } = numbersOf(tiles, { kind: 'names', pattern: 'x{x}_y{y}' });
    const places = placesOf(tiles, {
        numbers, headers: new Map(), arrangement: {}, removed: new Set(['x0_y0.png']),
        moved: new Map([['x9_y0.png', { x: 1, y: -2 }]])
    });
    assert.deepEqual(places.map(({ key, x, y }) => [key, x, y]), [['x9_y0.png', 10, -2]]);
});

test('the server is told of axes by their names', () => {
    assert.deepEqual(fieldsOf({ x: 1, y: 2, index: { z: 3 } }), { x: 1, y: 2, z: 3 });
    assert.deepEqual(fieldsOf({ x: 1, y: 2, index: { c: 0, angle: 4 } }), { x: 1, y: 2, c: 0, index: { angle: 4 } });
});

test('kinds of pixels are counted', () => {
    const header = (dtype, bands) => ({ dtype, bands });
    assert.deepEqual(kindsOf([header('uint8', 3), null, header('uint16', 1), header('uint8', 3)]),
        [['uint8, 3 bands', 2], ['uint16, 1 band', 1]]);
});
