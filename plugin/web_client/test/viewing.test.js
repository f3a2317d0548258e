import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { labelFrame, labelsFrom, labelsText } from '../src/lib/labels.js';
import { shiftedView, showView, viewFrom, viewOf, viewText } from '../src/lib/mapView.js';
import { placesFrom, placesText } from '../src/lib/places.js';
import { Asker, physicalText, propertiesText, shownFrames } from '../src/lib/pointerValues.js';

test('labels go into an address and come back, whatever they are called', () => {
    const names = ['nuclei', 'a,b;c%<b>', 'gone'];
    const shown = { 'a,b;c%<b>': 80, nuclei: 0 };
    assert.deepEqual(labelsFrom(labelsText(shown), names), shown);
    assert.deepEqual(labelsFrom(labelsText({ ...shown, 'not there': 50 }), names), shown);
    for (const text of ['', undefined, 'nuclei', 'nuclei,', 'nuclei,101', 'nuclei,-1', '%E0%A4%A,50', 'nuclei,NaN']) {
        assert.ok(Object.keys(labelsFrom(text, names)).every((name) => name === 'nuclei' && text === 'nuclei,'), text);
    }
    const many = Array.from({ length: 20 }, (_, at) => `l${at}`);
    assert.equal(Object.keys(labelsFrom(many.map((name) => `${name},5`).join(';'), many)).length, 8);
    assert.deepEqual([labelFrame(0, 6, 4), labelFrame(2, 6, 4), labelFrame(0, 1, 0)], [10, 22, 1]);
});

test('a view goes into an address and comes back', () => {
    assert.equal(viewText({ x: 1200.04, y: 800, scale: 0.25 }), '1200,800,0.25');
    assert.deepEqual(viewFrom('1200,-800.5,0.25'), { x: 1200, y: -800.5, scale: 0.25 });
    for (const text of ['', undefined, '1,2', '1,2,0', '1,2,-1', '1,2,x', '1,,1', '1,2,1e9', '1,2,3,4', 'NaN,1,1', 'Infinity,1,1']) {
        assert.equal(viewFrom(text), null, text);
    }
    assert.deepEqual(shiftedView({ x: 1, y: 2, scale: 4 }, { x: 10, y: -2 }), { x: 11, y: 0, scale: 4 });
});

test('a map shows the view that it was asked for', () => {
    let now = { zoom: 0, center: { x: 0, y: 0 } };
    const map = {
        unitsPerPixel: (zoom) => 8 / 2 ** zoom,
        zoom: (value) => (value === undefined ? now.zoom : (now = { ...now, zoom: value })),
        center: (value) => (value === undefined ? now.center : (now = { ...now, center: value }))
    };
    showView(map, { x: 30, y: 40, scale: 2 });
    assert.equal(now.zoom, 4);
    assert.deepEqual(viewOf(map), { x: 30, y: 40, scale: 2 });
});

test('places go into an address and come back', () => {
    assert.equal(placesText({ z: 3, t: 0, c: 1 }), 'z,3;c,1');
    assert.deepEqual(placesFrom('z,3;c,1'), { z: 3, c: 1 });
    assert.deepEqual(placesFrom('z,-1;t,x;,4;c;z'), {});
    assert.deepEqual(placesFrom(undefined), {});
});

test('positions stand in the unit of the file', () => {
    const axis = (scale, translation, unit) => ({ scale, translation, unit });
    const place = { x: axis(0.5, 20, 'micrometer'), y: axis(0.1, 0, 'parsec') };
    assert.equal(physicalText({ x: 3, y: 3 }, place), '21.5 µm, 0.3 parsec');
    assert.equal(physicalText({ x: 3, y: 3 }, null), '');
    assert.equal(physicalText({ x: 3, y: 3 }, { ...place, y: axis(1, 0, null) }), '');
    assert.equal(physicalText({ x: 3, y: 3 }, { ...place, y: axis(null, 0, 'meter') }), '');
});

test('the frames of the channels that are shown', () => {
    assert.deepEqual(shownFrames(4, undefined), [4]);
    assert.deepEqual(shownFrames(4, { bands: [] }), [4]);
    assert.deepEqual(shownFrames(4, { bands: [{ framedelta: 0 }, { framedelta: 2 }, { frame: 1 }, { frame: 1 }] }), [4, 6, 1]);
    assert.equal(propertiesText({ class: 'mitotic', area: 12.5 }), 'class: mitotic, area: 12.5');
});

test('one request is under way, and the newest question comes next', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const pending = [];
    const answers = [];
    const asker = new Asker(
        (question) => new Promise((resolve, reject) => pending.push({ question, resolve, reject })),
        (question, answer, failure) => answers.push([question.at, answer, failure && failure.message])
    );
    const settled = () => new Promise((resolve) => setImmediate(resolve));
    asker.want({ at: 1 });
    mock.timers.tick(40);
    asker.want({ at: 2 });
    mock.timers.tick(79);
    assert.equal(pending.length, 0, 'the mouse has not rested yet');
    mock.timers.tick(1);
    assert.deepEqual(pending.map(({ question }) => question.at), [2]);
    asker.want({ at: 3 });
    asker.want({ at: 4 });
    mock.timers.tick(1000);
    assert.equal(pending.length, 1, 'one at a time');
    pending[0].resolve('old');
    await settled();
    assert.deepEqual(answers, [], 'nobody asks for it any more');
    mock.timers.tick(80);
    assert.deepEqual(pending.map(({ question }) => question.at), [2, 4]);
    pending[1].reject(new Error('gone'));
    await settled();
    assert.deepEqual(answers, [[4, null, 'gone']]);
    asker.want({ at: 5 });
    mock.timers.tick(80);
    asker.want(null);
    pending[2].resolve('late');
    await settled();
    asker.want({ at: 6 });
    mock.timers.tick(80);
    asker.stop();
    pending[3].resolve('after the end');
    await settled();
    asker.want({ at: 7 });
    mock.timers.tick(1000);
    assert.deepEqual([answers.length, pending.length], [1, 4]);
    mock.timers.reset();
});
