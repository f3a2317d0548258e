/** Small pictures that a page asks for as they come into sight, few at a time. */

/** Requests at a time: a page of wells leaves the server room for the tiles of the viewer. */
const AT_ONCE = 3;

class Pictures {
    /**
     * @param {function(string, Object, AbortSignal): Promise<*>} ask of a path and a query.
     * @param {number} [atOnce]
     */
    constructor(ask, atOnce = AT_ONCE) {
        Object.assign(this, { ask, atOnce, waiting: [], running: 0 });
    }

    /**
     * Ask for a picture.
     *
     * @param {string} path
     * @param {Object} query
     * @param {function(?Error, *): void} done called once, unless it is dropped before.
     * @param {boolean} [isUrgent] before those that wait.
     * @returns {function(): void} drops it.
     */
    fetch(path, query, done, isUrgent = false) {
        const one = { path, query, done, abort: new AbortController(), isDropped: false };
        if (isUrgent) {
            this.waiting.unshift(one);
        } else {
            this.waiting.push(one);
        }
        this.next();
        return () => {
            one.isDropped = true;
            one.abort.abort();
            this.waiting = this.waiting.filter((other) => other !== one);
        };
    }

    next() {
        while (this.running < this.atOnce && this.waiting.length) {
            this.run(this.waiting.shift());
        }
    }

    async run(one) {
        this.running += 1;
        let answer;
        let failure = null;
        try {
            answer = await this.ask(one.path, one.query, one.abort.signal);
        } catch (error) {
            failure = error;
        }
        this.running -= 1;
        if (!one.isDropped) {
            one.done(failure, answer);
        }
        this.next();
    }
}

export { Pictures };
