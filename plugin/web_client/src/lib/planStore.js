/**
 * Where the patches of sessions belong, kept in this browser until they have arrived.
 *
 * The server knows only what has come; a browser that is closed in between would not know any more where the rest goes.
 */

const NAME = 'girder-zarr';
const PLANS = 'plans';

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
 * @param {{key: string, path: string, size: number, fields: Object}[]} patches
 */
async function remember(sessionId, patches) {
    await within('readwrite', (plans) => plans.put(patches, sessionId));
}

/** @returns {Promise<?{key: string, path: string, size: number, fields: Object}[]>} */
async function recall(sessionId) {
    return await within('readonly', (plans) => plans.get(sessionId)) || null;
}

/** @param {string} sessionId */
async function forget(sessionId) {
    await within('readwrite', (plans) => plans.delete(sessionId));
}

export { forget, recall, remember };
