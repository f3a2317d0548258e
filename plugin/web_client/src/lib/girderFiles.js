/** Files that are in Girder already, as the pages of new sessions use files from a disk. */
import { addressOf, get, signedIn } from './api.js';

/** Items of one answer; a folder of ten thousand comes in twenty. */
const PAGE = 500;
/** The server plans so many files at once. */
const MOST_ITEMS = 20000;

/** An item of one file, in the place of a `File`. */
class GirderFile {
    /** @param {{_id: string, name: string, size: number}} item */
    constructor({ _id, name, size }) {
        this.itemId = _id;
        this.name = name;
        this.size = size;
    }

    /** The address of its bytes, for pictures: the browser sends the cookie of the login. */
    get address() {
        return addressOf(`item/${this.itemId}/download`, { contentDisposition: 'inline' });
    }

    /** Some bytes of it, as those of a `Blob`: what lies behind its end is left out. */
    slice(begin, end) {
        const last = Math.min(end, this.size) - 1;
        const read = async () => {
            const answer = await fetch(this.address, { headers: { ...signedIn(), Range: `bytes=${begin}-${last}` } });
            const bytes = await this.answered(answer);
            return answer.status === 206 ? bytes : bytes.slice(begin, last + 1);
        };
        return { arrayBuffer: () => (last < begin ? Promise.resolve(new ArrayBuffer(0)) : read()) };
    }

    /** @returns {Promise<ArrayBuffer>} all of it: for files of positions, which are small. */
    async arrayBuffer() {
        return this.answered(await fetch(this.address, { headers: signedIn() }));
    }

    answered(answer) {
        if (!answer.ok) {
            throw new Error(`${this.name} cannot be read: the server answered with status ${answer.status}.`);
        }
        return answer.arrayBuffer();
    }
}

/**
 * One page of the items of a folder, by name.
 *
 * @param {string} folderId
 * @param {number} offset
 * @param {AbortSignal} [signal]
 * @returns {Promise<Object[]>} fewer than PAGE at the end.
 */
function itemsOf(folderId, offset, signal) {
    return get('item', { folderId, limit: PAGE, offset, sort: 'lowerName', sortdir: 1 }, { signal });
}

/** @returns {Promise<Object[]>} all folders in a folder, a collection or a user, by name. */
async function foldersOf(parentType, parentId, signal) {
    const found = [];
    for (;;) {
        const some = await get('folder', {
            parentType, parentId, limit: PAGE, offset: found.length, sort: 'lowerName', sortdir: 1
        }, { signal });
        found.push(...some);
        if (some.length < PAGE) {
            return found;
        }
    }
}

/** A name as a part of a path; those of Girder may hold slashes. */
const partOf = (name) => name.replaceAll('/', '_');

/**
 * Everything in a folder and below it.
 *
 * @param {{_id: string, name: string}} folder
 * @param {function(number): void} onProgress told how many have been found so far.
 * @param {AbortSignal} [signal]
 * @returns {Promise<import('./dropped.js').Chosen[]>}
 * @throws {Error} there are more than one session plans at once.
 */
async function filesBelow(folder, onProgress, signal) {
    const chosen = [];
    const waiting = [{ _id: folder._id, path: partOf(folder.name) }];
    for (let next = waiting.shift(); next; next = waiting.shift()) {
        const { _id, path } = next;
        for (let offset = 0; ; offset += PAGE) {
            const some = await itemsOf(_id, offset, signal);
            chosen.push(...some.map((item) => ({ file: new GirderFile(item), path: `${path}/${partOf(item.name)}` })));
            if (chosen.length > MOST_ITEMS) {
                throw new Error(`There are more than ${MOST_ITEMS} items in ${folder.name}; choose a folder in it.`);
            }
            onProgress(chosen.length);
            if (some.length < PAGE) {
                break;
            }
        }
        const below = await foldersOf('folder', _id, signal);
        waiting.push(...below.map((one) => ({ _id: one._id, path: `${path}/${partOf(one.name)}` })));
    }
    return chosen;
}

export { GirderFile, PAGE, filesBelow, foldersOf, itemsOf, partOf };
