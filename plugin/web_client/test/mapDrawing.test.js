import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MapDrawing, fitted, inSight } from '../src/lib/mapDrawing.js';

const SIZE = { width: 448, height: 248 };
const places = Array.from({ length: 100 }, (_, at) => (
    { key: `${at}`, x: (at % 10) * 100, y: Math.floor(at / 10) * 100, width: 100, height: 100 }));
const scene = { places, statusOf: (key) => (key === '3' ? 'stray' : 'waiting'), selected: new Set(['0']) };

test('a box fits with a margin, in the middle', () => {
    const view = fitted({ x: -50, y: 20, width: 100, height: 200 }, SIZE);
    assert.equal(view.scale, 1);
    assert.deepEqual([(-50 + view.x) * view.scale, (20 + view.y) * view.scale], [174, 24]);
});

test('only what is in sight is drawn, what is selected last', () => {
    const groups = inSight(scene, { scale: 1, x: 0, y: 0 }, SIZE);
    assert.deepEqual(groups.map(([status]) => status), ['waiting', 'stray', 'selected']);
    assert.equal(groups.flatMap(([, some]) => some).length, 15);
    assert.deepEqual(inSight(scene, { scale: 1, x: -5000, y: 0 }, SIZE), []);
});

test('a drag moves what was drawn, and draws anew where that ends', () => {
    const calls = [];
    const canvasOf = (name) => ({
        width: 0, height: 0, getContext: () => new Proxy({}, {
            get: (_, what) => (...given) => calls.push([name, what, ...given]), set: () => true
        })
    });
    globalThis.document = { createElement: () => canvasOf('layer') };
    globalThis.window = { devicePixelRatio: 2 };
    const drawing = new MapDrawing(canvasOf('screen'));
    const drawn = () => {
        const found = calls.filter(([name, what]) => (name === 'layer' ? what === 'rect' : what === 'drawImage'));
        calls.length = 0;
        return [found.filter(([name]) => name === 'layer').length, ...found[found.length - 1].slice(-2)];
    };
    const view = { scale: 1, x: 0, y: 0 };
    drawing.draw({ scene, view, size: SIZE });
    assert.deepEqual([drawing.canvas.width, drawing.layer.width], [896, 1792]);
    assert.deepEqual(drawn(), [28, -448, -248]);
    drawing.draw({ scene, view: { ...view, x: -100, y: 50 }, size: SIZE });
    assert.deepEqual(drawn(), [0, -648, -148]);
    drawing.draw({ scene, view: { ...view, x: -300 }, size: SIZE });
    assert.deepEqual(drawn().slice(1), [-448, -248]);
    drawing.draw({ scene: { ...scene }, view: { ...view, x: -300 }, size: SIZE });
    assert.ok(drawn()[0] > 0);
    drawing.draw({ scene, view: null, size: SIZE });
    assert.equal(calls.filter(([, what]) => what === 'drawImage').length, 0);
});
