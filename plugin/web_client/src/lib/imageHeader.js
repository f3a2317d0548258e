/** The size of an image from the first bytes of its file, without decoding it. */

const FIRST = 65536;
/** A JPEG may carry a large profile or thumbnail before its size. */
const MOST = 4 * 2 ** 20;
const TIFF_DTYPES = { 1: 'uint', 2: 'int', 3: 'float' };

/**
 * @typedef {Object} ImageHeader
 * @property {string} format
 * @property {number} width
 * @property {number} height
 * @property {number} [bands]
 * @property {string} [dtype]
 * @property {boolean} [hasPages] whether a TIFF has more than one page, or copies of less resolution.
 * @property {boolean} [hasWords] whether a TIFF has a description, or Micro-Manager's: where it lies may be said there.
 */

/**
 * @param {Blob} file
 * @returns {Promise<?ImageHeader>} null where it is none of the formats whose header is known here.
 */
async function readHeader(file) {
    const first = new DataView(await file.slice(0, FIRST).arrayBuffer());
    if (first.byteLength < 16) {
        return null;
    }
    try {
        if (first.getUint32(0) === 0x89504e47) {
            return png(first);
        }
        if (first.getUint16(0) === 0xffd8) {
            return jpeg(first) || jpeg(new DataView(await file.slice(0, MOST).arrayBuffer()));
        }
        if (ascii(first, 0, 4) === 'RIFF' && ascii(first, 8, 4) === 'WEBP') {
            return webp(first);
        }
        if (ascii(first, 1, 5) === 'NUMPY') {
            return npy(first);
        }
        const order = ascii(first, 0, 2);
        if (order === 'II' || order === 'MM') {
            return await tiff(file, first, order === 'II');
        }
    } catch (error) {
        if (!(error instanceof RangeError)) {
            throw error;
        }
        // The header promises bytes that are not there: the server says what is wrong with the file.
    }
    return null;
}

function ascii(view, at, length) {
    return String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, length));
}

function png(view) {
    const bands = { 0: 1, 2: 3, 3: 3, 4: 4, 6: 4 }[view.getUint8(25)];
    const dtype = view.getUint8(24) === 16 ? 'uint16' : 'uint8';
    return { format: 'png', width: view.getUint32(16), height: view.getUint32(20), bands, dtype };
}

function jpeg(view) {
    let at = 2;
    while (at + 9 < view.byteLength) {
        if (view.getUint8(at) !== 0xff) {
            return null;
        }
        const marker = view.getUint8(at + 1);
        // Frames (SOF0 to SOF15) but for the tables DHT, JPG and DAC.
        if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
            return {
                format: 'jpeg', width: view.getUint16(at + 7), height: view.getUint16(at + 5),
                bands: view.getUint8(at + 9), dtype: 'uint8'
            };
        }
        at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
    }
    return null;
}

function webp(view) {
    const kind = ascii(view, 12, 4);
    if (kind === 'VP8X') {
        const read = (at) => 1 + view.getUint8(at) + view.getUint8(at + 1) * 256 + view.getUint8(at + 2) * 65536;
        return { format: 'webp', width: read(24), height: read(27), dtype: 'uint8' };
    }
    if (kind === 'VP8L') {
        const bits = view.getUint32(21, true);
        return { format: 'webp', width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1, dtype: 'uint8' };
    }
    return {
        format: 'webp', width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff, dtype: 'uint8'
    };
}

function npy(view) {
    const isLong = view.getUint8(6) > 1;
    const length = isLong ? view.getUint32(8, true) : view.getUint16(8, true);
    const header = ascii(view, isLong ? 12 : 10, length);
    const shape = /'shape':\s*\(([^)]*)\)/.exec(header);
    const sides = shape ? shape[1].split(',').map((part) => Number(part)).filter(Boolean) : [];
    const dtype = /'descr':\s*'[<>|=]?([a-z])([0-9]+)'/.exec(header);
    if (sides.length < 2) {
        return null;
    }
    const kind = dtype && { u: 'uint', i: 'int', f: 'float', b: 'bool' }[dtype[1]];
    return {
        format: 'npy', height: sides[0], width: sides[1], bands: sides[2] || 1,
        dtype: kind && (kind === 'bool' ? 'bool' : `${kind}${Number(dtype[2]) * 8}`)
    };
}

async function tiff(file, first, little) {
    const isBig = first.getUint16(2, little) === 43;
    const offset = isBig ? Number(first.getBigUint64(8, little)) : first.getUint32(4, little);
    // The directory may lie anywhere; 32 kB hold more entries than an image has.
    const view = offset + 8192 < first.byteLength
        ? new DataView(first.buffer, offset)
        : new DataView(await file.slice(offset, offset + 32768).arrayBuffer());
    const count = isBig ? Number(view.getBigUint64(0, little)) : view.getUint16(0, little);
    const [begin, length] = isBig ? [8, 20] : [2, 12];
    const tags = {};
    for (let entry = 0; entry < count; entry += 1) {
        const at = begin + entry * length;
        const isShort = view.getUint16(at + 2, little) === 3 && view.getUint32(at + 4, little) <= (isBig ? 4 : 2);
        const value = at + (isBig ? 12 : 8);
        tags[view.getUint16(at, little)] = isShort ? view.getUint16(value, little) : view.getUint32(value, little);
    }
    const end = begin + count * length;
    const next = isBig ? Number(view.getBigUint64(end, little)) : view.getUint32(end, little);
    // Of more than two samples the bits stand elsewhere in the file, one number each.
    const bands = tags[277] || 1;
    const isFar = bands > (isBig ? 4 : 2);
    const bits = isFar ? await farNumber(file, tags[258], little) : tags[258] || 1;
    return {
        format: 'tiff', width: tags[256], height: tags[257], bands,
        dtype: bits && bits >= 8 ? `${TIFF_DTYPES[tags[339] || 1] || 'uint'}${bits}` : undefined,
        hasPages: next !== 0 || await isStackOfImageJ(file, tags[270]),
        hasWords: 270 in tags || 51123 in tags
    };
}

/** Whether ImageJ has written several planes behind one directory, as it does beyond 4 GB. */
async function isStackOfImageJ(file, offset) {
    const text = offset ? await file.slice(offset, offset + 256).text() : '';
    const [, images = 1] = /^ImageJ=[^]*?\nimages=([0-9]+)\n/.exec(text) || [];
    return Number(images) > 1;
}

async function farNumber(file, offset, little) {
    const bytes = await file.slice(offset, offset + 2).arrayBuffer();
    return bytes.byteLength === 2 ? new DataView(bytes).getUint16(0, little) : null;
}

export { readHeader };
