/**
 * The directories of a TIFF or BigTIFF without its pixels: the server says which page is which channel, plane and time,
 * for a file that it does not have yet. TIFF 6.0, section 2, and the BigTIFF design of AWare Systems.
 */

/** Bytes that are read at a time: a directory and the short values behind it. */
const WINDOW = 8192;
const MOST_PAGES = 10000;
const MOST_BYTES = 3 * 2 ** 20;
/** NewSubfileType, ImageWidth, ImageLength; ImageDescription; Micro-Manager's JSON of a page. */
const [SUBFILE, WIDTH, LENGTH, DESCRIPTION, FRAME] = [254, 256, 257, 270, 51123];
const NUMBERS = [SUBFILE, WIDTH, LENGTH];
const FRAME_FIELDS = [
    'PositionIndex', 'ChannelIndex', 'SliceIndex', 'FrameIndex', 'Channel', 'Slice', 'Frame', 'XPositionUm', 'YPositionUm',
    'ZPositionUm', 'PixelSizeUm'
];
/** An MMStack has its summary, as JSON, behind a number that says so, and its length. */
const [SUMMARY, SUMMARY_MARK, SUMMARY_FIELDS] = [32, 2355492, ['ChNames', 'PixelSize_um']];
const [SHORT, LONG, ASCII] = [3, 4, 2];

class Reader {
    constructor(file) {
        this.file = file;
        this.from = 0;
        this.view = new DataView(new ArrayBuffer(0));
    }

    /** Bytes of the file, as far as it has them. */
    async at(offset, length) {
        if (offset < this.from || offset + length > this.from + this.view.byteLength) {
            const bytes = await this.file.slice(offset, offset + Math.max(length, WINDOW)).arrayBuffer();
            this.from = offset;
            this.view = new DataView(bytes);
        }
        const begin = offset - this.from;
        return new DataView(this.view.buffer, begin, Math.min(length, this.view.byteLength - begin));
    }
}

/**
 * A TIFF of the same pages, in which nothing but what says what they are is left.
 *
 * @param {Blob} file a TIFF.
 * @returns {Promise<Uint8Array>}
 * @throws {RangeError} it ends too early. @throws {Error} it has more pages, or says more of them, than is looked at.
 */
async function directoriesOf(file) {
    const reader = new Reader(file);
    const head = await reader.at(0, 16);
    const little = head.getUint16(0) === 0x4949;
    const isBig = head.getUint16(2, little) === 43;
    let place = isBig ? Number(head.getBigUint64(8, little)) : head.getUint32(4, little);
    const summary = await summaryOf(reader, little);
    const pages = [];
    const seen = new Set();
    let bytes = 0;
    while (place && !seen.has(place)) {
        seen.add(place);
        const [tags, next] = await directory(reader, place, { little, isBig, isFirst: !pages.length });
        bytes += 64 + tags.reduce((sum, { data }) => sum + data.length, 0);
        if (pages.push(tags) > MOST_PAGES || bytes > MOST_BYTES) {
            throw new Error(`It has more than ${MOST_PAGES} pages, or says too much of them, to be looked at in a browser.`);
        }
        place = next;
    }
    return written(pages, summary);
}

/**
 * The description of the first page of a TIFF, in which OME-XML stands.
 *
 * @param {Blob|import('./girderFiles.js').GirderFile} file
 * @returns {Promise<string>} empty where it has none.
 * @throws {Error} it is longer than is looked at.
 */
async function descriptionOf(file) {
    const reader = new Reader(file);
    const head = await reader.at(0, 16);
    const little = head.getUint16(0) === 0x4949;
    const isBig = head.getUint16(2, little) === 43;
    const place = isBig ? Number(head.getBigUint64(8, little)) : head.getUint32(4, little);
    const [tags] = await directory(reader, place, { little, isBig, isFirst: true });
    const found = tags.find(({ tag }) => tag === DESCRIPTION);
    return found ? new TextDecoder().decode(found.data).replace(/\0+$/, '') : '';
}

/** What Micro-Manager says of all pages: names of channels, and the size of a pixel. */
async function summaryOf(reader, little) {
    const head = await reader.at(SUMMARY, 8);
    if (head.byteLength < 8 || head.getUint32(0, little) !== SUMMARY_MARK || head.getUint32(4, little) > MOST_BYTES) {
        return new Uint8Array();
    }
    const text = await reader.at(SUMMARY + 8, head.getUint32(4, little));
    return fieldsOf(new Uint8Array(text.buffer, text.byteOffset, text.byteLength), SUMMARY_FIELDS);
}

async function directory(reader, place, { little, isBig, isFirst }) {
    const [head, size, inline] = isBig ? [8, 20, 8] : [2, 12, 4];
    const start = await reader.at(place, head);
    const count = isBig ? Number(start.getBigUint64(0, little)) : start.getUint16(0, little);
    if (count > 1000) {
        throw new RangeError('No directory of a TIFF has so many tags.');
    }
    // Copied, because the values may lie elsewhere in the file.
    const view = await reader.at(place + head, count * size + inline);
    const entries = new DataView(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
    const tags = [];
    for (let at = 0; at < count * size; at += size) {
        const tag = entries.getUint16(at, little);
        const type = entries.getUint16(at + 2, little);
        const length = isBig ? Number(entries.getBigUint64(at + 4, little)) : entries.getUint32(at + 4, little);
        const value = at + (isBig ? 12 : 8);
        if (NUMBERS.includes(tag)) {
            tags.push(numberTag(tag, type === SHORT ? entries.getUint16(value, little) : entries.getUint32(value, little)));
        } else if ((tag === DESCRIPTION && isFirst) || tag === FRAME) {
            const from = isBig ? Number(entries.getBigUint64(value, little)) : entries.getUint32(value, little);
            if (length > MOST_BYTES) {
                throw new Error('It says too much of its pages to be looked at in a browser.');
            }
            const text = length > inline
                ? await reader.at(from, length)
                : new DataView(entries.buffer, value, length);
            tags.push(textTag(tag, new Uint8Array(text.buffer, text.byteOffset, text.byteLength)));
        }
    }
    const link = count * size;
    return [tags, isBig ? Number(entries.getBigUint64(link, little)) : entries.getUint32(link, little)];
}

function numberTag(tag, value) {
    const data = new Uint8Array(4);
    new DataView(data.buffer).setUint32(0, value, true);
    return { tag, type: LONG, count: 1, data };
}

function textTag(tag, bytes) {
    const data = tag === FRAME ? fieldsOf(bytes, FRAME_FIELDS) : bytes.slice();
    return { tag, type: ASCII, count: data.length, data };
}

/** What Micro-Manager says of where pages belong, without the settings of the microscope. */
function fieldsOf(bytes, names) {
    let frame = {};
    try {
        frame = JSON.parse(new TextDecoder().decode(bytes).replace(/\0+$/, ''));
    } catch { /* the server says what is wrong with it */ }
    const kept = names.filter((name) => frame && name in frame).map((name) => [name, frame[name]]);
    return new TextEncoder().encode(`${JSON.stringify(Object.fromEntries(kept))}\0`);
}

/** A TIFF of little-endian bytes with these tags in its directories. */
function written(pages, summary) {
    const sizes = pages.map((tags) => 6 + 12 * tags.length + tags.reduce((sum, { data }) => sum + outside(data), 0));
    // Directories begin at even places.
    const begin = summary.length ? SUMMARY + 8 + summary.length + summary.length % 2 : 8;
    const bytes = new Uint8Array(begin + sizes.reduce((sum, size) => sum + size, 0));
    const view = new DataView(bytes.buffer);
    bytes.set([0x49, 0x49, 42, 0]);
    view.setUint32(4, pages.length ? begin : 0, true);
    if (summary.length) {
        view.setUint32(SUMMARY, SUMMARY_MARK, true);
        view.setUint32(SUMMARY + 4, summary.length, true);
        bytes.set(summary, SUMMARY + 8);
    }
    let place = begin;
    pages.forEach((tags, number) => {
        view.setUint16(place, tags.length, true);
        let free = place + 6 + 12 * tags.length;
        tags.forEach(({ tag, type, count, data }, at) => {
            const entry = place + 2 + 12 * at;
            view.setUint16(entry, tag, true);
            view.setUint16(entry + 2, type, true);
            view.setUint32(entry + 4, count, true);
            if (data.length > 4) {
                view.setUint32(entry + 8, free, true);
                bytes.set(data, free);
                free += outside(data);
            } else {
                bytes.set(data, entry + 8);
            }
        });
        view.setUint32(place + 2 + 12 * tags.length, number + 1 < pages.length ? place + sizes[number] : 0, true);
        place += sizes[number];
    });
    return bytes;
}

/** Bytes of a value that does not fit into its entry; they begin at even places. */
const outside = (data) => (data.length > 4 ? data.length + data.length % 2 : 0);

export { descriptionOf, directoriesOf };
