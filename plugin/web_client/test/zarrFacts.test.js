import assert from 'node:assert/strict';
import { test } from 'node:test';
import { factsOf, levelsOf, snippetsOf } from '../src/lib/zarrFacts.js';

const found = {
    version: '0.5', kind: 'image', seriesCount: 1, labels: [],
    levels: [{
        path: '0', shape: [3, 1411, 1400], chunks: [3, 512, 512], dtype: 'uint8', zarr_format: 3,
        codecs: [{ name: 'bytes' }, { name: 'blosc', configuration: { cname: 'zstd' } }]
    }],
    multiscale: {
        name: 'retina', channels: [{ label: 'Red' }, { label: 'Green' }],
        axes: [
            { name: 'c', type: 'channel', unit: null }, { name: 'y', type: 'space', unit: 'micrometer' },
            { name: 'x', type: 'space', unit: 'micrometer' }
        ],
        levels: [{ path: '0', scale: [1, 0.5, 0.1 + 0.2] }]
    }
};

test('a size without a unit says so', () => {
    const axes = ['y', 'x'].map((name) => ({ name, type: 'space', unit: null }));
    const facts = factsOf({ multiscale: { axes, levels: [{ shape: [4, 4], scale: [1, 1] }] } });
    assert.deepEqual(facts.find(([label]) => label === 'Pixel size'), ['Pixel size', 'y 1, x 1, without a unit']);
});

test('an image is described in words', () => {
    assert.deepEqual(factsOf(found), [
        ['Version', 'OME-NGFF 0.5, zarr v3'], ['Kind', 'image'], ['Name', 'retina'],
        ['Axes', 'c, y (micrometer), x (micrometer)'], ['Size', 'c 3, y 1411, x 1400'], ['Pixels', 'uint8'],
        ['Pixel size', 'y 0.5 µm, x 0.3 µm'], ['Channels', 'Red, Green']
    ]);
    assert.deepEqual(levelsOf(found), [
        { path: '0', shape: '3 × 1411 × 1400', chunks: '3 × 512 × 512', codecs: 'bytes, blosc (zstd)' }
    ]);
});

test('several images are counted', () => {
    const series = [{ name: 'A/1/0', Row: 'A' }, { name: 'A/1/1' }, { name: 'overview' }];
    const images = (more) => factsOf({ ...found, series, ...more }).filter(([label]) => label === 'Images');
    assert.deepEqual(images({ kind: 'plate', seriesCount: 3, chosen: null }), [['Images', '2 fields']]);
    assert.deepEqual(images({ kind: 'collection', seriesCount: 3 }), [['Images', '3, shown together']]);
    assert.deepEqual(images({ kind: 'collection', seriesCount: 1, chosen: 'second' }), [['Images', 'second']]);
});

test('what an image lacks is left out', () => {
    assert.deepEqual(factsOf({ levels: [], multiscale: null, version: null }), []);
    assert.deepEqual(levelsOf({}), []);
});

test('snippets name the file as shells and Python need it', () => {
    const [, curl, python] = snippetsOf({ api: 'http://h/api/v1', itemId: 'i', fileId: 'f', name: "it's.zarr.zip", level: '0' });
    assert.match(curl.text, /-o 'it'\\''s\.zarr\.zip' http:\/\/h\/api\/v1\/file\/f\/download$/);
    assert.match(python.text, /ZipStore\('it\\'s\.zarr\.zip', mode='r'\)/);
    assert.match(python.text, /group\['0'\]\.shape/);
});

test('the snippet opens what the file has: a field of a plate, one array, a database', () => {
    const python = (name, level) => snippetsOf({ api: 'a', itemId: 'i', fileId: 'f', name, level })[2].text;
    assert.match(python('plate.zarr.zip', 'A/1/0/0'), /print\(group\['A\/1\/0\/0'\]\.shape\)$/);
    assert.match(python('array.zip', ''), /zarr\.open_array\(zarr\.storage\.ZipStore/);
    const database = python('image.db', '0');
    assert.match(database, /import girder_zarr\.image\n/);
    assert.doesNotMatch(database, /import zarr\n/);
});
