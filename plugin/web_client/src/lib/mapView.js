/**
 * Which part of an image a map shows, as an address holds it; nothing here needs a page.
 *
 * @typedef {Object} View
 * @property {number} x of the middle, in pixels of the full resolution, and
 * @property {number} y
 * @property {number} scale pixels of the screen for one of the image: the same whatever levels the image has.
 */

/** The least and the most that an address may ask for; the map has its own, narrower bounds. */
const SMALLEST = 1e-6;
const LARGEST = 1e3;

/**
 * @param {View} view
 * @returns {string} such as `1200.5,800,0.25`.
 */
function viewText({ x, y, scale }) {
    return [x.toFixed(1), y.toFixed(1), scale.toPrecision(4)].map(Number).join(',');
}

/**
 * @param {string} text of an address, whoever made it.
 * @returns {?View}
 */
function viewFrom(text) {
    const parts = String(text || '').split(',');
    const [x, y, scale] = parts.map(Number);
    const isValid = parts.length === 3 && parts.every((part) => part.trim() !== '') &&
        [x, y, scale].every(Number.isFinite) && scale >= SMALLEST && scale <= LARGEST;
    return isValid ? { x, y, scale } : null;
}

/**
 * @param {Object} map GeoJS's, over pixels.
 * @returns {View}
 */
function viewOf(map) {
    const { x, y } = map.center();
    return { x, y, scale: 1 / map.unitsPerPixel(map.zoom()) };
}

/**
 * Show a view, as far as the map goes.
 *
 * @param {Object} map
 * @param {View} view
 */
function showView(map, { x, y, scale }) {
    map.zoom(map.zoom() + Math.log2(scale * map.unitsPerPixel(map.zoom())));
    map.center({ x, y });
}

/** The same view of an image whose first pixel lies elsewhere. */
function shiftedView(view, { x, y }) {
    return { ...view, x: view.x + x, y: view.y + y };
}

export { shiftedView, showView, viewFrom, viewOf, viewText };
