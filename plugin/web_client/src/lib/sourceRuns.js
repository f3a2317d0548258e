/** Runs over the sources of items in words; nothing here needs a page. */

const items = (count) => `${count} ${count === 1 ? 'item' : 'items'}`;

const KINDS = { count: 'Count', change: 'Change', undo: 'Undo' };

/** What the states of items mean. */
const STATES = {
    found: 'would be opened by another source',
    changing: 'being changed',
    changed: 'changed',
    undone: 'put back',
    failed: 'cannot be opened',
    kept: 'left as they are'
};

/** @param {{type: string, name: ?string}} scope */
function scopeText({ type, name }) {
    return type === 'all' ? 'all items' : `${type} ${name}`;
}

/** What a run has found, as in "12 changed, 1 cannot be opened". */
function countsText({ counts, state }) {
    const found = Object.entries(STATES).filter(([name]) => counts[name]).map(([name, text]) => `${counts[name]} ${text}`);
    if (found.length) {
        return found.join(', ');
    }
    return state === 'running' ? '' : 'every item has its first choice';
}

/** How far a run is, in percent; null while it is not known. */
function percentOf({ examined, total }) {
    return total ? Math.min(100, Math.floor((100 * examined) / total)) : null;
}

/** How far a run is, in words. */
function progressText(run) {
    if (run.total === null) {
        return 'Waiting for a worker';
    }
    return [`${run.examined} of ${items(run.total)}`, countsText(run)].filter(Boolean).join(': ');
}

export { KINDS, STATES, countsText, items, percentOf, progressText, scopeText };
