/**
 * The value of the setting zarr.source_priorities from what the form says.
 *
 * @param {Object[]} rows {source, extension, priority}: one a choice; an empty priority is no override.
 * @param {string[]} off the sources that are turned off as a whole.
 */
function settingFrom(rows, off) {
    const value = {};
    rows.forEach(({ source, extension, priority }) => {
        if (priority && !off.includes(source)) {
            value[source] = value[source] || {};
            value[source][extension] = priority;
        }
    });
    off.forEach((source) => {
        value[source] = 'off';
    });
    return value;
}

/** The 24 digits of an item's id, also out of the address of its page; null if there are none. */
function itemIdFrom(text) {
    const found = /(?:^|[^0-9a-f])([0-9a-f]{24})(?:$|[^0-9a-f])/i.exec(text.trim());
    return found ? found[1].toLowerCase() : null;
}

/** The sentence of a failed request. */
function messageOf(response) {
    if (response.responseJSON && response.responseJSON.message) {
        return response.responseJSON.message;
    }
    return response.status ? `The server answered with status ${response.status}.` : 'The server does not answer.';
}

export { itemIdFrom, messageOf, settingFrom };
