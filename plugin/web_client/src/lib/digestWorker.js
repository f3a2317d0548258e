/** Hashes files beside the page: {id, file} comes in, {id, hash} or {id, message} goes out. */
import { Sha256 } from './sha256.js';

/** Bytes in memory at a time. */
const PIECE = 2 ** 22;

self.onmessage = async ({ data: { id, file } }) => {
    try {
        const hash = new Sha256();
        for (let at = 0; at < file.size; at += PIECE) {
            hash.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
        }
        self.postMessage({ id, hash: hash.digest() });
    } catch (error) {
        self.postMessage({ id, message: error.message });
    }
};
