/**
 * The sessions that the pages show, kept up to date for all of them at once: one poll and one listener to events.
 *
 * Events make a change show at once, but they are delivered at most once and only to the user who created the session;
 * so the store also asks: two seconds after a change, and then less and less often while nothing happens. Lists ask for
 * what has changed since the newest change that is known, and an answer that is the same as before is a 304.
 */
import { isLive, newlyComplete } from './sessions.js';

const SOONEST = 2000;
/** The longest pause while a session may change by itself, and while none can. */
const LIVE_PAUSE = 8000;
const IDLE_PAUSE = 30000;
const AFTER_EVENT = 200;
/** Clocks of servers and workers differ by this much at most; whoever is further off is seen with the next full list. */
const CLOCK_SKEW = 5000;
const FULL_LIST_AFTER = 60000;

/**
 * @typedef {Object} Query what somebody looks at: `id` of one session, or a list.
 * @property {string} [id]
 * @property {string} [folderId]
 * @property {boolean} [everybody]
 * @property {number} [limit]
 * @property {number} [offset]
 * @property {string} [creatorId]
 * @property {string} [state]
 * @property {string} [name]
 * @property {string} [sort] newest first where it is left out, as
 * @property {number} [sortdir]
 *
 * @typedef {Object} Seen
 * @property {Object[]} sessions newest first.
 * @property {number} total of the list, those that are not shown included.
 * @property {boolean} loaded whether an answer has come.
 * @property {?Error} failure of the last request.
 * @property {Object[]} completed those that have become complete with the last answer.
 */

/** @returns {Seen} */
const nothing = () => ({ sessions: [], total: 0, loaded: false, failure: null, completed: [] });

class Watched {
    constructor(query) {
        this.query = query;
        this.listeners = new Set();
        this.seen = nothing();
        this.fullAt = -Infinity;
        this.tags = new Map();
    }

    get isList() {
        return !this.query.id;
    }

    /** Whether what has changed can be put into what is known: the newest of all, in their order. */
    get isNewest() {
        const { state, name, offset, sort = 'created' } = this.query;
        return !state && !name && !offset && sort === 'created';
    }

    concerns({ _id, folderId }) {
        const { query } = this;
        return query.id ? query.id === _id : !query.folderId || query.folderId === folderId;
    }

    publish(seen) {
        this.seen = { ...this.seen, completed: [], ...seen };
        this.listeners.forEach((listener) => listener(this.seen));
    }
}

class SessionStore {
    /**
     * @param {Object} outside what the store needs of the page; tests pass their own.
     * @param {function} outside.request as lib/api has it.
     * @param {function(): number} [outside.now]
     * @param {function(function, number): *} [outside.later]
     * @param {function(*): void} [outside.never]
     * @param {function(): boolean} [outside.isHidden]
     */
    constructor({
        request, now = Date.now, later = (call, wait) => setTimeout(call, wait), never = (timer) => clearTimeout(timer),
        isHidden = () => document.hidden
    }) {
        Object.assign(this, { request, now, later, never, isHidden });
        /** @type {Map<string, Watched>} */
        this.watched = new Map();
        this.pause = SOONEST;
        this.isAsking = false;
        this.isDue = false;
        this.timer = null;
        this.askAt = 0;
    }

    /**
     * Look at sessions until the function that is returned is called.
     *
     * @param {Query} query
     * @param {function(Seen): void} listener called at once with what is known, and with every change.
     * @returns {function(): void}
     */
    watch(query, listener) {
        const name = JSON.stringify(query);
        const watched = this.watched.get(name) || new Watched(query);
        this.watched.set(name, watched);
        watched.listeners.add(listener);
        listener(watched.seen);
        this.askSoon(0);
        return () => {
            watched.listeners.delete(listener);
            if (!watched.listeners.size) {
                this.watched.delete(name);
            }
            if (!this.watched.size) {
                this.stopTimer();
            }
        };
    }

    /** An event says that a session has changed; ask for it after some milliseconds. */
    noticed(session, wait = AFTER_EVENT) {
        if ([...this.watched.values()].some((watched) => watched.concerns(session))) {
            this.askSoon(wait);
        }
    }

    /** Something has become different: somebody has signed in, pressed a button, or come back to the page. */
    changed() {
        this.pause = SOONEST;
        this.askSoon(0);
    }

    /** Ask after a while, or when that is due already: what is to be asked soon is never put off. */
    askSoon(wait) {
        const at = this.now() + wait;
        if (this.timer !== null && this.askAt <= at) {
            return;
        }
        this.stopTimer();
        this.askAt = at;
        this.timer = this.later(() => this.ask(), wait);
    }

    stopTimer() {
        this.never(this.timer);
        this.timer = null;
    }

    /** Ask for everything that is looked at, once. */
    async ask() {
        this.stopTimer();
        if (this.isAsking) {
            this.isDue = true;
            return;
        }
        this.isAsking = true;
        this.isDue = false;
        const changes = await Promise.all([...this.watched.values()].map((watched) => this.askFor(watched)));
        this.isAsking = false;
        this.pause = changes.some(Boolean) ? SOONEST : this.pause * 1.5;
        this.schedule();
    }

    schedule() {
        const all = [...this.watched.values()].map(({ seen }) => seen);
        // Who is not signed in is asked to; until then the answer stays the same.
        if (!all.length || this.isHidden() || all.every(({ failure }) => failure && failure.status === 401)) {
            return;
        }
        const live = all.some(({ sessions, failure }) => !failure && sessions.some(isLive));
        this.pause = Math.min(this.pause, live ? LIVE_PAUSE : IDLE_PAUSE);
        this.askSoon(this.isDue ? 0 : live ? this.pause : Math.max(this.pause, LIVE_PAUSE));
    }

    /** @returns {Promise<boolean>} whether anything has changed. */
    async askFor(watched) {
        try {
            return await (watched.isList ? this.askForList(watched) : this.askForOne(watched));
        } catch (failure) {
            const before = watched.seen.failure;
            if (!before || before.status !== failure.status || before.message !== failure.message) {
                watched.publish({ failure });
            }
            return false;
        }
    }

    async askForOne(watched) {
        const answer = await this.conditional(watched, `stitch_session/${watched.query.id}`);
        if (answer.data) {
            const before = watched.seen.sessions;
            watched.publish({
                sessions: [answer.data], total: 1, loaded: true, failure: null,
                completed: newlyComplete(before, [answer.data])
            });
        } else if (watched.seen.failure) {
            watched.publish({ failure: null });
        }
        return Boolean(answer.data);
    }

    async askForList(watched) {
        const { seen, query } = watched;
        const partly = watched.isNewest && seen.loaded && seen.sessions.length > 0 && this.now() - watched.fullAt < FULL_LIST_AFTER;
        const since = partly ? sinceOf(seen.sessions) : undefined;
        const { limit = 50 } = query;
        const asked = { sort: 'created', sortdir: -1, ...query, limit, since };
        const answer = await this.conditional(watched, 'stitch_session', asked);
        if (!partly) {
            watched.fullAt = this.now();
        }
        if (!answer.data) {
            if (seen.failure) {
                watched.publish({ failure: null });
            }
            return false;
        }
        const total = Number(answer.headers.get('Girder-Total-Count')) || 0;
        const known = new Set(seen.sessions.map(({ _id }) => _id));
        const added = answer.data.filter(({ _id }) => !known.has(_id)).length;
        if (partly && total !== seen.total + added) {
            // One is gone, and which one only the whole list says.
            watched.fullAt = -Infinity;
            return this.askForList(watched);
        }
        const sessions = partly ? merged(seen.sessions, answer.data).slice(0, limit) : answer.data;
        const completed = newlyComplete(seen.sessions, sessions);
        watched.publish({ sessions, total, loaded: true, failure: null, completed });
        return true;
    }

    async conditional(watched, path, query = {}) {
        const name = JSON.stringify(query);
        const tag = watched.tags.get(name);
        const answer = await this.request('GET', path, { query, headers: tag ? { 'If-None-Match': tag } : {} });
        if (answer.data) {
            watched.tags.clear();
            watched.tags.set(name, answer.headers.get('ETag'));
        }
        return answer;
    }
}

/** From when on a list may have changed. */
function sinceOf(sessions) {
    const newest = Math.max(...sessions.map(({ updated }) => Date.parse(updated)));
    return new Date(newest - CLOCK_SKEW).toISOString();
}

/** Sessions with those that have changed in their places, newest first. */
function merged(sessions, changed) {
    const all = new Map([...sessions, ...changed].map((session) => [session._id, session]));
    return [...all.values()].sort((one, other) => Date.parse(other.created) - Date.parse(one.created));
}

export { SessionStore, merged, sinceOf };
