/** What a file is by its first bytes, without sending them anywhere; nothing here needs a page. */

/** How many bytes are looked at. */
const LENGTH = 16;

const ascii = (text) => [...text].map((one) => one.charCodeAt(0));

/** @type {[string, number[], string[], number?][]} name, bytes, extensions that fit, and where the bytes stand. */
const KINDS = [
    ['a TIFF', [0x49, 0x49, 42, 0], ['tif', 'tiff', 'svs', 'ptif', 'ndpi', 'scn', 'qptiff', 'btf', 'lsm', 'stk', 'nd2', 'bif']],
    ['a TIFF', [0x4d, 0x4d, 0, 42], ['tif', 'tiff', 'svs', 'ptif', 'scn', 'qptiff', 'btf', 'bif']],
    ['a BigTIFF', [0x49, 0x49, 43, 0], ['tif', 'tiff', 'svs', 'ptif', 'btf', 'tf8', 'tf2', 'qptiff', 'scn', 'bif']],
    ['a BigTIFF', [0x4d, 0x4d, 0, 43], ['tif', 'tiff', 'svs', 'ptif', 'btf', 'tf8', 'tf2', 'qptiff', 'scn', 'bif']],
    ['a PNG', [0x89, ...ascii('PNG')], ['png']],
    ['a JPEG', [0xff, 0xd8, 0xff], ['jpg', 'jpeg', 'jpe', 'jfif']],
    ['a WebP', ascii('WEBP'), ['webp'], 8],
    ['a GIF', ascii('GIF8'), ['gif']],
    ['a BMP', ascii('BM'), ['bmp', 'dib']],
    ['a zip', ascii('PK'), ['zip', 'ozx', 'docx', 'jar']],
    ['an SQLite database', ascii('SQLite format 3'), ['db', 'sqlite', 'sqlite3', 'gpkg', 'mbtiles']],
    ['an HDF5 file', [0x89, ...ascii('HDF')], ['h5', 'hdf5', 'ims', 'nc', 'he5']],
    ['a JPEG 2000', [0, 0, 0, 12, ...ascii('jP')], ['jp2', 'jpx', 'j2k']],
    ['a NumPy array', [0x93, ...ascii('NUMPY')], ['npy']]
];

/**
 * @param {Uint8Array} bytes the first of a file.
 * @returns {?{name: string, extensions: string[]}} null where they are not known.
 */
function kindOf(bytes) {
    const found = KINDS.find(([, wanted, , at = 0]) => wanted.every((byte, step) => bytes[at + step] === byte));
    return found ? { name: found[0], extensions: found[2] } : null;
}

/**
 * A sentence about a file whose first bytes are known, for its name.
 *
 * @param {Uint8Array} bytes
 * @param {string} extension without its dot.
 * @returns {?string}
 */
function sentenceOfBytes(bytes, extension) {
    const kind = kindOf(bytes);
    if (!kind) {
        return null;
    }
    return kind.extensions.includes(extension)
        ? `By its first bytes it is ${kind.name}, as its name says.`
        : `By its first bytes it is ${kind.name}, which its name does not say: only sources that are asked for this name look at it.`;
}

export { LENGTH, kindOf, sentenceOfBytes };
