/** What may be done with a stitch session in each of its states; docs/rest.md has the rules. */
const ACTIONS = {
    open: ['finalize', 'cancel', 'delete'],
    finalizing: ['cancel'],
    complete: ['delete'],
    error: ['finalize', 'delete'],
    cancelled: ['finalize', 'delete']
};

const EDITABLE_STATES = ['open', 'error', 'cancelled'];
const LIVE_STATES = ['open', 'finalizing'];

function actionsOf(session) {
    return ACTIONS[session.state] || [];
}

/** Whether patches, references and the spec may be changed; the session is open afterwards. */
function isEditable(session) {
    return EDITABLE_STATES.includes(session.state);
}

/** Whether a session may change by itself while somebody looks at it. */
function isLive(session) {
    return LIVE_STATES.includes(session.state);
}

/** Progress in whole percent, or null while the total is not known. */
function percentOf(session) {
    const { current, total } = session.progress || {};
    if (!(total > 0) || !(current >= 0)) {
        return null;
    }
    return Math.min(100, Math.floor(100 * current / total));
}

/** How many patches have arrived, and of how many where that is known. */
function patchesText(session) {
    const count = (session.counts && session.counts.patches) || 0;
    const expected = expectedOf(session);
    const noun = (expected === null ? count : expected) === 1 ? 'patch' : 'patches';
    return expected === null ? `${count} ${noun}` : `${count} of ${expected} ${noun}`;
}

function expectedOf(session) {
    return (session.spec && session.spec.expected) || null;
}

/** Whether finalize would be refused because patches are missing, unless it is forced. */
function isIncomplete(session) {
    const expected = expectedOf(session);
    return expected !== null && ((session.counts && session.counts.patches) || 0) < expected;
}

/** The sessions that became complete between two answers of the server. */
function newlyComplete(before, after) {
    const seen = new Map(before.map((session) => [session._id, session.state]));
    return after.filter((session) =>
        session.state === 'complete' && seen.has(session._id) && seen.get(session._id) !== 'complete');
}

export { actionsOf, isEditable, isIncomplete, isLive, newlyComplete, patchesText, percentOf };
