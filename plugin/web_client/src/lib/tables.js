/** Places of patches in a file: a table with a header line, a JSON manifest, or Fiji's TileConfiguration. */

const MICROMETERS = {
    nm: 1e-3, nanometer: 1e-3, um: 1, '\u00b5m': 1, '\u03bcm': 1, micrometer: 1, micron: 1, microns: 1,
    mm: 1e3, millimeter: 1e3, m: 1e6, meter: 1e6
};
const FILES = ['file', 'filename', 'file name', 'name', 'image', 'path'];
const COLUMNS = {
    x: 'x', posx: 'x', xpos: 'x', 'position x': 'x', 'x position': 'x', y: 'y', posy: 'y', ypos: 'y', 'position y': 'y',
    'y position': 'y', row: 'row', col: 'col', column: 'col', z: 'z', c: 'c', channel: 'c', t: 't', time: 't',
    order: 'order'
};

/**
 * @typedef {Object} Position what a line says of a file; x and y in `unit`.
 * @property {string} file as it is written.
 * @property {number} [x]
 * @property {number} [y]
 * @property {number} [row]
 * @property {number} [col]
 * @property {number} [z]
 * @property {number} [c]
 * @property {number} [t]
 */

/**
 * @param {string} text
 * @returns {{positions: Position[], unit: string}} the unit is `pixel` or `micrometer`.
 * @throws {Error} with a sentence: it is none of the three forms, or a line is wrong.
 */
function readTable(text) {
    const plain = text.replace(/^\ufeff/, '');
    if (/^\s*[[{]/.test(plain)) {
        return readJson(plain);
    }
    if (/^\s*dim\s*=/m.test(plain) || /;\s*;\s*\(/.test(plain)) {
        return readFiji(plain);
    }
    return readLines(plain);
}

function readJson(text) {
    let found;
    try {
        found = JSON.parse(text);
    } catch (error) {
        throw new Error(`It looks like JSON and is not: ${error.message}`, { cause: error });
    }
    const entries = Array.isArray(found) ? found : found.patches;
    if (!Array.isArray(entries) || !entries.length) {
        throw new Error('Expected a list of objects, or an object with such a list as patches.');
    }
    const positions = entries.map((entry, at) => {
        const file = entry.file || entry.key;
        if (typeof file !== 'string') {
            throw new Error(`Entry ${at + 1}: expected the name of a file, found none.`);
        }
        const values = {};
        Object.entries(entry).forEach(([name, value]) => {
            const column = COLUMNS[name.toLowerCase()];
            if (column && value !== null) {
                values[column] = number(value, `Entry ${at + 1}`, name);
            }
        });
        return placed({ file, ...values }, `Entry ${at + 1}`);
    });
    return { positions, unit: 'pixel' };
}

function readFiji(text) {
    const positions = [];
    text.split(/\r?\n/).forEach((line, at) => {
        const plain = line.trim();
        if (!plain || plain.startsWith('#') || /^(dim|multiseries)\s*=/.test(plain)) {
            return;
        }
        const match = /^(.+?)\s*;\s*([^;]*);\s*\(([^)]*)\)\s*$/.exec(plain);
        const values = match ? match[3].split(',').map((part) => Number(part)) : [];
        if (!match || values.length < 2 || !values.every(Number.isFinite)) {
            throw new Error(`Line ${at + 1}: expected file; ; (x, y), found ${plain.slice(0, 80)}.`);
        }
        positions.push({ file: match[1], x: values[0], y: values[1] });
    });
    if (!positions.length) {
        throw new Error('Expected lines such as file; ; (x, y), found none.');
    }
    return { positions, unit: 'pixel' };
}

function readLines(text) {
    const lines = text.split(/\r?\n/).map((line, at) => ({ line, at: at + 1 })).filter(({ line }) => line.trim());
    if (!lines.length) {
        throw new Error('Expected a table with a header line, found an empty file.');
    }
    const header = lines[0].line;
    const separator = ['\t', ';', ','].find((sign) => header.includes(sign)) || ',';
    const names = cells(header, separator).map((name) => name.trim().toLowerCase());
    const units = new Set();
    const columns = names.map((name) => {
        if (FILES.includes(name)) {
            return 'file';
        }
        const match = /^(.*?)[\s_]*[([]?\s*(nm|um|\u00b5m|\u03bcm|mm|m|px|pixels?|microns?|micrometer)\s*[)\]]?$/.exec(name);
        const column = COLUMNS[match && COLUMNS[match[1]] ? match[1] : name];
        if (column && match && COLUMNS[match[1]] && (column === 'x' || column === 'y')) {
            units.add(match[2]);
        }
        return column || null;
    });
    const hasPlace = columns.includes('x') ? columns.includes('y') : columns.includes('row') && columns.includes('col');
    if (!columns.includes('file') || !hasPlace) {
        throw new Error('Expected a header line with file, x and y, or with file, row and column; ' +
            `found ${names.join(', ').slice(0, 200)}.`);
    }
    if (units.size > 1) {
        throw new Error(`Expected one unit for x and y, found ${[...units].join(' and ')}.`);
    }
    const factor = MICROMETERS[[...units][0]];
    const positions = lines.slice(1).map(({ line, at }) => {
        const values = {};
        cells(line, separator).forEach((cell, index) => {
            const column = columns[index];
            if (column === 'file') {
                values.file = cell.trim();
            } else if (column && cell.trim()) {
                const found = number(cell, `Line ${at}`, names[index], separator !== ',');
                values[column] = factor && (column === 'x' || column === 'y') ? found * factor : found;
            }
        });
        if (!values.file) {
            throw new Error(`Line ${at}: expected the name of a file, found nothing.`);
        }
        return placed(values, `Line ${at}`);
    });
    return { positions, unit: factor ? 'micrometer' : 'pixel' };
}

function placed(position, where) {
    const isPlaced = (position.x !== undefined && position.y !== undefined) ||
        (position.row !== undefined && position.col !== undefined);
    if (!isPlaced) {
        throw new Error(`${where}: expected x and y, or row and column; found neither.`);
    }
    return position;
}

function number(value, where, name, comma = false) {
    const text = String(value).trim();
    const found = Number(comma && !text.includes('.') ? text.replace(',', '.') : text);
    if (text === '' || !Number.isFinite(found)) {
        throw new Error(`${where}: ${name}: expected a number, found ${text.slice(0, 80) || 'nothing'}.`);
    }
    return found;
}

/** The cells of a line; quotes protect a separator, two of them are one. */
function cells(line, separator) {
    const found = [];
    let cell = '';
    let isQuoted = false;
    for (let at = 0; at < line.length; at += 1) {
        const sign = line[at];
        if (sign === '"' && isQuoted && line[at + 1] === '"') {
            cell += '"';
            at += 1;
        } else if (sign === '"') {
            isQuoted = !isQuoted;
        } else if (sign === separator && !isQuoted) {
            found.push(cell);
            cell = '';
        } else {
            cell += sign;
        }
    }
    return [...found, cell];
}

/**
 * Which chosen file each position means: by its whole path, else by its name where that is one file's only.
 *
 * @param {Position[]} positions
 * @param {string[]} paths
 * @returns {{at: Map<number, Position>, missing: string[]}} positions by the index of their file; names without one.
 */
function matchFiles(positions, paths) {
    const byPath = new Map();
    const byName = new Map();
    paths.forEach((path, index) => {
        byPath.set(path.toLowerCase(), index);
        const name = path.split('/').pop().toLowerCase();
        byName.set(name, byName.has(name) ? null : index);
    });
    const at = new Map();
    const missing = [];
    positions.forEach((position) => {
        const plain = position.file.replace(/\\/g, '/').replace(/^\.\//, '').toLowerCase();
        const index = byPath.get(plain) ?? byName.get(plain.split('/').pop());
        if (index === undefined || index === null) {
            missing.push(position.file);
        } else {
            at.set(index, position);
        }
    });
    return { at, missing };
}

export { matchFiles, readTable };
