/** What a list of sessions shows, as it stands in the page's address; nothing here needs a page. */

const PAGE = 25;
const ORDERS = {
    created: 'newest first', updated: 'changed last first', name: 'by name', state: 'by state'
};
const STATES = ['open', 'finalizing', 'complete', 'error', 'cancelled'];
const NOTHING = { name: '', state: '', order: 'created', page: 0, everybody: false, creatorId: '' };

/**
 * @param {Object<string, string>} query of an address.
 * @param {boolean} isAdmin who alone sees the sessions of others.
 */
function filtersFrom(query, isAdmin) {
    const page = Number(query.page);
    return {
        name: query.name || '',
        state: STATES.includes(query.state) ? query.state : '',
        order: Object.hasOwn(ORDERS, query.order) ? query.order : NOTHING.order,
        page: Number.isInteger(page) && page > 0 ? page : 0,
        everybody: isAdmin && (query.everybody === '1' || Boolean(query.creatorId)),
        creatorId: isAdmin && /^[0-9a-f]{24}$/.test(query.creatorId) ? query.creatorId : ''
    };
}

/** The part of an address behind its question mark; empty where the list shows what it usually does. */
function addressFrom(filters) {
    const parameters = new URLSearchParams();
    Object.entries(filters).filter(([name, value]) => value !== NOTHING[name]).forEach(([name, value]) => {
        parameters.set(name, value === true ? '1' : String(value));
    });
    return parameters.toString();
}

/** What the server is asked for. */
function queryFrom({ name, state, order, page, everybody, creatorId }) {
    return {
        limit: PAGE, offset: page * PAGE, sort: order, sortdir: order === 'name' || order === 'state' ? 1 : -1,
        ...(name.trim() ? { name: name.trim() } : {}), ...(state ? { state } : {}), ...(everybody ? { everybody } : {}),
        ...(creatorId ? { creatorId } : {})
    };
}

/**
 * The filters after something was chosen.
 *
 * The server is asked for a name that is typed only when typing rests. What is chosen before that comes after the name all
 * the same: the next page is then the second one of what was typed, and is not taken back when the typing has rested.
 *
 * @param {Object} filters that the list has been asked for with.
 * @param {string} typed the name in its field.
 * @param {Object} changed what was chosen; `step` in the place of a page turns so many pages.
 */
function filtersAfter(filters, typed, { step, ...changed }) {
    const page = typed === filters.name ? filters.page : 0;
    return { ...filters, name: typed, page: step ? Math.max(0, page + step) : 0, ...changed };
}

export { NOTHING, ORDERS, PAGE, STATES, addressFrom, filtersAfter, filtersFrom, queryFrom };
