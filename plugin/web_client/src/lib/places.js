/** Places along axes as an address holds them; nothing here needs a page. */

/** @param {Object<string, number>} places those at the beginning are left out. */
function placesText(places) {
    return Object.entries(places).filter(([, place]) => place).map(([name, place]) => `${name},${place}`).join(';');
}

/**
 * @param {string} text of an address, whoever made it; such as `z,3;t,1`.
 * @returns {Object<string, number>} whole numbers from 0 on.
 */
function placesFrom(text) {
    const places = {};
    String(text || '').split(';').forEach((part) => {
        const [name, place] = part.split(',');
        if (name && /^\d{1,9}$/.test(place)) {
            places[name] = Number(place);
        }
    });
    return places;
}

export { placesFrom, placesText };
