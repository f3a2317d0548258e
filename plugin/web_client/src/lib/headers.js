/** What each chosen file is: size, pixels and pages, of files in Girder as the server says it. */
import { isInGirder } from './fileKinds.js';
import { readHeader } from './imageHeader.js';
import { directoriesOf } from './tiffDirectories.js';

/** Files from the disk whose headers are read at a time. */
const READERS = 8;
/** Files that the server is asked for at a time, bytes of their directories, and requests. */
const BATCH = 100;
const BATCH_BYTES = 2 ** 21;
const REQUESTS = 3;

/**
 * @typedef {import('./imageHeader.js').ImageHeader} Header
 * @property {{page: number, index: Object<string, number>}[]} [pages] of a file of which each page is a patch.
 * @property {Object} [places] where its pages lie, by its own tags; for the server, which understands it.
 * @property {number} [describes] how many other files an OME-TIFF describes.
 * @property {string} [describedBy] the name of the file that says where its pages lie and what they are.
 * @property {string} [message] why it cannot be a patch, unless by its places or by a file of positions.
 */

/**
 * Reads headers, each once: more files may be added, and the axis of pages changed.
 *
 * @param {function(Object): Promise<Object[]>} inspect asks the server: `{files, pages}` of `POST stitch_session/inspect`.
 */
class Headers {
    constructor(inspect) {
        this.inspect = inspect;
        this.known = new WeakMap();
    }

    /**
     * @param {import('./plan.js').Tile[]} tiles
     * @param {Object} how
     * @param {'auto'|'c'|'z'|'t'} how.along the axis of the pages of files that do not say it.
     * @param {AbortSignal} how.signal
     * @param {function(string, ?Header): void} how.onFound called with the key of a tile and its header, null where it is
     *     of no format that is known here.
     */
    async read(tiles, { along, signal, onFound }) {
        const batches = new Batches(async (some) => {
            const answers = await this.inspect({ files: some.map(({ asked }) => asked), pages: along }, signal)
                .catch((error) => some.map(() => ({ message: error.message })));
            some.forEach(({ tile, header }, at) => {
                const found = { ...header, ...answers[at] };
                // A question that got lost is asked again the next time.
                if (!found.message || found.code) {
                    this.remember(tile.file, along, found);
                }
                onFound(tile.key, found);
            });
        });
        const waiting = tiles.filter((tile) => {
            const found = this.recalled(tile.file, along);
            if (found !== undefined) {
                onFound(tile.key, found);
            }
            return found === undefined;
        });
        const look = async () => {
            for (let tile = waiting.pop(); tile && !signal.aborted; tile = waiting.pop()) {
                await this.look(tile, { along, batches, onFound });
            }
        };
        waiting.reverse();
        await Promise.all(Array.from({ length: READERS }, look));
        await batches.end(signal);
    }

    async look(tile, { along, batches, onFound }) {
        if (isInGirder(tile.file)) {
            await batches.add({ tile, asked: { itemId: tile.file.itemId } });
            return;
        }
        const header = await readHeader(tile.file).catch(() => null);
        const settle = () => {
            this.remember(tile.file, 'any', header);
            onFound(tile.key, header);
        };
        if (!header || !(header.hasPages || header.hasWords)) {
            settle();
            return;
        }
        try {
            const bytes = await directoriesOf(tile.file);
            if (header.hasPages || saysPlace(bytes)) {
                await batches.add({ tile, header, asked: { tiff: base64(bytes), name: tile.path } }, bytes.length);
            } else {
                settle();
            }
        } catch (error) {
            if (!header.hasPages) {
                settle();
                return;
            }
            const found = { ...header, message: error.message };
            this.remember(tile.file, along, found);
            onFound(tile.key, found);
        }
    }

    remember(file, along, header) {
        const found = this.known.get(file) || {};
        // Where there are no pages, it does not matter along what they lie.
        found[header && !header.hasPages && !header.pages && !header.message ? 'any' : header ? along : 'any'] = header;
        this.known.set(file, found);
    }

    recalled(file, along) {
        const found = this.known.get(file) || {};
        return 'any' in found ? found.any : found[along];
    }
}

/** Gathers questions, and asks several together. */
class Batches {
    constructor(ask) {
        this.ask = ask;
        this.waiting = [];
        this.bytes = 0;
        this.asking = new Set();
    }

    async add(one, bytes = 0) {
        this.waiting.push(one);
        this.bytes += bytes;
        if (this.waiting.length >= BATCH || this.bytes >= BATCH_BYTES) {
            await this.flush();
        }
    }

    async flush() {
        const some = this.waiting;
        this.waiting = [];
        this.bytes = 0;
        const asked = this.ask(some).finally(() => this.asking.delete(asked));
        this.asking.add(asked);
        if (this.asking.size >= REQUESTS) {
            await Promise.race(this.asking);
        }
    }

    async end(signal) {
        if (this.waiting.length && !signal.aborted) {
            await this.flush();
        }
        await Promise.all(this.asking);
    }
}

/**
 * Whether a TIFF of one page may say where it lies: in OME-XML, which may only name the file that does, in MetaMorph's tags
 * or those of Micro-Manager.
 */
function saysPlace(bytes) {
    return /PositionX|BinaryOnly|stage-position-x|XPositionUm/.test(new TextDecoder('latin1').decode(bytes));
}

function base64(bytes) {
    const parts = [];
    for (let at = 0; at < bytes.length; at += 32768) {
        parts.push(String.fromCharCode(...bytes.subarray(at, at + 32768)));
    }
    return btoa(parts.join(''));
}

export { Headers };
