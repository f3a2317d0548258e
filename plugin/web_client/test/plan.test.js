import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
    askedOf, describerOf, fieldsOf, headersFor, kindsOf, missingCompanions, patchesOf, placesOf, readPlan, sayPlaces, sorted
} from '../src/lib/plan.js';

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

const ANSWER = {
    placements: [], program: 'names', wells: [], notes: [], warnings: [], refusals: [], refusalCount: 0, spec: {},
    pattern: null, guess: [], placedBy: 'position'
};

test('places are what the server says', () => {
    const { tiles } = sorted(chosen('r1_c1.png', 'r1_c2.png', 'notes.png'));
    const answer = readPlan({
        ...ANSWER, placements: [{ file: 'r1_c2.png', x: -3, y: 5, index: { z: 1 } }], notes: ['A note.'],
        refusals: [{ file: 'r1_c1.png', message: 'no position.' }], refusalCount: 3,
        pattern: 'r{row}_c{col}', guess: ['Names were read.', '  r1_c2.png: row 1, column 2'], placedBy: 'grid'
    });
    assert.deepEqual(answer.notes, ['A note.', 'r1_c1.png: no position.', '2 more are refused.']);
    assert.equal(answer.example, 'r1_c2.png: row 1, column 2');
    const patches = patchesOf(tiles, answer);
    assert.deepEqual(patches.map(({ key, numbers }) => [key, numbers]),
        [['r1_c1.png', null], ['r1_c2.png', { x: -3, y: 5, z: 1 }], ['notes.png', null]]);
    assert.deepEqual(patchesOf(tiles).map(({ numbers }) => numbers), [null, null, null]);
    const headers = new Map([['r1_c1.png', { width: 10, height: 8 }], ['r1_c2.png', null], ['notes.png', null]]);
    const places = placesOf(patches, { headers, arrangement: {}, removed: new Set(), moved: new Map() });
    assert.deepEqual(places.map(({ x, y, width, index }) => [x, y, width, index]), [[0, 0, 10, { z: 1 }]]);
});

test('the server is asked for names, positions or a grid', () => {
    const { tiles } = sorted(chosen('r1_c1.png', 'r1_c2.png'));
    const headers = new Map([['r1_c1.png', { width: 10, height: 8 }], ['r1_c2.png', null]]);
    const arrangement = { overlapX: 2, overlapY: 1, columns: 0, path: 'snake-columns', corner: 'top-right' };
    const how = { headers, arrangement, spec: {} };
    const grid = { tile: { x: 10, y: 8 }, overlap: { x: 2, y: 1 } };
    const files = [{ name: 'r1_c1.png', width: 10, height: 8 }, { name: 'r1_c2.png', width: 10, height: 8 }];
    const scan = { columns: 1, corner: 'top-right', path: 'snake', by: 'columns' };
    const asked = (source) => JSON.parse(JSON.stringify(askedOf(tiles, { ...how, source })));
    assert.deepEqual(asked({ kind: 'names', pattern: ' r{row}_c{col} ', preset: '', well: null }),
        { spec: { grid }, files, pattern: 'r{row}_c{col}', scan });
    assert.deepEqual(asked({ kind: 'names', pattern: null, preset: 'mist', well: 'B03' }),
        { spec: { grid }, files, preset: 'mist', scan, well: 'B03' });
    const table = { name: 'p.csv', text: 'file,x,y' };
    assert.deepEqual(asked({ kind: 'table', table }), { spec: {}, files, positions: table });
    assert.deepEqual(asked({ kind: 'grid' }).patches[1],
        { key: 'r1_c2.png', file: 'r1_c2.png', width: 10, height: 8, field: 1 });
});

test('each page of a file is a patch', () => {
    const { tiles } = sorted(chosen('stack.tif', 'odd.tif'));
    const pages = [{ page: 0, index: { c: 0 } }, { page: 3, index: { c: 1 } }];
    const headers = new Map([['stack.tif', { width: 10, height: 8, pages }], ['odd.tif', { message: 'is no image.' }]]);
    const how = { headers, arrangement: { overlapX: 0, overlapY: 0, columns: 1, path: 'rows', corner: 'top-left' }, spec: {} };
    const asked = (source) => JSON.parse(JSON.stringify(askedOf(tiles, { ...how, source })));
    assert.deepEqual(asked({ kind: 'names' }).files, [{ name: 'stack.tif', width: 10, height: 8, pages }]);
    assert.deepEqual(asked({ kind: 'grid' }).patches.map(({ key, page, index, field }) => [key, page, index, field]),
        [['stack.tif@0', 0, { c: 0 }, 0], ['stack.tif@3', 3, { c: 1 }, 0]]);
    const answer = readPlan({
        ...ANSWER, placements: [0, 3].map((page, c) => ({ file: 'stack.tif', page, x: 0, y: 0, index: { c } }))
    });
    const patches = patchesOf(tiles, answer);
    assert.deepEqual(patches.map(({ key, page, numbers }) => [key, page, numbers]), [
        ['stack.tif@0', 0, { c: 0, x: 0, y: 0 }], ['stack.tif@3', 3, { c: 1, x: 0, y: 0 }], ['odd.tif', undefined, null]
    ]);
    const places = placesOf(patches, { headers, arrangement: {}, removed: new Set(['stack.tif@0']), moved: new Map() });
    assert.deepEqual(places.map(({ key, width, index }) => [key, width, index]), [['stack.tif@3', 10, { c: 1 }]]);
});

test('what files say of their own places is sent as the server said it', () => {
    const { tiles } = sorted(chosen('a.tif', 'b.tif', 'c.png'));
    const places = { program: 'OME', planes: [{ page: 0, x: 1.5, y: 2 }] };
    const headers = new Map([
        ['a.tif', { width: 10, height: 8, pages: [{ page: 0, index: {} }], places }],
        ['b.tif', { width: 10, height: 8, places, message: 'has pages of 2 positions.' }], ['c.png', null]
    ]);
    assert.equal(sayPlaces(headers), true);
    assert.equal(sayPlaces(new Map([...headers].slice(1))), false);
    const source = { kind: 'own', pattern: null, preset: '', table: null, well: null };
    const asked = JSON.parse(JSON.stringify(askedOf(tiles, { headers, source, arrangement: {}, spec: {} })));
    assert.deepEqual(asked, { spec: {}, files: [
        { name: 'a.tif', width: 10, height: 8, places }, { name: 'b.tif', width: 10, height: 8, places },
        { name: 'c.png', width: 10, height: 8 }
    ] });
    // A file of several positions is a patch only by what it says of them.
    assert.equal(headersFor(headers, source).get('b.tif').message, undefined);
    assert.equal(headersFor(headers, { ...source, kind: 'names' }), headers);
});

test('a file of several places without pages is not sent in part', () => {
    const answer = readPlan({
        ...ANSWER, placements: [0, 1].map((z) => ({ file: 'stack.tif', x: 0, y: 0, index: { z } }))
    });
    assert.equal(answer.found.size, 0);
    assert.match(answer.notes[0], /^stack\.tif has several places/);
});

test('what was removed and moved', () => {
    const { tiles } = sorted(chosen('x0_y0.png', 'x9_y0.png'));
    const answer = readPlan({
        ...ANSWER, placements: tiles.map(({ path }, at) => ({ file: path, x: 9 * at, y: 0, index: {} }))
    });
    const places = placesOf(patchesOf(tiles, answer), {
        headers: new Map(), arrangement: {}, removed: new Set(['x0_y0.png']), moved: new Map([['x9_y0.png', { x: 1, y: -2 }]])
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

test('files that others name as what describes them are asked for where they are missing', () => {
    const headers = new Map([
        ['a', { width: 4, height: 4, describedBy: 'scan.companion.ome' }], ['b', { describedBy: 'scan.companion.ome' }],
        ['c', { describedBy: 'other\\Other.Companion.OME' }], ['d', null], ['e', { width: 4, height: 4 }]
    ]);
    assert.deepEqual(missingCompanions(headers, ['in/a.tif', 'in/other.companion.ome']), [{ name: 'scan.companion.ome', count: 2 }]);
    assert.deepEqual(missingCompanions(headers, ['scan.companion.ome', 'other.companion.ome']), []);
});

test('a file of positions says which page of a file lies where, which the file itself does not', () => {
    const { tiles } = sorted([{ path: 'a.tif', file: {} }, { path: 'b.tif', file: {} }]);
    const silent = { width: 8, height: 8, hasPages: true, message: 'It says nothing of axes.' };
    const headers = new Map(tiles.map(({ key }) => [key, silent]));
    const how = { headers, arrangement: {}, spec: {} };
    const table = { name: 'p.csv', text: 'file,page,x,y' };
    assert.equal(askedOf(tiles, { ...how, source: { kind: 'table', table } }).files.length, 2);
    assert.equal(askedOf(tiles, { ...how, source: { kind: 'names' } }).files.length, 0);
    const found = new Map([
        ['a.tif', [{ page: 0, numbers: { x: 0, y: 0 } }, { page: 1, numbers: { x: 9, y: 0 } }]],
        ['b.tif', [{ page: undefined, numbers: { x: 0, y: 9 } }]]
    ]);
    assert.deepEqual(patchesOf(tiles, { found }, headers).map(({ key, numbers }) => [key, Boolean(numbers)]),
        [['a.tif@0', true], ['a.tif@1', true], ['b.tif', false]]);
});

test('a tile that describes the others is asked for under its name of now', () => {
    const before = sorted(chosen('in/a.tif', 'in/b.tif')).tiles;
    const headers = new Map([['a.tif', { width: 4, height: 4 }], ['b.tif', { width: 4, height: 4, describes: 2 }]]);
    assert.equal(describerOf(before, headers), before[1]);
    assert.equal(describerOf(before, new Map([['a.tif', null]])), null);
    assert.equal(describerOf([], headers), null);
    const table = { name: 'b.tif', text: '<OME/>', file: before[1].file };
    const { tiles } = sorted([...before.map(({ chosen: one }) => one), ...chosen('other/c.tif')]);
    const found = new Map(tiles.map(({ key }) => [key, { width: 4, height: 4 }]));
    const source = { kind: 'table', table };
    const { positions } = askedOf(tiles, { source, headers: found, arrangement: {}, spec: {} });
    assert.deepEqual(positions, { name: 'in/b.tif', text: '<OME/>' });
});
