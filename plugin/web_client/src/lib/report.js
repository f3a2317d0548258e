/** What registration has done, from the report of a session; nothing here needs a page. */

/**
 * @typedef {Object} Moved patches of one position, which move together.
 * @property {string} key of the first of them.
 * @property {number} x where it was said to lie.
 * @property {number} y
 * @property {number} dx by how much it was found to lie beside, in pixels.
 * @property {number} dy
 * @property {number} length
 * @property {boolean} isKnown whether registration says anything of it.
 */

const lengthOf = ({ x, y }) => Math.hypot(x, y);
const byLength = (one, other) => other.length - one.length;
/** Factors that arrows are drawn longer by. */
const FACTORS = [1, 2, 5];

/**
 * @param {Object} report as `GET stitch_session/:id/report` has it.
 * @returns {Moved[]} in the order of the report.
 */
function movedPatches({ patches }) {
    const found = new Map();
    patches.forEach(({ key, position, measured, correction }) => {
        const move = measured || correction;
        const at = `${position.x},${position.y}`;
        const known = found.get(at);
        if (!known || (move && !known.isKnown)) {
            const { x, y } = move || { x: 0, y: 0 };
            found.set(at, {
                key, x: position.x, y: position.y, dx: x, dy: y, length: lengthOf({ x, y }), isKnown: Boolean(move)
            });
        }
    });
    return [...found.values()];
}

/**
 * The pairs that were compared, with the places of both.
 *
 * @param {Object} report
 * @returns {{keys: string[], shift: Object, correlation: number, isUsed: boolean, length: number, ends: ?Object[]}[]}
 *     `length` of what is left of the shift, or of the shift where the pair was refused.
 */
function comparedPairs({ patches, pairs = [] }) {
    const places = new Map(patches.map(({ key, position }) => [key, position]));
    return pairs.map(({ keys, shift, correlation, residual }) => ({
        keys, shift, correlation, isUsed: residual !== null, length: lengthOf(residual || shift),
        ends: keys.every((key) => places.has(key)) ? keys.map((key) => places.get(key)) : null
    }));
}

/** The largest few, largest first. */
function worst(measured, count) {
    return [...measured].sort(byLength).slice(0, count);
}

/**
 * How many values lie in equal parts of 0 to the largest.
 *
 * @param {number[]} values not negative.
 * @param {number} bins
 * @returns {{counts: number[], most: number}} `most` is where the last part ends.
 */
function histogramOf(values, bins) {
    const most = values.reduce((largest, value) => Math.max(largest, value), 0);
    const counts = new Array(bins).fill(0);
    values.forEach((value) => {
        counts[most ? Math.min(bins - 1, Math.floor(bins * value / most)) : 0] += 1;
    });
    return { counts, most };
}

/**
 * By how much arrows are drawn longer than they are, so that the longest is about as long as half of a patch's step.
 *
 * @param {Moved[]} moved
 * @param {number} step in pixels.
 */
function arrowFactor(moved, step) {
    const longest = moved.reduce((most, { length }) => Math.max(most, length), 0);
    const wanted = longest ? step / 2 / longest : 1;
    if (wanted <= 1) {
        return 1;
    }
    const power = 10 ** Math.floor(Math.log10(wanted));
    return power * FACTORS.filter((factor) => factor * power <= wanted).pop();
}

/** The usual distance of neighbours: the side of the square that each position has for itself. */
function stepOf(moved, { width, height }) {
    return Math.sqrt(Math.max(1, width) * Math.max(1, height) / Math.max(1, moved.length));
}

/** A length in pixels, in words. */
function pixelsText(length) {
    const shown = length >= 10 ? length.toFixed(1) : Number(length.toFixed(2));
    return `${shown} px`;
}

/** A shift as `x 1.5, y -2`. */
function shiftText({ x, y }) {
    return `x ${Number(x.toFixed(2))}, y ${Number(y.toFixed(2))}`;
}

export { arrowFactor, comparedPairs, histogramOf, movedPatches, pixelsText, shiftText, stepOf, worst };
