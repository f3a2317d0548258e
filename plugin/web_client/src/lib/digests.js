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
    return window.crypto.subtle && file.size <= MOST_IN_MEMORY
        ? hashInMemory(await file.arrayBuffer())
        : written(await hashBeside(file));
}

const written = (hash) => `sha-256=:${btoa(String.fromCharCode(...hash))}:`;

/** @param {ArrayBuffer|Uint8Array} bytes */
async function hashInMemory(bytes) {
    return written(new Uint8Array(await window.crypto.subtle.digest('SHA-256', bytes)));
}

/**
 * The digests of files that are sent together. They are read as one, which takes half the time of one by one.
 *
 * @param {(File|import('./girderFiles.js').GirderFile)[]} files
 * @returns {Promise<(string|null|Error)[]>} an error for a file that cannot be read.
 */
async function digestsOf(files) {
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    if (window.crypto.subtle && files.length > 1 && bytes <= MOST_IN_MEMORY && !files.some(isInGirder)) {
        // Where one of them cannot be read, they are read one by one.
        const all = await new Blob(files).arrayBuffer().catch(() => null);
        if (all && all.byteLength === bytes) {
            let at = 0;
            return Promise.all(files.map(({ size }) => {
                at += size;
                return hashInMemory(new Uint8Array(all, at - size, size));
            }));
        }
    }
    return Promise.all(files.map((file) => digestOf(file).catch((error) => error)));
}

export { digestsOf };
