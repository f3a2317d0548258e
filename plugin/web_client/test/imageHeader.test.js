import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHeader } from '../src/lib/imageHeader.js';

const bytes = (...parts) => new Blob([Buffer.concat(parts.map((part) => (
    typeof part === 'number' ? Buffer.alloc(part) : Buffer.from(part, part.length % 2 || /[^0-9a-f]/.test(part) ? 'latin1' : 'hex'))))]);

test('a PNG says its size and pixels', async () => {
    const file = bytes('89504e470d0a1a0a0000000d', '49484452', '000002000000010010020000', 64);
    assert.deepEqual(await readHeader(file), { format: 'png', width: 512, height: 256, bands: 3, dtype: 'uint16' });
});

test('a JPEG says its size behind its other segments', async () => {
    const file = bytes('ffd8ffe00010', 14, 'ffc4000400', '00', 'ffc0001108', '0100', '0200', '03', 64);
    const { width, height, bands } = await readHeader(file);
    assert.deepEqual([width, height, bands], [512, 256, 3]);
});

test('a TIFF says its size wherever its directory lies, in either order of bytes', async () => {
    for (const isLittle of [true, false]) {
        for (const offset of [8, 70000]) {
            const view = new DataView(new ArrayBuffer(offset + 100));
            view.setUint16(0, isLittle ? 0x4949 : 0x4d4d);
            view.setUint16(2, 42, isLittle);
            view.setUint32(4, offset, isLittle);
            const tags = [[256, 3, 640], [257, 4, 480], [258, 3, 16], [277, 3, 1], [339, 3, 1]];
            view.setUint16(offset, tags.length, isLittle);
            tags.forEach(([tag, type, value], at) => {
                const entry = offset + 2 + at * 12;
                view.setUint16(entry, tag, isLittle);
                view.setUint16(entry + 2, type, isLittle);
                view.setUint32(entry + 4, 1, isLittle);
                view[type === 3 ? 'setUint16' : 'setUint32'](entry + 8, value, isLittle);
            });
            view.setUint32(offset + 2 + tags.length * 12, isLittle ? 0 : 8, isLittle);
            assert.deepEqual(await readHeader(new Blob([view.buffer])),
                { format: 'tiff', width: 640, height: 480, bands: 1, dtype: 'uint16', hasPages: !isLittle, hasWords: false });
        }
    }
});

test('the bits of an RGB TIFF stand elsewhere in the file', async () => {
    const view = new DataView(new ArrayBuffer(200));
    view.setUint16(0, 0x4949);
    view.setUint16(2, 42, true);
    view.setUint32(4, 8, true);
    const tags = [[256, 3, 1, 64], [257, 3, 1, 32], [258, 3, 3, 150], [277, 3, 1, 3]];
    view.setUint16(8, tags.length, true);
    tags.forEach(([tag, type, count, value], at) => {
        view.setUint16(10 + at * 12, tag, true);
        view.setUint16(12 + at * 12, type, true);
        view.setUint32(14 + at * 12, count, true);
        view.setUint32(18 + at * 12, value, true);
    });
    [150, 152, 154].forEach((at) => view.setUint16(at, 8, true));
    assert.deepEqual(await readHeader(new Blob([view.buffer])),
        { format: 'tiff', width: 64, height: 32, bands: 3, dtype: 'uint8', hasPages: false, hasWords: false });
});

test('an npy file says its shape', async () => {
    const header = "{'descr': '<u2', 'fortran_order': False, 'shape': (30, 40, 3), }".padEnd(118);
    const file = new Blob([Buffer.from('934e554d505901007600', 'hex'), header, Buffer.alloc(64)]);
    assert.deepEqual(await readHeader(file), { format: 'npy', width: 40, height: 30, bands: 3, dtype: 'uint16' });
});

test('what is no image, or ends too early, has no size', async () => {
    assert.equal(await readHeader(bytes('no picture at all, whatever it is called')), null);
    assert.equal(await readHeader(bytes('short')), null);
    assert.equal(await readHeader(bytes('49492a00', 'ffffff7f', 16)), null);
});
