/** Where patches lie beside each other; nothing here needs a page. */

/**
 * @typedef {Object} Place
 * @property {string} key
 * @property {number} x of the first pixel, whole.
 * @property {number} y
 * @property {number} width
 * @property {number} height
 * @property {Object<string, number>} index along t, c, z and other axes.
 *
 * @typedef {Object} Arrangement how numbers become places.
 * @property {number} overlapX pixels that neighbours in a grid share.
 * @property {number} overlapY
 * @property {boolean} flipX
 * @property {boolean} flipY
 * @property {boolean} swap x and y.
 * @property {boolean} fromZero whether the smallest x and y become 0.
 * @property {number} columns of a grid that is counted along a path.
 * @property {'rows'|'snake'|'columns'|'snake-columns'} path
 * @property {'top-left'|'top-right'|'bottom-left'|'bottom-right'} corner where the path begins.
 */

const ARRANGEMENT = {
    overlapX: 0, overlapY: 0, flipX: false, flipY: false, swap: false, fromZero: true, columns: 1, path: 'rows',
    corner: 'top-left'
};

/**
 * The places of patches from what the server makes of names and positions.
 *
 * @param {{key: string, numbers: Object<string, number>, width: number, height: number}[]} patches `numbers` are x, y
 *     and indices along other axes.
 * @param {Arrangement} arrangement
 * @returns {Place[]}
 */
function arrange(patches, arrangement) {
    if (!patches.length) {
        return [];
    }
    const { flipX, flipY, swap, fromZero } = { ...ARRANGEMENT, ...arrangement };
    const places = patches.map(({ key, numbers, width, height }) => {
        const { x, y, ...index } = numbers;
        const [across, down] = swap ? [y, x] : [x, y];
        return { key, x: flipX ? -across : across, y: flipY ? -down : down, width, height, index };
    });
    const origin = fromZero || flipX || flipY ? smallestPlace(places) : { x: 0, y: 0 };
    return places.map((place) => ({
        ...place, x: Math.floor(place.x - origin.x + 0.5), y: Math.floor(place.y - origin.y + 0.5)
    }));
}

const largest = (patches, name) => patches.reduce((most, patch) => Math.max(most, patch[name]), 0);

function smallestPlace(places) {
    return places.reduce((found, { x, y }) => ({ x: Math.min(found.x, x), y: Math.min(found.y, y) }),
        { x: Infinity, y: Infinity });
}

/** The box around patches: {x, y, width, height}, or null without patches. */
function boxOf(places) {
    if (!places.length) {
        return null;
    }
    const { x, y } = smallestPlace(places);
    const right = places.reduce((most, place) => Math.max(most, place.x + place.width), -Infinity);
    const bottom = places.reduce((most, place) => Math.max(most, place.y + place.height), -Infinity);
    return { x, y, width: right - x, height: bottom - y };
}

/** Patches by the place along the other axes: patches of different planes do not meet. */
function planesOf(places) {
    const planes = new Map();
    places.forEach((place) => {
        const name = planeName(place.index);
        if (!planes.has(name)) {
            planes.set(name, []);
        }
        planes.get(name).push(place);
    });
    return planes;
}

/** An index as a text, the same for the same index. */
function planeName(index) {
    return Object.keys(index).sort().map((axis) => `${axis} ${index[axis]}`).join(', ');
}

/** Pairs of patches of one plane that share pixels or touch, by a grid of cells as large as the largest patch. */
function pairsOf(places) {
    const side = Math.max(1, largest(places, 'width'), largest(places, 'height'));
    const cells = new Map();
    const pairs = [];
    places.forEach((place, at) => {
        const seen = new Set();
        const cellsOf = (from, length) => [Math.floor(from / side), Math.floor((from + length) / side)];
        const [left, right] = cellsOf(place.x, place.width);
        const [top, bottom] = cellsOf(place.y, place.height);
        for (let row = top; row <= bottom; row += 1) {
            for (let col = left; col <= right; col += 1) {
                const name = `${col},${row}`;
                const met = cells.get(name) || [];
                met.forEach((other) => {
                    if (!seen.has(other)) {
                        seen.add(other);
                        const shared = sharedBy(places[other], place);
                        if (shared) {
                            pairs.push({ one: other, other: at, ...shared });
                        }
                    }
                });
                met.push(at);
                cells.set(name, met);
            }
        }
    });
    return pairs;
}

/** How much two patches share along x and y: 0 where they only touch, null where they lie apart. */
function sharedBy(one, other) {
    const width = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
    const height = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
    return width >= 0 && height >= 0 && (width > 0 || height > 0) ? { width, height } : null;
}

/** The side of the raster that gaps are counted in. */
const RASTER = 512;

/** The share of a box that patches leave empty, counted in cells of a raster. */
function emptyShare(places, box) {
    const step = Math.max(1, box.width / RASTER, box.height / RASTER);
    const columns = Math.max(1, Math.ceil(box.width / step));
    const rows = Math.max(1, Math.ceil(box.height / step));
    const filled = new Uint8Array(columns * rows);
    places.forEach((place) => {
        // A cell counts as filled if its middle is.
        const [left, right] = inside(place.x - box.x, place.width, step, columns);
        const [top, bottom] = inside(place.y - box.y, place.height, step, rows);
        for (let row = top; row < bottom; row += 1) {
            filled.fill(1, row * columns + left, row * columns + right);
        }
    });
    const count = filled.reduce((sum, value) => sum + value, 0);
    return 1 - count / filled.length;
}

function inside(from, length, step, most) {
    const first = Math.max(0, Math.ceil(from / step - 0.5));
    return [first, Math.min(most, Math.max(first, Math.ceil((from + length) / step - 0.5)))];
}

/**
 * What somebody should know of patches before they are sent.
 *
 * @param {Place[]} places
 * @returns {{box: ?Object, planes: number, overlapping: number, overlap: ?{width: number, height: number},
 *     empty: number, duplicates: string[], strays: string[]}} `overlap` is the middle one of neighbours side by side and
 *     one above the other, `empty` the largest share of a plane without a patch; duplicates lie where another does,
 *     strays touch none.
 */
function check(places) {
    const box = boxOf(places);
    const planes = planesOf(places);
    const duplicates = [];
    const strays = [];
    const overlaps = [];
    let empty = 0;
    planes.forEach((plane) => {
        const met = new Set();
        const same = new Map();
        plane.forEach((place) => {
            const at = `${place.x},${place.y}`;
            if (same.has(at)) {
                duplicates.push(place.key);
            }
            same.set(at, place.key);
        });
        pairsOf(plane).forEach(({ one, other, width, height }) => {
            met.add(one);
            met.add(other);
            if (width > 0 && height > 0) {
                overlaps.push({ width, height });
            }
        });
        if (plane.length > 1) {
            plane.forEach(({ key }, at) => {
                if (!met.has(at)) {
                    strays.push(key);
                }
            });
        }
        empty = Math.max(empty, emptyShare(plane, box));
    });
    return {
        box, planes: planes.size, overlapping: overlaps.length, overlap: sideBySide(overlaps, places), empty, duplicates,
        strays
    };
}

/** By how much neighbours overlap: the middle width of those side by side, the middle height of those above each other. */
function sideBySide(overlaps, places) {
    if (!overlaps.length) {
        return null;
    }
    const [{ width, height }] = places;
    const middle = (values) => values.sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
    return {
        width: middle(overlaps.filter((pair) => pair.height > height / 2 && pair.width < width).map((pair) => pair.width)),
        height: middle(overlaps.filter((pair) => pair.width > width / 2 && pair.height < height).map((pair) => pair.height))
    };
}

/** What a key may not hold becomes an underscore, as the command line does it. */
function keyOf(path) {
    return path.replace(/[^A-Za-z0-9._~,@=+-]+/g, '_').slice(-200);
}

/** Paths without the folder that all of them lie in. */
function withoutCommonFolder(paths) {
    const parts = paths.map((path) => path.split('/'));
    let depth = 0;
    while (parts.length && parts.every((part) => part.length > depth + 1 && part[depth] === parts[0][depth])) {
        depth += 1;
    }
    return parts.map((part) => part.slice(depth).join('/'));
}

export { ARRANGEMENT, arrange, boxOf, check, keyOf, planeName, planesOf, withoutCommonFolder };
