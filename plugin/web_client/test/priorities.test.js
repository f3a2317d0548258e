import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
    choicesFor, extensionOf, extensionsOf, itemIdFrom, settingWith, settingWithOrder
} from '../src/lib/priorities.js';

const LEVELS = ['NAMED', 'PREFERRED', 'HIGH', 'MEDIUM', 'LOW'].map((name, value) => ({ name, value }));
const row = (extension, value, override = null) => (
    { extension, effective: value === null ? null : { value }, override });
const source = (name, ...extensions) => ({ name, installed: true, off: false, extensions });

test('sources are listed in the order in which they are asked', () => {
    const sources = [
        source('vips', row('default', 3)), source('pil', row('png', 2), row('default', 4)),
        source('bio', row('png', 2, 'HIGH')), source('gone', row('png', null, 'off')),
        { ...source('other', row('png', 0)), installed: false }, source('zarr', row('zarr', 1))
    ];
    const choices = choicesFor(sources, 'png');
    assert.deepEqual(choices.map(({ name, isOff }) => [name, isOff]),
        [['bio', false], ['pil', false], ['vips', false], ['gone', true]]);
    assert.deepEqual(choices.filter(({ isChanged }) => isChanged).map(({ name }) => name), ['bio', 'gone']);
    assert.deepEqual(extensionsOf(sources), ['png', 'zarr']);
});

/** The order that a setting makes. */
function orderOf(choices, setting, extension) {
    const value = ({ name, value: own }) => {
        const said = setting[name] && setting[name][extension];
        return said ? LEVELS.find((level) => level.name === said).value : own;
    };
    return [...choices].sort((one, other) => value(one) - value(other) || (one.name < other.name ? -1 : 1))
        .map(({ name }) => name);
}

test('a setting makes the order that is asked for, and changes as little as it can', () => {
    const choices = [['a', 2], ['b', 2], ['c', 3]].map(([name, value]) => ({ name, value, isOff: false }));
    const [a, b, c] = choices;
    assert.deepEqual(settingWithOrder({}, 'png', [a, b, c], LEVELS), {});
    assert.deepEqual(settingWithOrder({}, 'png', [b, a, c], LEVELS), { a: { png: 'MEDIUM' } });
    [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]].forEach((order) => {
        const setting = settingWithOrder({ z: 'off' }, 'png', order, LEVELS);
        assert.deepEqual(orderOf(choices, setting, 'png'), order.map(({ name }) => name));
        assert.equal(setting.z, 'off');
    });
    const many = ['f', 'e', 'd', 'c', 'b', 'a'].map((name) => ({ name, value: 0, isOff: false }));
    assert.equal(settingWithOrder({}, 'png', many, LEVELS), null);
});

test('a source is turned off for one extension and on again', () => {
    const off = settingWith({ a: { zip: 'LOW' } }, 'png', 'a', 'off');
    assert.deepEqual(off, { a: { zip: 'LOW', png: 'off' } });
    assert.deepEqual(settingWith(off, 'png', 'a', null), { a: { zip: 'LOW' } });
    assert.deepEqual(settingWith({ a: { png: 'off' } }, 'png', 'a', null), {});
});

test('the extension of a name', () => {
    assert.equal(extensionOf('Slide 7.OME.TIF'), 'tif');
    assert.equal(extensionOf('README'), 'default');
});

test('an item is found by its id or the address of its page', () => {
    const id = '6b02fe993e5d3b82e198ddb3';
    assert.equal(itemIdFrom(` ${id.toUpperCase()} `), id);
    assert.equal(itemIdFrom(`http://localhost:8080/#item/${id}?bounds=1`), id);
    assert.equal(itemIdFrom('6b02fe'), null);
    assert.equal(itemIdFrom(id + 'ab'), null);
});
