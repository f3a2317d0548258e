/** From chosen files to patches at their places; nothing here needs a page. */
import { arrange, keyOf, withoutCommonFolder } from './layout.js';

const IMAGES = /\.(tiff?|btf|png|jpe?g|webp|jxl|jp2|j2k|bmp|npy|npy\.gz)$/i;
/** What microscopes and stitching programs write positions in; the server says whether it is. */
const TABLES = /\.(csv|tsv|txt|json|xml|ome|pos|companion)$/i;

/**
 * @typedef {Object} Tile a file that is to become a patch, or several.
 * @property {string} key
 * @property {string} path below the folder that all lie in.
 * @property {File|import('./girderFiles.js').GirderFile} file
 * @property {import('./dropped.js').Chosen} chosen
 *
 * @typedef {Object} Patch one place of a tile.
 * @property {string} key that of the tile, or of its page.
 * @property {Tile} tile
 * @property {number} [page]
 * @property {?Object<string, number>} numbers x, y and indices, or null where nothing says where it lies.
 *
 * @typedef {Object} Source where positions come from.
 * @property {'own'|'names'|'table'|'grid'} kind; own: the tags of the files.
 * @property {?string} pattern of names; without one the server guesses it.
 * @property {string} preset a program whose names they are, or empty.
 * @property {?{name: string, text: string, file: ?Object}} table a file of positions; `file` where it is one of the tiles.
 * @property {?string} well
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
    const tiles = images.map((one, at) => {
        const key = keyOf(paths[at]);
        const count = (keys.get(key) || 0) + 1;
        keys.set(key, count);
        return { key: count > 1 ? `${key.slice(0, 190)}~${count}` : key, path: paths[at], file: one.file, chosen: one };
    });
    return {
        tiles,
        tables: chosen.filter(({ path }) => !IMAGES.test(path) && TABLES.test(path)),
        others: chosen.filter(({ path }) => !IMAGES.test(path) && !TABLES.test(path)).map(({ path }) => path)
    };
}

/**
 * The patches that tiles hold, as far as it is known.
 *
 * @param {Tile[]} tiles
 * @param {ServerPlan} [answer] what the server makes of names, of a file of positions, or of a grid.
 * @param {Map<string, ?import('./headers.js').Header>} [headers] by key.
 * @returns {Patch[]} one without numbers for a tile of which nothing is known.
 */
function patchesOf(tiles, answer, headers = new Map()) {
    return tiles.flatMap((tile) => {
        const said = (answer && answer.found.get(tile.path)) || [{ numbers: null }];
        const found = isPlaced(headers.get(tile.key), said) ? said : [{ numbers: null }];
        return found.map(({ page, numbers }) => (page === undefined
            ? { key: tile.key, tile, numbers }
            : { key: `${tile.key}@${page}`, tile, page, numbers }));
    });
}

/** Whether a file can be a patch, as far as it is known. */
const isUsable = (header) => !header || !header.message;

/** Whether a file can be a patch once a file of positions says which of its pages lies where. */
const mayBePlaced = (header) => isUsable(header) || Boolean(header.hasPages || header.describedBy || header.places);

/** Whether places are those of a file, of several pages only where each names its page. */
const isPlaced = (header, places) => isUsable(header) || places.every(({ page }) => page !== undefined);

/**
 * Files that others name as what describes them, and that are not there.
 *
 * @param {Map<string, ?import('./headers.js').Header>} headers by key.
 * @param {string[]} paths of all that was chosen.
 * @returns {{name: string, count: number}[]} the name of each, and how many name it.
 */
function missingCompanions(headers, paths) {
    const there = new Set(paths.map((path) => path.split('/').pop().toLowerCase()));
    const counts = new Map();
    headers.forEach((header) => {
        const name = header && header.describedBy;
        if (name && !there.has(name.split(/[\\/]/).pop().toLowerCase())) {
            counts.set(name, (counts.get(name) || 0) + 1);
        }
    });
    return [...counts].map(([name, count]) => ({ name, count }));
}

/**
 * The file that says where the others lie, where most do not say it of themselves: an OME-TIFF that describes a set.
 *
 * @param {Tile[]} tiles
 * @param {Map<string, ?import('./headers.js').Header>} headers by key.
 * @returns {?Tile}
 */
function describerOf(tiles, headers) {
    const count = ({ key }) => (headers.get(key) || {}).describes || 0;
    const most = tiles.reduce((before, tile) => (before === null || count(tile) > count(before) ? tile : before), null);
    return most && count(most) ? most : null;
}

/** What the server is given as a file of positions; of a tile, its name as it is now. */
function tableFor({ name, text, file }, tiles) {
    const tile = file && tiles.find((one) => one.file === file);
    return { name: tile ? tile.path : name, text };
}

/**
 * Headers as a source of positions sees them: what a file says of its own places needs no other word on its pages.
 *
 * @param {Map<string, ?import('./headers.js').Header>} headers by key.
 * @param {Source} source
 * @returns {Map<string, ?import('./headers.js').Header>}
 */
function headersFor(headers, source) {
    if (source.kind !== 'own') {
        return headers;
    }
    return new Map([...headers].map(([key, header]) => [key, header && header.places ? { ...header, message: undefined } : header]));
}

/** Whether most files say where they lie. */
const sayPlaces = (headers) => {
    const all = [...headers.values()];
    return 2 * all.filter((header) => header && header.places).length > all.length;
};

/** How the stage went over a grid, for the server. */
const PATHS = {
    rows: { path: 'raster', by: 'rows' }, snake: { path: 'snake', by: 'rows' },
    columns: { path: 'raster', by: 'columns' }, 'snake-columns': { path: 'snake', by: 'columns' }
};

/**
 * What the server is asked: `POST stitch_session/plan`.
 *
 * @param {Tile[]} tiles
 * @param {Object} how
 * @param {Source} how.source
 * @param {Map<string, ?import('./imageHeader.js').ImageHeader>} how.headers by key.
 * @param {import('./layout.js').Arrangement} how.arrangement
 * @param {Object} how.spec
 * @returns {Object}
 */
function askedOf(tiles, { source, headers, arrangement, spec }) {
    const common = commonSize([...headers.values()]);
    if (source.kind === 'own') {
        const files = tiles.map(({ key, path }) => {
            const { width, height, places } = headers.get(key) || common;
            return { name: path, width, height, places };
        });
        return { spec, files, well: source.well || undefined };
    }
    const fits = source.kind === 'table' ? mayBePlaced : isUsable;
    const sized = tiles.filter(({ key }) => fits(headers.get(key))).map(({ key, path }) => {
        const { width, height, pages } = headers.get(key) || common;
        return { key, path, width, height, pages };
    });
    const files = sized.map(({ path, width, height, pages }) => ({ name: path, width, height, pages }));
    if (source.kind === 'table') {
        return { spec, files, positions: tableFor(source.table, tiles), well: source.well || undefined };
    }
    const { overlapX, overlapY, columns, path, corner } = arrangement;
    const grid = { tile: { x: common.width, y: common.height }, overlap: { x: overlapX, y: overlapY } };
    const scan = { columns: Math.max(1, columns), corner, ...PATHS[path] };
    if (source.kind === 'grid') {
        const patches = sized.flatMap(({ pages = [{}], ...one }, field) => pages.map(({ page, index }) => ({
            key: page === undefined ? one.key : `${one.key}@${page}`, file: one.path, width: one.width,
            height: one.height, field, page, index
        })));
        return { spec: { ...spec, grid }, patches, scan };
    }
    const said = source.preset ? { preset: source.preset } : { pattern: (source.pattern || '').trim() || undefined };
    return { spec: { ...spec, grid }, files, ...said, scan, well: source.well || undefined };
}

/** The size of a tile whose header says none: that of most others. */
function commonSize(headers) {
    const counts = new Map();
    headers.forEach((header) => {
        if (header && header.width) {
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
 * @param {Patch[]} patches
 * @param {Object} how
 * @param {Map<string, ?import('./imageHeader.js').ImageHeader>} how.headers by key.
 * @param {import('./layout.js').Arrangement} how.arrangement
 * @param {Set<string>} how.removed keys.
 * @param {Map<string, {x: number, y: number}>} how.moved by how much, by key.
 * @returns {import('./layout.js').Place[]}
 */
function placesOf(patches, { headers, arrangement, removed, moved }) {
    const common = commonSize([...headers.values()]);
    const known = patches.filter(({ numbers }) => numbers).map(({ key, tile, numbers }) => {
        const { width, height } = headers.get(tile.key) || common;
        return { key, numbers, width, height };
    });
    return arrange(known, arrangement).filter(({ key }) => !removed.has(key)).map((place) => {
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

/** Kinds of pixels among files, the most frequent first: [['uint8, 3 bands', 58], ...]. */
function kindsOf(headers) {
    const counts = new Map();
    headers.filter((header) => header && header.dtype && header.bands).forEach(({ dtype, bands }) => {
        const name = `${dtype}, ${bands === 1 ? '1 band' : `${bands} bands`}`;
        counts.set(name, (counts.get(name) || 0) + 1);
    });
    return [...counts].sort(([, one], [, other]) => other - one);
}

/**
 * @typedef {Object} ServerPlan
 * @property {Map<string, {page: (number|undefined), numbers: Object<string, number>}[]>} found x, y and indices in pixels of
 *     the patches of each tile, by its path.
 * @property {string} program that has written the positions.
 * @property {?string} pattern that names were read by.
 * @property {?string} example the first name, and what was read in it.
 * @property {'position'|'grid'|'path'} placedBy what says where patches lie.
 * @property {string[]} wells
 * @property {string[]} notes sentences for people: notes, warnings and refusals.
 * @property {Object} spec what the session should be created with.
 */

/**
 * @param {Object} answer of `POST stitch_session/plan`.
 * @returns {ServerPlan}
 */
function readPlan({
    placements, program, wells, notes, warnings, refusals, refusalCount, spec, pattern, guess, placedBy
}) {
    const found = new Map();
    const several = new Set();
    placements.forEach(({ file, page, x, y, index }) => {
        const before = found.get(file);
        if (before && page === undefined) {
            several.add(file);
        }
        if (before) {
            before.push({ page, numbers: { ...index, x, y } });
        } else {
            found.set(file, [{ page, numbers: { ...index, x, y } }]);
        }
    });
    const refused = refusals.map(({ file, message }) => `${file}: ${message}`);
    if (refusalCount > refused.length) {
        refused.push(`${refusalCount - refused.length} more are refused.`);
    }
    if (several.size) {
        refused.push(`${[...several][0]} has several places, and nothing says which of its pages lies where.`);
    }
    several.forEach((file) => found.delete(file));
    const [, example = null] = guess;
    return {
        found, program, wells, notes: [...notes, ...warnings, ...refused], spec, pattern, placedBy,
        example: example && example.trim()
    };
}

export {
    askedOf, describerOf, fieldsOf, headersFor, isUsable, kindsOf, mayBePlaced, missingCompanions, patchesOf, placesOf, readPlan, sayPlaces,
    sorted
};
