import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Headers } from '../src/lib/headers.js';
import { directoriesOf } from '../src/lib/tiffDirectories.js';

/** A TIFF of pages of 4 x 3 pixels: each page's tags as [tag, type, count, value or text]. */
function tiff(pages, { isBig = false, little = true } = {}) {
    const bytes = new Uint8Array(65536);
    const view = new DataView(bytes.buffer);
    const [count, size, link] = isBig ? [8, 20, 8] : [2, 12, 4];
    const number = (at, value, length) => (length === 8
        ? view.setBigUint64(at, BigInt(value), little)
        : length === 4 ? view.setUint32(at, value, little) : view.setUint16(at, value, little));
    bytes.set(little ? [0x49, 0x49] : [0x4d, 0x4d]);
    view.setUint16(2, isBig ? 43 : 42, little);
    if (isBig) {
        view.setUint16(4, 8, little);
    }
    let pointer = isBig ? 8 : 4;
    let free = 20000;
    pages.forEach((tags, page) => {
        const place = 64 + 4000 * page;
        number(pointer, place, link);
        number(place, tags.length, count);
        tags.forEach(([tag, type, length, value], at) => {
            const entry = place + count + at * size;
            number(entry, tag, 2);
            number(entry + 2, type, 2);
            number(entry + 4, length, link);
            if (typeof value === 'string') {
                number(entry + 4 + link, free, link);
                bytes.set(new TextEncoder().encode(value), free);
                free += value.length + 1;
            } else {
                number(entry + 4 + link, value, type === 3 ? 2 : 4);
            }
        });
        pointer = place + count + tags.length * size;
    });
    return new Blob([bytes]);
}

const size = [[256, 3, 1, 4], [257, 3, 1, 3]];
const text = (tag, value) => [tag, 2, value.length + 1, value];

/** The directories of a small TIFF: [{tag: value}]. */
function read(bytes) {
    const view = new DataView(bytes.buffer);
    const pages = [];
    for (let place = view.getUint32(4, true); place;) {
        const count = view.getUint16(place, true);
        const tags = {};
        for (let at = 0; at < count; at += 1) {
            const entry = place + 2 + 12 * at;
            const length = view.getUint32(entry + 4, true);
            const isText = view.getUint16(entry + 2, true) === 2;
            const from = isText && length <= 4 ? entry + 8 : view.getUint32(entry + 8, true);
            tags[view.getUint16(entry, true)] = isText
                ? new TextDecoder().decode(bytes.subarray(from, from + length - 1))
                : from;
        }
        pages.push(tags);
        place = view.getUint32(place + 2 + 12 * count, true);
    }
    return pages;
}

for (const form of [{}, { isBig: true }, { little: false }, { isBig: true, little: false }]) {
    test(`the directories of a TIFF are enough: ${JSON.stringify(form)}`, async () => {
        const frame = JSON.stringify({ PositionIndex: 1, SliceIndex: 2, Camera: 'x'.repeat(200) });
        const file = tiff([
            [...size, text(270, 'ImageJ=1.53\nimages=2\n'), [273, 4, 1, 9999], text(51123, frame)],
            [[254, 4, 1, 1], ...size, text(270, 'not needed'), text(51123, 'no json')]
        ], form);
        const [first, second] = read(await directoriesOf(file));
        assert.deepEqual(first, {
            256: 4, 257: 3, 270: 'ImageJ=1.53\nimages=2\n', 51123: '{"PositionIndex":1,"SliceIndex":2}'
        });
        assert.deepEqual(second, { 254: 1, 256: 4, 257: 3, 51123: '{}' });
    });
}

const tile = (key, file) => ({ key, path: key, file });
const gray = [[258, 3, 1, 8], [277, 3, 1, 1]];

test('each file is asked for once, those in Girder and those of pages by the server', async () => {
    const asked = [];
    const headers = new Headers(async ({ files, pages }) => {
        asked.push([files.length, pages]);
        return files.map(({ itemId }) => (itemId
            ? itemId === 'text' ? { itemId, message: 'is no image.', code: 415 } : { itemId, width: 7, height: 5 }
            : { pages: [{ page: 0, index: { c: 0 } }, { page: 1, index: { c: 1 } }] }));
    });
    const tiles = [
        ...Array.from({ length: 250 }, (_, at) => tile(`g${at}`, { itemId: at ? `${at}` : 'text' })),
        tile('stack', tiff([[...size, ...gray], [...size, ...gray]])), tile('one', tiff([[...size, ...gray]])),
        tile('none', new Blob(['nothing that is an image']))
    ];
    const look = async (along) => {
        const found = new Map();
        await headers.read(tiles, { along, signal: new AbortController().signal, onFound: (key, one) => found.set(key, one) });
        return found;
    };
    const found = await look('auto');
    assert.equal(found.size, tiles.length);
    assert.deepEqual(found.get('g3'), { itemId: '3', width: 7, height: 5 });
    assert.deepEqual([found.get('g0').message, found.get('none')], ['is no image.', null]);
    assert.deepEqual([found.get('stack').width, found.get('stack').pages.length], [4, 2]);
    assert.deepEqual([found.get('one').width, found.get('one').hasPages], [4, false]);
    assert.deepEqual(asked, [[100, 'auto'], [100, 'auto'], [51, 'auto']]);
    assert.equal((await look('auto')).size, tiles.length);
    assert.equal(asked.length, 3);
    await look('z');
    assert.deepEqual(asked.slice(3), [[2, 'z']]);
});

test('a file of one page is asked for where its tags may say where it lies', async () => {
    const asked = [];
    const headers = new Headers(async ({ files }) => {
        asked.push(...files.map(({ name, tiff: data }) => [name, Buffer.from(data, 'base64').includes('FITC')]));
        return files.map(({ name }) => ({ places: { program: 'OME', planes: [{ x: name.length, y: 0 }] } }));
    });
    const frame = JSON.stringify({ XPositionUm: 1, YPositionUm: 2, Channel: 'FITC' });
    const tiles = [
        tile('plain', tiff([[...size, text(270, '{"shape": [3, 4]}'), ...gray]])),
        tile('ome', tiff([[...size, text(270, '<OME><Plane PositionX="1"/></OME>'), ...gray]])),
        tile('metamorph', tiff([[...size, text(270, '<MetaData id="stage-position-x"/>'), ...gray]])),
        tile('stack', tiff([[...size, ...gray, text(51123, frame)]]))
    ];
    const found = new Map();
    const look = () => headers.read(tiles, {
        along: 'auto', signal: new AbortController().signal, onFound: (key, one) => found.set(key, one)
    });
    await look();
    assert.deepEqual(asked.sort(), [['metamorph', false], ['ome', false], ['stack', true]]);
    assert.deepEqual([...found.values()].filter(({ places }) => !places).map(({ width }) => width), [4]);
    assert.equal(found.get('ome').places.planes[0].x, 3);
    await look();
    assert.equal(asked.length, 3);
});

test('the summary of an MMStack is kept, as far as it says what pages are', async () => {
    const bytes = new Uint8Array(await tiff([[...size, text(51123, '{"XPositionUm":1}')]]).arrayBuffer());
    const moved = new Uint8Array(bytes.length);
    moved.set(bytes);
    const summary = JSON.stringify({ ChNames: ['a'], PixelSize_um: 0.5, Comment: 'x'.repeat(40) });
    const place = 50000;
    const view = new DataView(moved.buffer);
    // The directory moves behind the summary, which begins at byte 40.
    moved.copyWithin(place, 64, 64 + 200);
    view.setUint32(4, place, true);
    view.setUint32(32, 2355492, true);
    view.setUint32(36, summary.length, true);
    moved.set(new TextEncoder().encode(summary), 40);
    const found = await directoriesOf(new Blob([moved]));
    const head = new DataView(found.buffer);
    const length = head.getUint32(36, true);
    assert.equal(head.getUint32(32, true), 2355492);
    assert.equal(new TextDecoder().decode(found.subarray(40, 40 + length)), '{"ChNames":["a"],"PixelSize_um":0.5}\0');
    assert.equal(read(found)[0][51123], '{"XPositionUm":1}');
});

test('a question that got lost is asked again', async () => {
    let isLost = true;
    const headers = new Headers(async ({ files }) => {
        if (isLost) {
            throw new Error('The server does not answer.');
        }
        return files.map(() => ({ width: 7, height: 5 }));
    });
    const tiles = [tile('a', { itemId: '1' })];
    const found = [];
    const look = () => headers.read(tiles, {
        along: 'auto', signal: new AbortController().signal, onFound: (key, one) => found.push(one.message || one.width)
    });
    await look();
    isLost = false;
    await look();
    assert.deepEqual(found, ['The server does not answer.', 7]);
});
