/** What stands in the page's address, behind the `#` and the route; links to a page show the same. */

const { router } = girder;
const { parseQueryString } = girder.misc;

/** @returns {Object<string, string>} */
function addressQuery() {
    return parseQueryString(window.location.hash.split('?')[1] || '');
}

/**
 * Put a choice into the address in place of the one before; keys of others stay.
 *
 * @param {string[]} keys that are the caller's.
 * @param {Object<string, ?(string|number)>} choice what is null is left out.
 */
function keepInAddress(keys, choice) {
    const query = { ...addressQuery(), ...Object.fromEntries(keys.map((key) => [key, null])), ...choice };
    const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
    const text = new URLSearchParams(given).toString();
    const path = window.location.hash.slice(1).split('?')[0];
    router.navigate(`${path}${text ? `?${text}` : ''}`, { replace: true });
}

export { addressQuery, keepInAddress };
