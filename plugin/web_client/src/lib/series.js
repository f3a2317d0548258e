/**
 * The images of a file of several; nothing here needs a page.
 *
 * @typedef {Object} Series as `GET zarr/item/:id/images` lists it.
 * @property {number} series its number in the file.
 * @property {string} title
 * @property {string[]} axes
 * @property {number[]} shape
 * @property {string} dtype
 * @property {boolean} isShown whether it is among those that are shown together.
 */

/** Width, height and what else is longer than 1: `640 × 480, c 3, z 20, uint16`. */
function sizeText({ axes, shape, dtype }) {
    const length = (name) => shape[axes.indexOf(name)];
    const others = axes.map((name, at) => (name === 'x' || name === 'y' || shape[at] === 1 ? null : `${name} ${shape[at]}`));
    return [`${length('x')} × ${length('y')}`, ...others.filter(Boolean), dtype].join(', ');
}

/** What is shown where none is chosen. */
function togetherText(shown, count) {
    return shown === count ? 'All of them' : `${shown} of the same kind`;
}

export { sizeText, togetherText };
