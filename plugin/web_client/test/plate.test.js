import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pictures } from '../src/lib/pictures.js';
import {
    acquisitionsOf, fieldAt, fieldsOf, gridOf, keysOf, moved, numberFrom, pictureSide, placeName, sideOf
} from '../src/lib/plate.js';
import { sizeText, togetherText } from '../src/lib/series.js';
import { Shown } from '../src/lib/shown.js';

const plate = {
    rows: ['A', 'B'], columns: ['1', '2', '3'], acquisitions: [{ id: 1, name: '<b>' }, { id: 2 }],
    wells: [
        { row: 0, column: 0, path: 'A/1', first: 0, fields: 2, acquisitions: [1, 2] },
        { row: 1, column: 2, path: 'B/3', first: 2, fields: 0 },
        { row: 1, column: 1, path: 'B/2', first: 2, fields: 3, acquisitions: [1, 'x', null] }
    ]
};

test('wells stand in their rows and columns', () => {
    const grid = gridOf(plate);
    assert.deepEqual(grid.map((row) => row.map((well) => well && well.path)), [['A/1', null, null], [null, 'B/2', 'B/3']]);
    assert.equal(placeName(plate, 1, 2), 'B3');
});

test('a field is known by its number and by its well', () => {
    assert.deepEqual(keysOf(fieldAt(plate, 0)), { well: 'A/1', field: null });
    assert.deepEqual(keysOf(fieldAt(plate, 4)), { well: 'B/2', field: 2 });
    assert.equal(fieldAt(plate, 5), null);
    for (const number of [0, 1, 2, 3, 4]) {
        const { well, field } = keysOf(fieldAt(plate, number));
        assert.equal(numberFrom({ well, field: field === null ? undefined : String(field) }, plate), number);
    }
});

test('an address that names no field of the plate shows the first', () => {
    assert.equal(numberFrom({}, plate), 0);
    assert.equal(numberFrom({ well: 'Z/9' }, plate), 0);
    assert.equal(numberFrom({ well: 'B/3' }, plate), 0);
    assert.equal(numberFrom({ well: 'B/2', field: '3' }, plate), 2);
    assert.equal(numberFrom({ well: 'B/2', field: '-1' }, plate), 2);
    assert.equal(numberFrom({ at: 'z,1;xy,3' }, plate), 3);
    assert.equal(numberFrom({ at: 'xy,9' }, plate), 0);
    assert.equal(numberFrom({ well: 'A/1', at: 'xy,3' }, plate), 0);
    assert.equal(numberFrom({}, { ...plate, wells: [plate.wells[1]] }), null);
    // A well that is opened by itself has no path.
    assert.equal(numberFrom({ field: '1' }, { ...plate, wells: [{ path: '', first: 0, fields: 2 }] }), 1);
});

test('acquisitions choose among fields where there are several', () => {
    assert.deepEqual(acquisitionsOf(plate), [['1', '<b>'], ['2', 'Acquisition 2'], ['x', 'Acquisition x']]);
    assert.deepEqual(acquisitionsOf({ acquisitions: [{ id: 1 }], wells: [] }), []);
    assert.deepEqual(fieldsOf(plate.wells[2], null), [2, 3, 4]);
    assert.deepEqual(fieldsOf(plate.wells[2], 'x'), [3]);
    assert.deepEqual(fieldsOf(plate.wells[1], null), []);
    assert.deepEqual(fieldsOf({ first: 5, fields: 2 }, '1'), []);
});

test('keys move over the grid and stop at its ends', () => {
    const go = (key, ctrlKey = false) => moved({ row: 1, column: 1 }, { key, ctrlKey }, 2, 3);
    assert.deepEqual(go('ArrowUp'), { row: 0, column: 1 });
    assert.deepEqual(go('ArrowDown'), { row: 1, column: 1 });
    assert.deepEqual(go('ArrowRight'), { row: 1, column: 2 });
    assert.deepEqual(go('Home'), { row: 1, column: 0 });
    assert.deepEqual(go('Home', true), { row: 0, column: 0 });
    assert.deepEqual(go('End', true), { row: 1, column: 2 });
    assert.deepEqual(go('PageUp'), { row: 0, column: 1 });
    assert.equal(go('a'), null);
});

test('large plates have small places, and pictures come in few sizes', () => {
    assert.deepEqual([4, 12, 24, 48, 96].map(sideOf), [56, 56, 40, 28, 24]);
    assert.deepEqual([pictureSide(24, 1), pictureSide(56, 2), pictureSide(500, 2)], [32, 128, 256]);
});

test('an image of several is told by its size', () => {
    const one = { axes: ['t', 'c', 'y', 'x'], shape: [1, 3, 480, 640], dtype: 'uint16' };
    assert.equal(sizeText(one), '640 × 480, c 3, uint16');
    assert.equal(togetherText(2, 3), '2 of the same kind');
    assert.equal(togetherText(3, 3), 'All of them');
});

test('a choice is told to those who watch it, and a refusal ends with the next', () => {
    const shown = new Shown({ series: '2' });
    const seen = [];
    const stop = shown.watch((now, before) => seen.push([now, before]));
    shown.choose({ series: null, refusal: 'no' });
    shown.choose({ place: 3 });
    stop();
    shown.choose({ place: 4 });
    assert.deepEqual(seen, [
        [{ series: null, place: null, refusal: 'no' }, { series: '2', place: null, refusal: null }],
        [{ series: null, place: 3, refusal: null }, { series: null, place: null, refusal: 'no' }]
    ]);
});

test('few pictures are asked for at a time, those of the chosen well first, and what leaves the sight is not', async () => {
    const asked = [];
    const answers = {};
    const pictures = new Pictures((path) => new Promise((resolve, reject) => {
        asked.push(path);
        answers[path] = { resolve, reject };
    }), 2);
    const done = [];
    const fetch = (path, isUrgent) => pictures.fetch(path, {}, (failure, blob) => done.push([path, failure, blob]), isUrgent);
    const settle = () => new Promise((resolve) => setImmediate(resolve));
    const drops = ['a', 'b', 'c', 'd'].map((path) => fetch(path));
    fetch('e', true);
    assert.deepEqual(asked, ['a', 'b']);
    drops[2]();
    answers.a.resolve('A');
    await settle();
    assert.deepEqual(asked, ['a', 'b', 'e']);
    drops[1]();
    answers.b.reject(new Error('stopped'));
    const failure = new Error('no');
    answers.e.reject(failure);
    await settle();
    assert.deepEqual(asked, ['a', 'b', 'e', 'd']);
    assert.deepEqual(done, [['a', null, 'A'], ['e', failure, undefined]]);
});
