import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
    axesOf, channelsOf, choiceFrom, choiceOf, frameOf, guessedWindow, outlineOf, placeText, styleOf
} from '../src/lib/channels.js';

const metadata = {
    bandCount: 1, dtype: 'uint16', channels: ['a', 'b'],
    IndexRange: { IndexC: 2, IndexZ: 3, IndexT: 1 }, IndexStride: { IndexC: 1, IndexZ: 2, IndexT: 6 },
    frames: [0, 0, 1.5, 1.5, 3, 3].map((value) => ({ ValueZ: value }))
};
const described = [
    { label: '<b>', color: 'ff8000', active: true, window: { start: 5, end: 50 } },
    { label: null, color: null, active: false, window: { start: 0, end: 65535 } }
];

test('channels are as the file says, and named and coloured where it says nothing', () => {
    const channels = channelsOf(metadata, described);
    assert.deepEqual(channels, [
        { name: '<b>', isActive: true, color: 'FF8000', low: 5, high: 50 },
        { name: 'b', isActive: false, color: '00FF00', low: null, high: null }
    ]);
    assert.deepEqual(channelsOf({ ...metadata, bandCount: 3 }, described), []);
});

test('of channels that are all of one colour the first is shown', () => {
    const white = ['a', 'b'].map((label) => ({ label, color: 'FFFFFF', active: true }));
    for (const all of [white, []]) {
        const channels = channelsOf(metadata, all);
        assert.deepEqual(channels.map(({ isActive }) => isActive), [true, false]);
        assert.deepEqual(channels.map(({ color }) => color), ['FFFFFF', '00FF00']);
    }
});

test('a style adds up what is shown, and none is black', () => {
    const channels = channelsOf(metadata, described);
    assert.deepEqual(styleOf(channels, 1), {
        bands: [{ band: 1, framedelta: 0, palette: '#FF8000', composite: 'add', min: 5, max: 50 }]
    });
    assert.equal(styleOf([], 1), undefined);
    const none = channels.map((channel) => ({ ...channel, isActive: false }));
    assert.deepEqual(styleOf(none, 1), { bands: [{ band: 1, palette: '#000000', composite: 'add' }] });
});

test('axes have values and units, and places lead to a frame', () => {
    const axes = axesOf(metadata, [{ name: 'z', unit: 'micrometer' }]);
    assert.deepEqual(axes, [{ name: 'z', size: 3, stride: 2, unit: 'micrometer', values: [0, 1.5, 3] }]);
    assert.equal(frameOf(axes, { z: 2 }), 4);
    assert.equal(placeText(axes[0], 1), '2 of 3, 1.5 µm');
    assert.equal(placeText({ size: 3, values: [null], unit: '' }, 0), '1 of 3');
});

test('a choice goes into the address and comes back, and what is foreign is passed over', () => {
    const standard = channelsOf(metadata, described);
    const axes = axesOf(metadata, []);
    assert.deepEqual(choiceOf(standard, { z: 0 }, standard), {});
    const changed = [{ ...standard[0], low: 7, isActive: false }, standard[1]];
    const query = choiceOf(changed, { z: 2 }, standard);
    assert.deepEqual(choiceFrom(query, standard, axes), { channels: changed, places: { z: 2 } });
    for (const channels of ['', 'x', '1,zz,0,1;1,00FF00,,', '1,FF8000,a,1;1,00FF00,b,', '1,FF8000,0,1']) {
        const found = choiceFrom({ channels, at: 'z,9;q,1;z,x' }, standard, axes);
        assert.deepEqual(found.channels[0], standard[0], channels);
        assert.deepEqual(found.places, {});
    }
});

test('a histogram is outlined within its box', () => {
    assert.equal(outlineOf([0, 9], 10, 4), '0,4 0.0,4.0 5.0,4.0 5.0,0.0 10.0,0.0 10,4');
});

test('a channel without a window is shown in the bits that its values need', () => {
    const windows = [[0, 1197], [0, 4095], [0, 0.5], [-3, 7], [-3, -3]].map(([min, max]) => guessedWindow({ min, max }, 'int32'));
    assert.deepEqual(guessedWindow({ min: 3, max: 9 }, 'uint8'), [0, 255]);
    assert.deepEqual(windows, [[0, 2047], [0, 4095], [0, 1], [-3, 7], [-3, -2]]);
});
