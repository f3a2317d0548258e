/** The digests of files as RFC 9530 writes them. */
import { isInGirder } from './fileKinds.js';

/**
 * Larger files, and all of them on pages that came over plain http from another machine, are hashed piece by piece in a
 * worker: the browser's own digest takes only what is in memory as a whole, and only on safe pages.
 */
const MOST_IN_MEMORY = 2 ** 26;

let worker = null;
const waiting = new Map();

/** @returns {Promise<Uint8Array>} */
function hashBeside(file) {
    if (!worker) {
        worker = new Worker(new URL('./digestWorker.js', import.meta.url), { type: 'module' });
        worker.onmessage = ({ data: { id, hash, message } }) => {
            const { resolve, reject } = waiting.get(id);
            waiting.delete(id);
            if (hash) {
                resolve(hash);
            } else {
                reject(new Error(message));
            }
        };
        worker.onerror = () => {
            waiting.forEach(({ reject }) => reject(new Error('The digest could not be made.')));
            waiting.clear();
            worker = null;
        };
    }
    return new Promise((resolve, reject) => {
        const id = crypto.getRandomValues(new Uint32Array(2)).join('-');
        waiting.set(id, { resolve, reject });
        worker.postMessage({ id, file });
    });
}

/**
 * @param {File|import('./girderFiles.js').GirderFile} file
 * @returns {Promise<?string>} null for a file in Girder, whose bytes do not travel.
 * @throws {Error} it cannot be read.
 */
async function digestOf(file) {
    if (isInGirder(file)) {
        return null;
    }
    const hash = window.crypto.subtle && file.size <= MOST_IN_MEMORY
        ? new Uint8Array(await window.crypto.subtle.digest('SHA-256', await file.arrayBuffer()))
        : await hashBeside(file);
    return `sha-256=:${btoa(String.fromCharCode(...hash))}:`;
}

export { digestOf };
