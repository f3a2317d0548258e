import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limitOf, wordsOf } from '../src/lib/limitWords.js';
import { SETTINGS, fieldOf, textsOf, valueOf, viewerFieldOf } from '../src/lib/settings.js';

const shape = (key) => SETTINGS.find((one) => one.key === key);

test('a setting survives its form', () => {
    const cases = [
        ['zarr.allowed_hosts', ['a.org', '*.b.org'], []], ['zarr.stitch_expires_hours', 48, null],
        ['zarr.stitch_expires_hours', null, null], ['zarr.viewers', [{ name: 'a', kind: 'link', text: 'http://x/{url}' }], []],
        ['zarr.stitch_limits', { patches: 7, dtypes: ['uint8', 'int8'] }, { patches: 9, openSessions: 1, dtypes: ['uint8'] }]
    ];
    cases.forEach(([key, value, standard]) => {
        const texts = textsOf(shape(key), value, standard);
        assert.deepEqual(valueOf(shape(key), texts, standard), value);
    });
});

test('what is no number goes to the server as it is', () => {
    assert.equal(valueOf(shape('zarr.stitch_part_values'), { value: 'many' }, null), 'many');
});

test('names in words, and refusals at their fields', () => {
    assert.deepEqual(['openSessions', 'chunk_bytes'].map(wordsOf), ['Open sessions', 'Chunk bytes']);
    assert.deepEqual(limitOf('newLimit'), { label: 'New limit', unit: '', isBytes: false });
    assert.deepEqual(limitOf('zip_entry_bytes'), { label: 'Size of a file in a zip', unit: 'bytes', isBytes: true });
    assert.equal(fieldOf('zarr.stitch_limits: patches: expected an integer', ['patches', 'patchBytes']), 'patches');
    assert.equal(fieldOf('zarr.allowed_hosts: expected a list', ['value']), null);
});

test('a refusal of a program is at its field', () => {
    const viewers = [{ name: 'one', kind: 'link', text: '' }, { name: ' ', kind: 'r', text: '' }];
    assert.deepEqual(viewerFieldOf('zarr.viewers: one: text: expected at most', viewers), { at: 0, field: 'text' });
    assert.deepEqual(viewerFieldOf('zarr.viewers: one: kind: expected one of', viewers), { at: 0, field: 'kind' });
    assert.deepEqual(viewerFieldOf("zarr.viewers: name: expected 1 to 60 printable characters, found ' '.", viewers),
        { at: 1, field: 'name' });
    assert.equal(viewerFieldOf('zarr.viewers: expected a list of at most 50 viewers', viewers), null);
});
