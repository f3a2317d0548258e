/** Patches of a session that are replaced, deleted and put back. */
import { getBlob, request, send } from './api.js';

/** Larger files are not kept to put them back. */
const KEPT_BYTES = 2 ** 26;

const pathOf = (session, key) => `stitch_session/${session._id}/patch/${encodeURIComponent(key)}`;

/**
 * What is said of a patch when it is put: its place, and how it counts.
 *
 * @param {Object} patch as `GET stitch_session/:id/patch/:key` has it.
 */
function placeQuery({ position, order, weight, mask, maskKey, orientation }) {
    const { x, y, t, z, c, ...index } = position;
    return {
        x, y, t, z, c, index: Object.keys(index).length ? index : null, order, weight, mask, maskKey, orientation
    };
}

/** Put a file; `arrival` is that of a patch that is put back, which counts in overlaps as it did. */
function put(session, patch, body, replace, arrival = null) {
    return send('PUT', pathOf(session, patch.key), {
        query: { ...placeQuery(patch), replace: replace || null, arrival }, body, headers: { 'Content-Type': 'application/octet-stream' }
    });
}

/** The file of a patch, or null where it cannot be put again as it was: pages, raw pixels, files that lie elsewhere. */
async function fileOf(session, patch) {
    if (patch.page !== undefined || patch.format === 'raw' || patch.size > KEPT_BYTES) {
        return null;
    }
    try {
        return await getBlob(`${pathOf(session, patch.key)}/file`);
    } catch (error) {
        if (error.status === 409) {
            return null;
        }
        throw error;
    }
}

/**
 * @param {Object} session
 * @param {Object} patch
 * @returns {Promise<?function(): Promise>} what puts the patch back, where that can be done.
 * @throws {import('./api.js').ApiError}
 */
async function deletePatch(session, patch) {
    const file = await fileOf(session, patch);
    await request('DELETE', pathOf(session, patch.key), { body: undefined });
    return file && (() => put(session, patch, file, false, patch.arrival));
}

/** Put another file in the place of a patch; returns as `deletePatch`. */
async function replacePatch(session, patch, file) {
    const before = await fileOf(session, patch);
    await put(session, patch, file, true);
    return before && (() => put(session, patch, before, true, patch.arrival));
}

export { deletePatch, pathOf, placeQuery, replacePatch };
