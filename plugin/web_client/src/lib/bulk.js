/** The same done with several sessions; nothing here needs a page. */
import { actionsOf, isIncomplete } from './sessions.js';

/** Requests at a time: the others of the server go on. */
const AT_ONCE = 4;
const DONE = { finalize: 'is being made', cancel: 'is cancelled', delete: 'is deleted' };

/** Why an action passes a session over, or null. */
function hindrance(session, action) {
    if (!actionsOf(session).includes(action)) {
        return `is ${session.state}`;
    }
    if (action === 'finalize' && !session.counts.patches) {
        return 'has no patches';
    }
    if (action === 'finalize' && isIncomplete(session)) {
        return 'lacks patches; it can be finalized on its own page all the same';
    }
    return null;
}

/**
 * Which of the chosen sessions an action can be done with.
 *
 * @param {Object[]} sessions
 * @param {'finalize'|'cancel'|'delete'} action
 */
function ableTo(sessions, action) {
    return sessions.filter((session) => hindrance(session, action) === null);
}

/** What is asked before: [question, what the button says]. */
function bulkQuestion(sessions, action) {
    const able = ableTo(sessions, action);
    const patches = able.reduce((sum, { counts }) => sum + counts.patches, 0);
    const which = able.length === 1 ? `the session "${able[0].name}"` : `${able.length} sessions`;
    const left = sessions.length - able.length;
    const rest = left ? ` ${left} of the ${sessions.length} chosen ${left === 1 ? 'is' : 'are'} passed over.` : '';
    const questions = {
        finalize: [`Make the ${able.length === 1 ? 'image' : 'images'} of ${which}?`, 'Finalize'],
        cancel: [`Cancel ${which}? Patches stay.`, 'Cancel them'],
        delete: [`Delete ${which} with ${patches} ${patches === 1 ? 'patch' : 'patches'}? Finished images stay.`, 'Delete']
    };
    const [question, yes] = questions[action];
    return [question + rest, yes];
}

/**
 * Do something with each of several sessions, whatever becomes of the others.
 *
 * @param {Object[]} sessions as they were chosen.
 * @param {string} action
 * @param {Object} outside
 * @param {function(Object): Promise<Object>} outside.look the session as it is now.
 * @param {function(Object, string): Promise} outside.act
 * @param {function(number): void} [outside.onProgress] gets how many are done with.
 * @returns {Promise<{session: Object, isDone: boolean, text: string, status: ?number}[]>} in the order of the sessions.
 */
async function actOnAll(sessions, action, { look, act, onProgress = () => {} }) {
    const outcomes = new Array(sessions.length);
    let next = 0;
    let done = 0;
    async function work() {
        while (next < sessions.length) {
            const at = next;
            next += 1;
            outcomes[at] = await outcomeOf(sessions[at], action, look, act);
            done += 1;
            onProgress(done);
        }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return outcomes;
}

async function outcomeOf(session, action, look, act) {
    try {
        // What was chosen may be minutes old.
        const now = await look(session);
        const reason = hindrance(now, action);
        if (reason !== null) {
            return { session, isDone: false, text: reason };
        }
        await act(now, action);
        return { session, isDone: true, text: DONE[action] };
    } catch (error) {
        return { session, isDone: false, text: error.message, status: error.status };
    }
}

export { ableTo, actOnAll, bulkQuestion, hindrance };
