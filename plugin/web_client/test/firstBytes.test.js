import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kindOf, sentenceOfBytes } from '../src/lib/firstBytes.js';

const bytes = (text) => Uint8Array.from([...text].map((one) => one.charCodeAt(0)));

test('a file is known by its first bytes', () => {
    assert.equal(kindOf(bytes('II*\0........')).name, 'a TIFF');
    assert.equal(kindOf(bytes('MM\0+........')).name, 'a BigTIFF');
    assert.equal(kindOf(bytes('RIFF....WEBPVP8 ')).name, 'a WebP');
    assert.equal(kindOf(bytes('PK\x03\x04')).name, 'a zip');
    assert.equal(kindOf(bytes('nothing')), null);
    assert.equal(kindOf(bytes('')), null);
});

test('a name that says something else is told', () => {
    assert.equal(sentenceOfBytes(bytes('\x89PNG\r\n'), 'png'), 'By its first bytes it is a PNG, as its name says.');
    assert.match(sentenceOfBytes(bytes('\x89PNG\r\n'), 'tif'), /a PNG, which its name does not say/);
    assert.equal(sentenceOfBytes(bytes('nothing'), 'tif'), null);
});
