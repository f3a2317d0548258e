/** What can be done with a session, the same wherever it is shown. */
import { request } from './api.js';
import { isIncomplete, patchesText } from './sessions.js';
import store from './store.js';

/** What has to be confirmed before an action: [question, what the button says], or null. */
function questionOf(session, action) {
    if (action === 'delete') {
        return [`Delete the stitch session "${session.name}" with its ${patchesText(session)}? A finished image stays.`,
            'Delete'];
    }
    if (action === 'cancel' && session.state === 'finalizing') {
        return [`Stop making the image of "${session.name}"? Its patches stay.`, 'Stop'];
    }
    if (action === 'finalize' && isIncomplete(session)) {
        return [`Only ${patchesText(session)} of "${session.name}" have arrived. Finalize anyway?`, 'Finalize'];
    }
    return null;
}

/**
 * @param {Object} session
 * @param {'finalize'|'cancel'|'delete'} action
 * @throws {import('./api.js').ApiError}
 */
async function act(session, action) {
    const path = `stitch_session/${session._id}`;
    try {
        if (action === 'delete') {
            await request('DELETE', path, { body: undefined });
        } else {
            const query = action === 'finalize' && isIncomplete(session) ? { force: true } : {};
            await request('POST', `${path}/${action}`, { query });
        }
    } finally {
        store.changed();
    }
}

export { act, questionOf };
