/**
 * A plate as a grid of wells; nothing here needs a page.
 *
 * @typedef {Object} Well as `GET zarr/item/:id/images` lists it.
 * @property {number} row
 * @property {number} column
 * @property {string} path
 * @property {number} first the number of its first field among all of the plate.
 * @property {number} fields how many it has; 0: the plate lists it, and it is not there.
 * @property {(string|number|null)[]} [acquisitions] of its fields.
 *
 * @typedef {Object} Plate
 * @property {string[]} rows
 * @property {string[]} columns
 * @property {Well[]} wells
 * @property {{id: (string|number), name: string, description: string}[]} acquisitions
 */

/** Pixels of a place of the grid, by how many columns there are at most. */
const SIDES = [[12, 56], [24, 40], [48, 28]];
const LEAST_SIDE = 24;
/** Sides of pictures that are asked for, so that a few sizes serve all pages. */
const PICTURES = [32, 64, 128, 256];

/** The wells by row and column, null where the plate lists none. */
function gridOf({ rows, columns, wells }) {
    const grid = rows.map(() => columns.map(() => null));
    wells.forEach((well) => {
        grid[well.row][well.column] = grid[well.row][well.column] || well;
    });
    return grid;
}

/** What people call a place: row and column. */
function placeName({ rows, columns }, row, column) {
    return `${rows[row]}${columns[column]}`;
}

/** @returns {?{well: Well, field: number}} the well and its field, by the field's number among all; null: none. */
function fieldAt({ wells }, number) {
    const well = wells.find(({ first, fields }) => number >= first && number < first + fields);
    return well ? { well, field: number - well.first } : null;
}

/**
 * The field that an address names, else the first there is.
 *
 * @param {Object<string, string>} query `well` is a path, `field` counts in it; `at` is how it was before there were wells.
 * @param {Plate} plate
 * @returns {?number} its number among all; null where the plate has none.
 */
function numberFrom({ well: path, field = '', at = '' }, plate) {
    const number = /(?:^|;)xy,(\d+)(?:;|$)/.exec(at);
    if (path === undefined && field === '' && number && fieldAt(plate, Number(number[1]))) {
        return Number(number[1]);
    }
    const well = plate.wells.find((one) => one.fields && one.path === (path || one.path));
    const within = /^\d+$/.test(field) && well && Number(field) < well.fields ? Number(field) : 0;
    if (well) {
        return well.first + within;
    }
    const first = plate.wells.find((one) => one.fields);
    return first ? first.first : null;
}

/** What names a field in an address. */
function keysOf({ well, field }) {
    return { well: well.path || null, field: field || null };
}

/**
 * The numbers of a well's fields.
 *
 * @param {Well} well
 * @param {?string} acquisition only of this one; null: all.
 */
function fieldsOf({ first, fields, acquisitions }, acquisition) {
    return Array.from({ length: fields }, (_, at) => first + at)
        .filter((number) => acquisition === null || String((acquisitions || [])[number - first]) === acquisition);
}

/** The acquisitions that fields belong to, [id, name]; none where there is no choice. */
function acquisitionsOf({ acquisitions, wells }) {
    const names = new Map(acquisitions.map(({ id, name }) => [String(id), name || `Acquisition ${id}`]));
    wells.forEach((well) => (well.acquisitions || []).forEach((id) => {
        if (id !== null && !names.has(String(id))) {
            names.set(String(id), `Acquisition ${id}`);
        }
    }));
    return names.size > 1 ? [...names] : [];
}

/**
 * Where a key leads from a place of a grid.
 *
 * @param {{row: number, column: number}} from
 * @param {{key: string, ctrlKey: boolean}} pressed
 * @param {number} rows
 * @param {number} columns
 * @returns {?{row: number, column: number}} null: the key moves nothing.
 */
function moved({ row, column }, { key, ctrlKey }, rows, columns) {
    const within = (value, count) => Math.min(Math.max(value, 0), count - 1);
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], PageUp: [-8, 0], PageDown: [8, 0] };
    if (steps[key]) {
        return { row: within(row + steps[key][0], rows), column: within(column + steps[key][1], columns) };
    }
    if (key === 'Home') {
        return { row: ctrlKey ? 0 : row, column: 0 };
    }
    return key === 'End' ? { row: ctrlKey ? rows - 1 : row, column: columns - 1 } : null;
}

/** Pixels along a side of a place of the grid. */
function sideOf(columns) {
    const found = SIDES.find(([most]) => columns <= most);
    return found ? found[1] : LEAST_SIDE;
}

/** The side of the picture that is asked for, to fill so many pixels of the page. */
function pictureSide(side, pixelRatio) {
    return PICTURES.find((one) => one >= side * pixelRatio) || PICTURES[PICTURES.length - 1];
}

export { acquisitionsOf, fieldAt, fieldsOf, gridOf, keysOf, moved, numberFrom, pictureSide, placeName, sideOf };
