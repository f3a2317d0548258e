/** From chosen files to patches at their places; nothing here needs a page. */
import { arrange, keyOf, withoutCommonFolder } from './layout.js';
import { readNames } from './names.js';
import { matchFiles } from './tables.js';

const IMAGES = /\.(tiff?|btf|png|jpe?g|webp|jxl|npy|npy\.gz)$/i;
const TABLES = /\.(csv|tsv|txt|json)$/i;
const PER_MICROMETER = { nanometer: 1000, micrometer: 1, millimeter: 1e-3, meter: 1e-6 };

/**
 * @typedef {Object} Tile a file that is to become a patch.
 * @property {string} key
 * @property {string} path below the folder that all lie in.
 * @property {File} file
 */

/**
 * Sort what was chosen.
 *
 * @param {import('./dropped.js').Chosen[]} chosen
 * @returns {{tiles: Tile[], tables: import('./dropped.js').Chosen[], others: string[]}}
 */
function sorted(chosen) {
    const images = chosen.filter(({ path }) => IMAGES.test(path));
    const paths = withoutCommonFolder(images.map(({ path }) => path));
    const keys = new Map();
    const tiles = images.map(({ file }, at) => {
        const key = keyOf(paths[at]);
        const count = (keys.get(key) || 0) + 1;
        keys.set(key, count);
        return { key: count > 1 ? `${key.slice(0, 190)}~${count}` : key, path: paths[at], file };
    });
    return {
        tiles,
        tables: chosen.filter(({ path }) => !IMAGES.test(path) && TABLES.test(path)),
        others: chosen.filter(({ path }) => !IMAGES.test(path) && !TABLES.test(path)).map(({ path }) => path)
    };
}

/**
 * What is known of where each tile lies.
 *
 * @param {Tile[]} tiles
 * @param {Object} source
 * @param {'names'|'table'|'grid'} source.kind
 * @param {string} source.pattern
 * @param {?{positions: Object[], unit: string}} source.table
 * @returns {{numbers: (?Object<string, number>)[], missing: string[], unit: string, error: ?string}}
 */
function numbersOf(tiles, { kind, pattern, table }) {
    const paths = tiles.map(({ path }) => path);
    const none = { numbers: tiles.map(() => null), missing: [], unit: 'pixel', error: null };
    if (kind === 'grid') {
        return { ...none, numbers: tiles.map((_tile, n) => ({ n })) };
    }
    if (kind === 'table') {
        if (!table) {
            return none;
        }
        const { at, missing } = matchFiles(table.positions, paths);
        const numbers = tiles.map((_tile, index) => {
            const { file, ...values } = at.get(index) || {};
            return file === undefined ? null : values;
        });
        return { numbers, missing, unit: table.unit, error: null };
    }
    if (!pattern.trim()) {
        return none;
    }
    try {
        return { ...none, numbers: readNames(paths, pattern.trim()) };
    } catch (error) {
        return { ...none, error: error.message };
    }
}

/** The size of a tile whose header says none: that of most others. */
function commonSize(headers) {
    const counts = new Map();
    headers.forEach((header) => {
        if (header) {
            const name = `${header.width},${header.height}`;
            counts.set(name, (counts.get(name) || 0) + 1);
        }
    });
    const [[name] = ['512,512']] = [...counts].sort(([, one], [, other]) => other - one);
    const [width, height] = name.split(',').map(Number);
    return { width, height };
}

/**
 * The patches that would be sent.
 *
 * @param {Tile[]} tiles
 * @param {Object} how
 * @param {(?Object<string, number>)[]} how.numbers of each tile.
 * @param {Map<string, ?import('./imageHeader.js').ImageHeader>} how.headers by key.
 * @param {import('./layout.js').Arrangement} how.arrangement
 * @param {{x: number, y: number}} how.pixelSize what numbers are divided by.
 * @param {Set<string>} how.removed keys.
 * @param {Map<string, {x: number, y: number}>} how.moved by how much, by key.
 * @returns {import('./layout.js').Place[]}
 */
function placesOf(tiles, { numbers, headers, arrangement, pixelSize, removed, moved }) {
    const common = commonSize([...headers.values()]);
    const known = tiles.map((tile, at) => ({ ...tile, numbers: numbers[at], ...(headers.get(tile.key) || common) }))
        .filter((tile) => tile.numbers);
    return arrange(known, arrangement, pixelSize).filter(({ key }) => !removed.has(key)).map((place) => {
        const by = moved.get(place.key);
        return by ? { ...place, x: place.x + by.x, y: place.y + by.y } : place;
    });
}

/** What the server is told of a place. */
function fieldsOf({ x, y, index }) {
    const fields = { x, y };
    const others = {};
    Object.entries(index).forEach(([axis, value]) => {
        (['t', 'c', 'z'].includes(axis) ? fields : others)[axis] = value;
    });
    return Object.keys(others).length ? { ...fields, index: others } : fields;
}

/** Micrometers as pixels: what positions are divided by, or null while the size of a pixel is not known. */
function micrometersPerPixel({ pixelX, pixelY, unit }) {
    const [x, y] = [Number(pixelX), Number(pixelY || pixelX)];
    const factor = PER_MICROMETER[unit];
    return x > 0 && y > 0 && factor ? { x: x / factor, y: y / factor } : null;
}

/** Kinds of pixels among files, the most frequent first: [['uint8, 3 bands', 58], ...]. */
function kindsOf(headers) {
    const counts = new Map();
    headers.filter((header) => header && header.dtype && header.bands).forEach(({ dtype, bands }) => {
        const name = `${dtype}, ${bands === 1 ? '1 band' : `${bands} bands`}`;
        counts.set(name, (counts.get(name) || 0) + 1);
    });
    return [...counts].sort(([, one], [, other]) => other - one);
}

export { fieldsOf, kindsOf, micrometersPerPixel, numbersOf, placesOf, sorted };
