/** Which of a file's images the viewer of an item shows; what chooses it and what shows it hold one of these. */

/**
 * @typedef {Object} Choice
 * @property {?string} series the option of the tile source; null: all that are shown together.
 * @property {?number} place along the axis `xy`; null: not chosen.
 * @property {?string} refusal why the server does not show what was chosen.
 */
class Shown {
    /** @param {Object<string, string>} query of the address, as the page was opened. */
    constructor(query) {
        this.query = query;
        /** @type {Choice} */
        this.now = { series: query.series || null, place: null, refusal: null };
        this.watchers = new Set();
    }

    /**
     * @param {function(Choice, Choice): void} told of a change: what is chosen now, and before.
     * @returns {function(): void} ends it.
     */
    watch(told) {
        this.watchers.add(told);
        return () => this.watchers.delete(told);
    }

    /** @param {Object} change of some properties of `Choice`. */
    choose(change) {
        const before = this.now;
        this.now = { ...before, refusal: null, ...change };
        [...this.watchers].forEach((told) => told(this.now, before));
    }
}

export { Shown };
