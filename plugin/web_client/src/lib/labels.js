/**
 * Labels that lie over an image; nothing here needs a page.
 *
 * @typedef {Object<string, number>} Shown the opacity of each label that is shown, by name: 0 to 100.
 */

/** How strong a label is at first. */
const OPACITY = 50;
/** Each has a WebGL context of its own, of which browsers give a page sixteen. */
const MAX_SHOWN = 8;

/**
 * @param {Shown} shown
 * @returns {string} such as `nuclei,50;cells,80`.
 */
function labelsText(shown) {
    return Object.entries(shown).map(([name, opacity]) => `${encodeURIComponent(name)},${opacity}`).join(';');
}

/**
 * @param {string} text of an address, whoever made it.
 * @param {string[]} names that there are.
 * @returns {Shown}
 */
function labelsFrom(text, names) {
    const shown = {};
    String(text || '').split(';').forEach((part) => {
        const [coded, opacity] = part.split(',');
        const name = decoded(coded);
        const value = Math.round(Number(opacity));
        if (names.includes(name) && value >= 0 && value <= 100 && Object.keys(shown).length < MAX_SHOWN) {
            shown[name] = value;
        }
    });
    return shown;
}

function decoded(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return null;
    }
}

/**
 * The frame of a label over a frame of the image, as `labels=true` numbers them.
 *
 * @param {number} number of the label, from 0.
 * @param {number} count frames of the image.
 * @param {number} frame
 */
function labelFrame(number, count, frame) {
    return (number + 1) * count + frame % count;
}

export { MAX_SHOWN, OPACITY, labelFrame, labelsFrom, labelsText };
