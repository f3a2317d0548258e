/** What somebody has chosen on a page, kept in Girder's address: the query behind the `#`. */

const { router } = girder;
const { parseQueryString } = girder.misc;

/** @returns {Object<string, string>} */
function addressQuery() {
    return parseQueryString(window.location.hash.split('?')[1] || '');
}

/**
 * Change parts of the address in place: the browser's history does not grow, and no page is opened.
 *
 * @param {Object<string, ?(string|number)>} changes null or an empty text takes the part away.
 */
function keepInAddress(changes) {
    const query = { ...addressQuery(), ...changes };
    const kept = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
    const text = new URLSearchParams(kept).toString();
    const path = window.location.hash.slice(1).split('?')[0];
    router.navigate(`${path}${text ? `?${text}` : ''}`, { replace: true });
}

export { addressQuery, keepInAddress };
