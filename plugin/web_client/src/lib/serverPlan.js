/** What the server makes of names and positions; nothing is stored by asking. */
import { request } from './api.js';
import { askedOf, readPlan } from './plan.js';

/**
 * @param {Object} asked
 * @param {string} asked.folderId
 * @param {import('./plan.js').Tile[]} asked.tiles
 * @param {Map<string, ?import('./imageHeader.js').ImageHeader>} asked.headers
 * @param {import('./plan.js').Source} asked.source
 * @param {import('./layout.js').Arrangement} asked.arrangement
 * @param {Object} asked.spec
 * @param {AbortSignal} [signal]
 * @returns {Promise<import('./plan.js').ServerPlan>}
 * @throws {import('./api.js').ApiError}
 */
async function planOf({ folderId, tiles, ...how }, signal) {
    const json = { folderId, ...askedOf(tiles, how) };
    return readPlan((await request('POST', 'stitch_session/plan', { json, signal })).data);
}

/**
 * What asks the server for the headers of files that are in Girder, and for the pages of others.
 *
 * @param {string} folderId
 * @returns {function(Object, AbortSignal): Promise<Object[]>} as lib/headers needs it.
 */
function inspectedBy(folderId) {
    return async (asked, signal) => (await request('POST', 'stitch_session/inspect', {
        json: { folderId, ...asked }, signal
    })).data.files;
}

export { inspectedBy, planOf };
