/**
 * Where the patches of sessions belong, kept in this browser until they have arrived.
 *
 * The server knows only what has come; a browser that is closed in between would not know any more where the rest goes.
 * Where the browser gives handles of what was chosen they are kept, too, and it need not be chosen again.
 */
import { isInGirder } from './fileKinds.js';

const NAME = 'girder-zarr';
const PLANS = 'plans';
/** Each handle is asked for by itself: a folder is one, ten thousand files would be as many questions. */
const MOST_ROOTS = 100;

/**
 * @typedef {Object} Kept
 * @property {KeptPatch[]} patches
 * @property {FileSystemHandle[]} roots what was chosen.
 *
 * @typedef {Object} KeptPatch
 * @property {string} key
 * @property {string} path for people.
 * @property {number} [page]
 * @property {number} size
 * @property {Object} fields
 * @property {string} [itemId] of a file in Girder.
 * @property {number} [root] which of the roots its file is, or lies in.
 * @property {string} [at] the path with which it was chosen.
 */

/** @returns {Promise<IDBDatabase>} */
function opened() {
    return new Promise((resolve, reject) => {
        const opening = window.indexedDB.open(NAME, 1);
        opening.onupgradeneeded = () => opening.result.createObjectStore(PLANS);
        opening.onsuccess = () => resolve(opening.result);
        opening.onerror = () => reject(opening.error);
    });
}

async function within(mode, use) {
    const database = await opened();
    try {
        return await new Promise((resolve, reject) => {
            const asked = use(database.transaction(PLANS, mode).objectStore(PLANS));
            asked.onsuccess = () => resolve(asked.result);
            asked.onerror = () => reject(asked.error);
        });
    } finally {
        database.close();
    }
}

/**
 * @param {string} sessionId
 * @param {import('./uploadQueue.js').Task[]} tasks with what was `chosen`.
 */
async function remember(sessionId, tasks) {
    const all = [...new Set(tasks.map(({ chosen }) => chosen && chosen.root).filter(Boolean))];
    const roots = all.length > MOST_ROOTS ? all.filter(({ kind }) => kind === 'directory').slice(0, MOST_ROOTS) : all;
    const places = new Map(roots.map((root, at) => [root, at]));
    const patches = tasks.map(({ key, path, page, file, fields, chosen }) => ({
        key, path, page, fields, size: file.size,
        ...(isInGirder(file) ? { itemId: file.itemId } : {}),
        ...(chosen && places.has(chosen.root) ? { root: places.get(chosen.root), at: chosen.path } : {})
    }));
    try {
        await within('readwrite', (plans) => plans.put({ patches, roots }, sessionId));
    } catch (error) {
        if (!roots.length) {
            throw error;
        }
        // Handles cannot be kept everywhere; the places can.
        await within('readwrite', (plans) => plans.put({ patches, roots: [] }, sessionId));
    }
}

/** @returns {Promise<?Kept>} */
async function recall(sessionId) {
    const found = await within('readonly', (plans) => plans.get(sessionId));
    return Array.isArray(found) ? { patches: found, roots: [] } : found || null;
}

/** @param {string} sessionId */
async function forget(sessionId) {
    await within('readwrite', (plans) => plans.delete(sessionId));
}

export { forget, recall, remember };
