import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
    choicesFor, extensionOf, extensionsOf, itemIdFrom, mimeTypeFrom, mimeTypesOf, placeFrom, settingWithOrder,
    settingWithout, settingWithoutKey, without
} from '../src/lib/priorities.js';

const LEVELS = ['NAMED', 'PREFERRED', 'HIGH', 'MEDIUM', 'LOW'].map((name, value) => ({ name, value }));
const row = (extension, value, override = null) => (
    { extension, effective: value === null ? null : { value }, override });
const source = (name, ...extensions) => ({ name, installed: true, off: false, extensions, mimeTypes: [] });
const typed = (mimeType, value, override = null) => {
    const { effective } = row('', value);
    return { mimeType, effective, override };
};

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
        const types = new Map(one.mimeTypes.map((each) => [each.mimeType, each]));
        Object.entries(said).forEach(([key, name]) => {
            const fields = { override: name, effective: name === 'off' ? null : { value: level(name) } };
            if (key.includes('/')) {
                types.set(key, { mimeType: key, ...fields });
            } else {
                rows.set(key, { extension: key, ...fields });
            }
        });
        return { ...one, extensions: [...rows.values()], mimeTypes: [...types.values()] };
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

test('a MIME type has an order of its own', () => {
    const sources = [
        { ...source('a', row('png', 1)), mimeTypes: [typed('image/png', 3)] },
        { ...source('b', row('default', 4)), mimeTypes: [typed('image/png', 2), typed('image/x', 1)] },
        source('c', row('default', 2))
    ];
    assert.deepEqual(mimeTypesOf(sources), ['image/png', 'image/x']);
    const before = choicesFor(sources, 'image/png');
    assert.deepEqual(before.map(({ name, value, isFallback }) => [name, value, isFallback]), [
        ['b', 2, false], ['a', 3, false], ['c', 2, true]
    ]);
    ordersOf(before).forEach((order) => {
        const setting = settingWithOrder({ a: { png: 'HIGH' } }, 'image/png', order, LEVELS);
        const names = order.map(({ name }) => name);
        assert.ok(setting, names.join());
        assert.deepEqual(choicesFor(applied(sources, setting), 'image/png').map(({ name }) => name), names);
        assert.equal(setting.a.png, 'HIGH');
    });
    assert.deepEqual(settingWithoutKey({ a: { 'image/png': 'LOW', png: 'HIGH' }, b: 'off', c: { 'image/png': 'off' } }, 'image/png'),
        { a: { png: 'HIGH' }, b: 'off' });
    assert.deepEqual(['Image/TIFF ', 'tif', 'a/b/c', 'image/', 'application/vnd+zarr'].map(mimeTypeFrom),
        ['image/tiff', null, null, null, 'application/vnd+zarr']);
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
    assert.equal(itemIdFrom(`${id}.tif`), null);
    assert.equal(itemIdFrom(`slide ${id}`), null);
});

test('a folder, collection or user is found by the address of its page', () => {
    const [id, other] = ['6b02fe993e5d3b82e198ddb3', '7b02fe993e5d3b82e198ddb3'];
    assert.deepEqual(placeFrom(id), { folderId: id });
    assert.deepEqual(placeFrom(`http://localhost:8080/#collection/${id}`), { collectionId: id });
    assert.deepEqual(placeFrom(`https://x.org/girder#user/${id}?a=1`), { userId: id });
    assert.deepEqual(placeFrom(`http://localhost:8080/#collection/${id}/folder/${other}`), { folderId: other });
    assert.equal(placeFrom(`http://localhost:8080/#item/${id}`), null);
    assert.equal(placeFrom(''), null);
});
