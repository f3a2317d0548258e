/**
 * Sends patches: several requests at a time, small files many in one request, with their digests; a file once for all
 * patches that are pages of it. Of files that are in Girder only the names go.
 *
 * What the server refuses is listed and not sent again by itself; what gets lost on its way is. Everything that the queue
 * needs of the page (`send`, `digests`, `wait`) is passed in, so that tests run it without one.
 */

/** Requests at a time: a browser opens six connections to a server, and the page needs some itself. */
const IN_FLIGHT = 4;
/** Files up to this size share a request. */
const SMALL = 2 ** 21;
const BATCH_BYTES = 2 ** 23;
const BATCH_FILES = 100;
/** The server reads files that it has already as a whole, too, to know their digests. */
const SMALL_IN_GIRDER = 2 ** 26;
const GIRDER_BATCH_BYTES = 2 ** 27;
const GIRDER_BATCH_FILES = 25;
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
 * @property {File|import('./girderFiles.js').GirderFile} file the same one for all pages of it.
 * @property {number} [page]
 * @property {Object} fields where it lies, as docs/rest.md names them.
 * @property {boolean} [replace]
 *
 * @typedef {Object} Unit a file and those of its patches that are to be sent.
 * @property {File|import('./girderFiles.js').GirderFile} file
 * @property {?string} digest
 * @property {Task[]} entries
 *
 * @typedef {Object} Outcome
 * @property {string} key
 * @property {number} code
 * @property {string} [message]
 *
 * @typedef {Object} Outside
 * @property {function(Unit[], {signal: AbortSignal, onProgress: function(number): void}): Promise<Outcome[]>} send files in
 *     one request, all from the disk or all in Girder.
 * @property {function(File[]): Promise<(string|null|Error)[]>} digests of files: null where there is none to be made, and an
 *     error where a file cannot be read.
 * @property {function({key: string, digest: ?string}[]): Promise<{missing: string[], different: string[]}>} missing
 * @property {function(File): boolean} [isInGirder]
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
        this.outside = {
            wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)), now: Date.now, isInGirder: () => false, ...outside
        };
        this.isResumed = isResumed;
        this.entries = tasks.map((task) => ({ ...task, state: 'waiting', message: null }));
        this.units = unitsOf(this.entries, this.outside.isInGirder);
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
        this.totalBytes = this.units.reduce((sum, { file }) => sum + file.size, 0);
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
        this.units.forEach((unit) => {
            const entries = unit.entries.filter(({ state }) => state === 'failed' || state === 'refused');
            entries.forEach((entry) => this.move(entry, 'waiting'));
            if (entries.length) {
                this.again.push(unit);
            }
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
        const bytes = this.doneBytes + this.unitsInFlight().reduce((sum, { sent }) => sum + sent, 0);
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

    unitsInFlight() {
        return [...this.requests].flatMap((controller) => controller.units);
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

    /** Files for one request: from the disk or in Girder, and a large one by itself. */
    nextBatch() {
        const batch = [];
        let bytes = 0;
        for (;;) {
            const unit = this.again[0] || this.units[this.next];
            const first = batch[0] || unit;
            const [small, most, count] = unit && unit.isInGirder
                ? [SMALL_IN_GIRDER, GIRDER_BATCH_BYTES, GIRDER_BATCH_FILES]
                : [SMALL, BATCH_BYTES, BATCH_FILES];
            const isSmall = unit && unit.file.size <= small;
            const goesAlong = unit && (!batch.length ||
                (isSmall && unit.isInGirder === first.isInGirder && bytes + unit.file.size <= most));
            if (!goesAlong) {
                return batch;
            }
            if (this.again.length) {
                this.again.shift();
            } else {
                this.next += 1;
            }
            if (unit.entries.some(({ state }) => state === 'waiting')) {
                batch.push(unit);
                bytes += unit.file.size;
            }
            if (batch.length && (!isSmall || batch.length >= count)) {
                return batch;
            }
        }
    }

    async work(batch) {
        batch.forEach(({ entries }) => entries.filter(isWaiting).forEach((entry) => this.move(entry, 'sending')));
        const controller = Object.assign(new AbortController(), { units: batch });
        this.requests.add(controller);
        this.changed();
        try {
            await this.makeDigests(batch.filter(({ digest }) => !digest));
            if (this.isResumed) {
                await this.passOver(batch);
            }
            const wanted = batch.filter(({ entries }) => entries.some(isSending));
            if (wanted.length) {
                await this.sendUntilAnswered(wanted, controller);
            }
        } catch (error) {
            batch.forEach((unit) => this.giveUp(unit, error));
            if (error.status === 401) {
                this.signedOut = true;
                this.pause();
            }
        } finally {
            this.requests.delete(controller);
            this.changed();
        }
    }

    /** The digests of files, which may have been moved since they were chosen. */
    async makeDigests(units) {
        const found = await this.outside.digests(units.map(({ file }) => file));
        units.forEach((unit, at) => {
            if (found[at] instanceof Error) {
                unit.entries.filter(isSending)
                    .forEach((entry) => this.move(entry, 'failed', `The file cannot be read: ${found[at].message}`));
            } else {
                unit.digest = found[at];
            }
        });
    }

    /** Of an upload that goes on: what the server has already is done. */
    async passOver(batch) {
        const asked = batch.flatMap(({ entries, digest }) => entries.filter(isSending)
            .map(({ key }) => (digest ? { key, digest } : { key })));
        if (!asked.length) {
            return;
        }
        const { missing, different } = await this.persistently(() => this.outside.missing(asked));
        const wanted = new Set(missing);
        const others = new Set(different);
        batch.flatMap(({ entries }) => entries.filter(isSending)).forEach((entry) => {
            if (wanted.has(entry.key) || (others.has(entry.key) && entry.replace)) {
                return;
            }
            if (others.has(entry.key)) {
                this.move(entry, 'refused', 'Another file is stored under this key already.');
            } else {
                this.finish(entry);
            }
        });
    }

    async sendUntilAnswered(batch, controller) {
        const bytes = batch.reduce((sum, { file }) => sum + file.size, 0);
        const sent = batch.map(({ file, digest, entries }) => ({ file, digest, entries: entries.filter(isSending) }));
        const outcomes = await this.persistently(() => this.outside.send(sent, {
            signal: controller.signal,
            onProgress: (loaded) => {
                batch.forEach((unit) => {
                    unit.sent = Math.min(unit.file.size, loaded * unit.file.size / Math.max(1, bytes));
                });
                this.sample();
                this.changed();
            }
        }), controller.signal);
        const answered = new Map(outcomes.map((outcome) => [outcome.key, outcome]));
        sent.flatMap(({ entries }) => entries).forEach((entry) => {
            const outcome = answered.get(entry.key);
            if (outcome && outcome.code < 300) {
                this.finish(entry);
            } else if (outcome) {
                this.move(entry, outcome.code >= 500 ? 'failed' : 'refused', outcome.message);
            } else {
                this.move(entry, 'failed', 'The server says nothing of this patch.');
            }
        });
        batch.forEach((unit) => {
            unit.sent = 0;
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

    giveUp(unit, error) {
        const isStopped = error.name === 'AbortError' || error.status === 401;
        const isRefused = error.status >= 400 && error.status < 500 && error.status !== 429;
        const entries = unit.entries.filter(isSending);
        unit.sent = 0;
        entries.forEach((entry) => (isStopped
            ? this.move(entry, 'waiting')
            : this.move(entry, isRefused ? 'refused' : 'failed', error.message)));
        if (isStopped && entries.length) {
            this.again.push(unit);
        }
    }

    finish(entry) {
        this.doneBytes += entry.bytes;
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

const isWaiting = ({ state }) => state === 'waiting';
const isSending = ({ state }) => state === 'sending';

/** Each file once, with its patches, which share its bytes. */
function unitsOf(entries, isInGirder) {
    const units = new Map();
    entries.forEach((entry) => {
        const unit = units.get(entry.file);
        if (unit) {
            unit.entries.push(entry);
        } else {
            units.set(entry.file, {
                file: entry.file, entries: [entry], digest: null, sent: 0, isInGirder: isInGirder(entry.file)
            });
        }
    });
    units.forEach(({ file, entries: own }) => own.forEach((entry) => {
        entry.bytes = file.size / own.length;
    }));
    return [...units.values()];
}

export { UploadQueue };
