/**
 * Sends patches: several requests at a time, small files many in one request, with their digests.
 *
 * What the server refuses is listed and not sent again by itself; what gets lost on its way is. Everything that the queue
 * needs of the page (`send`, `digest`, `later`) is passed in, so that tests run it without one.
 */

/** Requests at a time: a browser opens six connections to a server, and the page needs some itself. */
const IN_FLIGHT = 4;
/** Files up to this size share a request. */
const SMALL = 2 ** 21;
const BATCH_BYTES = 2 ** 23;
const BATCH_FILES = 100;
/** How often a request is sent at most, and the pause before the second time, which doubles. */
const ATTEMPTS = 5;
const PAUSE = 500;
/** The rate is that of the last seconds. */
const RATE_WINDOW = 10000;
const STATES = ['waiting', 'sending', 'stored', 'refused', 'failed'];

/**
 * @typedef {Object} Task
 * @property {string} key
 * @property {string} path of the file, for people.
 * @property {File} file
 * @property {Object} fields where it lies, as docs/rest.md names them.
 * @property {boolean} [replace]
 *
 * @typedef {Object} Outcome
 * @property {string} key
 * @property {number} code
 * @property {string} [message]
 *
 * @typedef {Object} Outside
 * @property {function(Task[], {digests: (string|null)[], signal: AbortSignal, onProgress: function(number): void}):
 *     Promise<Outcome[]>} send tasks in one request.
 * @property {function(File): Promise<?string>} digest of a file, or null where the browser cannot make one.
 * @property {function({key: string, digest: ?string}[]): Promise<{missing: string[], different: string[]}>} missing
 * @property {function(number): Promise<void>} [wait]
 * @property {function(): number} [now]
 */

class UploadQueue {
    /**
     * @param {Task[]} tasks
     * @param {Outside} outside
     * @param {Object} [options]
     * @param {boolean} [options.isResumed] ask first what the server has already.
     */
    constructor(tasks, outside, { isResumed = false } = {}) {
        this.outside = { wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)), now: Date.now, ...outside };
        this.isResumed = isResumed;
        this.entries = tasks.map((task) => ({ ...task, state: 'waiting', message: null, sent: 0 }));
        this.byKey = new Map(this.entries.map((entry) => [entry.key, entry]));
        this.next = 0;
        this.again = [];
        this.isPaused = false;
        this.signedOut = false;
        this.running = 0;
        this.requests = new Set();
        this.samples = [];
        this.listeners = new Set();
        this.counts = Object.fromEntries(STATES.map((state) => [state, 0]));
        this.counts.waiting = this.entries.length;
        this.totalBytes = this.entries.reduce((sum, { file }) => sum + file.size, 0);
        this.doneBytes = 0;
    }

    /** @param {function(): void} listener called with every change. @returns {function(): void} stops that. */
    listen(listener) {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
    }

    start() {
        this.isPaused = false;
        this.signedOut = false;
        while (this.running < IN_FLIGHT && this.takeWork()) {
            // takeWork has begun one more
        }
        this.changed();
    }

    /** Requests that are under way are stopped; their patches wait. */
    pause() {
        this.isPaused = true;
        this.requests.forEach((controller) => controller.abort());
        this.changed();
    }

    /** Send again what failed, or was refused. */
    retry() {
        this.entries.filter(({ state }) => state === 'failed' || state === 'refused').forEach((entry) => {
            this.move(entry, 'waiting');
            this.again.push(entry);
        });
        this.start();
    }

    get isDone() {
        return !this.counts.waiting && !this.counts.sending;
    }

    get isActive() {
        return !this.isDone && !this.isPaused;
    }

    /** @returns {{bytes: number, totalBytes: number, rate: ?number, secondsLeft: ?number}} bytes a second. */
    get progress() {
        const bytes = this.doneBytes + this.entriesInFlight().reduce((sum, { sent }) => sum + sent, 0);
        const now = this.outside.now();
        const recent = this.samples.filter(({ at }) => now - at <= RATE_WINDOW);
        const seconds = recent.length > 1 ? (recent[recent.length - 1].at - recent[0].at) / 1000 : 0;
        const rate = seconds > 0 ? (recent[recent.length - 1].bytes - recent[0].bytes) / seconds : null;
        const left = this.totalBytes - bytes;
        return { bytes, totalBytes: this.totalBytes, rate, secondsLeft: rate > 0 ? Math.ceil(left / rate) : null };
    }

    get problems() {
        return this.entries.filter(({ state }) => state === 'refused' || state === 'failed');
    }

    entriesInFlight() {
        return [...this.requests].flatMap((controller) => controller.entries);
    }

    /** Begin one more request; whether there was something to send. */
    takeWork() {
        const batch = this.isPaused ? [] : this.nextBatch();
        if (!batch.length) {
            return false;
        }
        this.running += 1;
        this.work(batch).finally(() => {
            this.running -= 1;
            if (!this.isPaused) {
                this.start();
            }
            this.changed();
        });
        return true;
    }

    nextBatch() {
        const batch = [];
        let bytes = 0;
        for (;;) {
            const entry = this.again[0] || this.entries[this.next];
            const isSmall = entry && entry.file.size <= SMALL;
            if (!entry || (batch.length && (!isSmall || bytes + entry.file.size > BATCH_BYTES))) {
                return batch;
            }
            if (this.again.length) {
                this.again.shift();
            } else {
                this.next += 1;
            }
            if (entry.state === 'waiting') {
                batch.push(entry);
                bytes += entry.file.size;
            }
            if (!isSmall || batch.length >= BATCH_FILES) {
                return batch;
            }
        }
    }

    async work(batch) {
        batch.forEach((entry) => this.move(entry, 'sending'));
        const controller = Object.assign(new AbortController(), { entries: batch });
        this.requests.add(controller);
        this.changed();
        try {
            const readable = await this.readable(batch);
            const wanted = this.isResumed ? await this.notThereYet(readable) : readable;
            if (wanted.length) {
                await this.sendUntilAnswered(wanted, controller);
            }
        } catch (error) {
            batch.filter(({ state }) => state === 'sending').forEach((entry) => this.giveUp(entry, error));
            if (error.status === 401) {
                this.signedOut = true;
                this.pause();
            }
        } finally {
            this.requests.delete(controller);
            this.changed();
        }
    }

    /** Those whose files can be read, with their digests; a file may have been moved since it was chosen. */
    async readable(batch) {
        const found = await Promise.all(batch.map(async (entry) => {
            try {
                entry.digest = await this.outside.digest(entry.file);
                return entry;
            } catch (error) {
                this.move(entry, 'failed', `The file cannot be read: ${error.message}`);
                return null;
            }
        }));
        return found.filter(Boolean);
    }

    async notThereYet(batch) {
        if (!batch.length) {
            return batch;
        }
        const keys = batch.map(({ key, digest }) => (digest ? { key, digest } : { key }));
        const { missing, different } = await this.persistently(() => this.outside.missing(keys));
        const wanted = new Set(missing);
        const others = new Set(different);
        return batch.filter((entry) => {
            if (wanted.has(entry.key) || (others.has(entry.key) && entry.replace)) {
                return true;
            }
            if (others.has(entry.key)) {
                this.move(entry, 'refused', 'Another file is stored under this key already.');
            } else {
                this.finish(entry);
            }
            return false;
        });
    }

    async sendUntilAnswered(batch, controller) {
        const bytes = batch.reduce((sum, { file }) => sum + file.size, 0);
        const outcomes = await this.persistently(() => this.outside.send(batch, {
            digests: batch.map(({ digest }) => digest),
            signal: controller.signal,
            onProgress: (loaded) => {
                batch.forEach((entry) => {
                    entry.sent = Math.min(entry.file.size, loaded * entry.file.size / Math.max(1, bytes));
                });
                this.sample();
                this.changed();
            }
        }), controller.signal);
        const answered = new Map(outcomes.map((outcome) => [outcome.key, outcome]));
        batch.forEach((entry) => {
            const outcome = answered.get(entry.key);
            if (outcome && outcome.code < 300) {
                this.finish(entry);
            } else if (outcome) {
                this.move(entry, outcome.code >= 500 ? 'failed' : 'refused', outcome.message);
            } else {
                this.move(entry, 'failed', 'The server says nothing of this patch.');
            }
        });
        this.sample();
    }

    /** Send again what gets lost, with longer and longer pauses. */
    async persistently(send, signal) {
        for (let attempt = 1; ; attempt += 1) {
            try {
                return await send();
            } catch (error) {
                const isLost = error.status === 0 || error.status >= 500 || error.status === 429;
                if (!isLost || attempt >= ATTEMPTS) {
                    throw error;
                }
                await this.outside.wait(PAUSE * 2 ** (attempt - 1));
                if (signal && signal.aborted) {
                    throw new DOMException('Stopped.', 'AbortError');
                }
            }
        }
    }

    giveUp(entry, error) {
        entry.sent = 0;
        if (error.name === 'AbortError' || error.status === 401) {
            this.move(entry, 'waiting');
            this.again.push(entry);
        } else {
            const isRefused = error.status >= 400 && error.status < 500 && error.status !== 429;
            this.move(entry, isRefused ? 'refused' : 'failed', error.message);
        }
    }

    finish(entry) {
        entry.sent = 0;
        this.doneBytes += entry.file.size;
        this.move(entry, 'stored');
    }

    move(entry, state, message = null) {
        this.counts[entry.state] -= 1;
        this.counts[state] += 1;
        entry.state = state;
        entry.message = message;
    }

    sample() {
        const at = this.outside.now();
        const last = this.samples[this.samples.length - 1];
        if (!last || at - last.at > 100) {
            this.samples.push({ at, bytes: this.progress.bytes });
            this.samples = this.samples.filter((sample) => at - sample.at <= RATE_WINDOW);
        }
    }

    changed() {
        this.listeners.forEach((listener) => listener());
    }
}

export { UploadQueue };
