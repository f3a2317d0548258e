/** What the server makes of a file of positions; nothing is stored by asking. */
import { request } from './api.js';
import { readPlan } from './plan.js';

/**
 * @param {Object} asked
 * @param {string} asked.folderId
 * @param {import('./plan.js').Tile[]} asked.tiles
 * @param {Map<string, ?import('./imageHeader.js').ImageHeader>} asked.headers
 * @param {{name: string, text: string}} asked.positions
 * @param {Object} asked.spec
 * @param {?string} asked.well
 * @param {AbortSignal} [signal]
 * @returns {Promise<import('./plan.js').ServerPlan>}
 * @throws {import('./api.js').ApiError}
 */
async function planOf({ folderId, tiles, headers, positions, spec, well }, signal) {
    const files = tiles.map(({ key, path }) => {
        const { width, height } = headers.get(key) || {};
        return width ? { name: path, width, height } : { name: path };
    });
    const json = { folderId, spec, files, positions, well: well || undefined };
    return readPlan((await request('POST', 'stitch_session/plan', { json, signal })).data);
}

export { planOf };
