import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
    choicesFor, extensionOf, extensionsOf, itemIdFrom, settingWithOrder, settingWithout, without
} from '../src/lib/priorities.js';

const LEVELS = ['NAMED', 'PREFERRED', 'HIGH', 'MEDIUM', 'LOW'].map((name, value) => ({ name, value }));
const row = (extension, value, override = null) => (
    { extension, effective: value === null ? null : { value }, override });
const source = (name, ...extensions) => ({ name, installed: true, off: false, extensions });

test('sources are listed in the order in which they are asked', () => {
    const sources = [
        source('vips', row('default', 1)), source('pil', row('png', 2), row('default', 4)),
        source('bio', row('png', 2, 'HIGH')), source('gone', row('png', null, 'off')), source('late', row('default', 12)),
        source('both', row('png', 4), row('default', 3)),
        { ...source('other', row('png', 0)), installed: false }, source('zarr', row('zarr', 1))
    ];
    const choices = choicesFor(sources, 'png');
    assert.deepEqual(choices.map(({ name, value, isOff }) => [name, value, isOff]), [
        ['bio', 2, false], ['pil', 2, false], ['both', 3, false], ['vips', 1, false], ['gone', null, true],
        ['late', null, true]
    ]);
    assert.deepEqual(choices.filter(({ isChanged }) => isChanged).map(({ name }) => name), ['bio', 'gone']);
    assert.deepEqual(extensionsOf(sources), ['png', 'zarr']);
});

/** What a server makes of a setting. */
function applied(sources, setting) {
    const level = (name) => LEVELS.find((one) => one.name === name).value;
    return sources.map((one) => {
        const said = setting[one.name] || {};
        const rows = new Map(one.extensions.map((each) => [each.extension, each]));
        Object.entries(said).forEach(([extension, name]) => {
            rows.set(extension, { extension, override: name, effective: name === 'off' ? null : { value: level(name) } });
        });
        return { ...one, extensions: [...rows.values()] };
    });
}

function ordersOf(list) {
    return list.length < 2 ? [list] : list.flatMap((one, at) =>
        ordersOf(list.filter((_, other) => other !== at)).map((rest) => [one, ...rest]));
}

test('a setting makes the order that is asked for, whoever lists the extension', () => {
    const sources = [
        source('a', row('png', 2)), source('b', row('png', 2), row('default', 4)), source('c', row('default', 3)),
        source('d', row('default', 4))
    ];
    const before = choicesFor(sources, 'png');
    assert.deepEqual(settingWithOrder({}, 'png', before, LEVELS), {});
    ordersOf(before).forEach((order) => {
        const setting = settingWithOrder({ z: 'off' }, 'png', order, LEVELS);
        const names = order.map(({ name }) => name);
        assert.ok(setting, names.join());
        assert.deepEqual(choicesFor(applied(sources, setting), 'png').map(({ name }) => name), names);
        assert.equal(setting.z, 'off');
    });
    const many = ['f', 'e', 'd', 'c', 'b', 'a'].map((name) => ({ name, value: 0, most: Infinity, isOff: false }));
    assert.equal(settingWithOrder({}, 'png', many, LEVELS), null);
});

test('a source is turned off for all files; one that is off for an extension is asked for any file still', () => {
    const sources = [source('a', row('png', null, 'off'), row('default', 2)), source('b', row('png', 3))];
    assert.deepEqual(choicesFor(sources, 'png').map(({ name, isOff }) => [name, isOff]), [['b', false], ['a', false]]);
    assert.deepEqual(settingWithout({ a: { zip: 'LOW' }, b: 'off' }, 'a'), { a: 'off', b: 'off' });
    assert.deepEqual(without({ a: 'off', b: 'off' }, 'a'), { b: 'off' });
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
