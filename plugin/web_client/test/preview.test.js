import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
    boundsText, coverageText, frameAt, frameAxes, movedView, sameGeometry, timeLeftText
} from '../src/lib/preview.js';

const state = (sizeX, sizeY, levels, x = 0, y = 0) => ({
    sizeX, sizeY, levels, tileWidth: 512, tileHeight: 512, stitchSession: { origin: { x, y } }
});

test('bounds name the first and the last position', () => {
    assert.equal(boundsText({ bounds: { x: [-5, 25], y: [7, 27], z: [0, 1] } }), 'x -5 to 24, y 7 to 26, z 0 to 0');
    assert.equal(boundsText({ bounds: null }), '');
});

test('what is not covered is never rounded away', () => {
    const session = { counts: { patches: 4 }, spec: { expected: null } };
    assert.equal(coverageText({ covered: 0.99999, holes: [{}] }, session), '99.9 % covered, 1 hole');
    assert.equal(coverageText({ covered: 1, holes: [] }, session), '100 % covered');
    assert.equal(coverageText({ covered: 0.25, holes: Array(50) }, session), '25 % covered, 50 or more holes');
    assert.equal(coverageText(null, session), '');
    assert.equal(coverageText({ covered: 1, holes: [] }, session, 0), '100 % covered');
    assert.equal(coverageText({ covered: 1, holes: [{}] }, session, 40), '100 % covered, 1 hole, 40 not shown yet');
});

test('while patches are to come they are counted in place of percent', () => {
    const session = { counts: { patches: 12 }, spec: { expected: 64 } };
    assert.equal(coverageText({ covered: 1, holes: [] }, session), '12 of 64 patches');
    assert.equal(coverageText({ covered: 0.5, holes: [{}, {}] }, session), '12 of 64 patches, 2 holes');
});

test('the time that is left is told in a unit that fits', () => {
    assert.deepEqual([0, 89, 90, 5399, 7200, null, undefined].map(timeLeftText),
        ['0 s left', '89 s left', '2 min left', '90 min left', '2 h left', '', '']);
});

test('frames are found by their place along each axis', () => {
    const axes = frameAxes({
        IndexRange: { IndexC: 2, IndexZ: 3, IndexT: 1 }, IndexStride: { IndexC: 1, IndexZ: 2, IndexT: 6 }
    });
    assert.deepEqual(axes.map(({ name }) => name), ['c', 'z']);
    assert.equal(frameAt(axes, { c: 1, z: 2 }), 5);
    assert.equal(frameAt(axes, { c: 7 }), 1);
    assert.deepEqual(frameAxes({}), []);
    assert.equal(frameAt([], {}), 0);
});

test('a view stays where it is when the image grows to the left', () => {
    const before = state(1000, 1000, 2);
    const after = state(1512, 1000, 3, -512);
    assert.ok(sameGeometry(before, state(1000, 1000, 2)));
    assert.ok(!sameGeometry(before, after));
    assert.ok(!sameGeometry(before, state(1000, 1000, 2, 0, -1)));
    assert.deepEqual(movedView({ center: { x: 100, y: 50 }, zoom: 0.5 }, before, after),
        { center: { x: 612, y: 50 }, zoom: 1.5 });
});
