/** Share links: when they end, and which programs open what they name; nothing here needs a page. */

/** How long a link holds: what the server takes as hours from now, and a day of one's own. */
const LASTS = { '': 'for ever', 24: 'a day', 168: 'a week', 720: '30 days', 8760: 'a year', day: 'until a day' };
/** What comes before the keys of an image whose codec a program lacks. */
const TRANSCODED = '@zstd';

/**
 * What is sent to make a link.
 *
 * @param {{itemId: string}|{folderId: string}|{sessionId: string}} target
 * @param {{label: string, lasts: string, day: string}} form `day` as a date field has it, in the time zone of the page.
 */
function requestOf(target, { label, lasts, day }) {
    const json = { ...target, label: label.trim() };
    if (lasts === 'day') {
        const end = new Date(`${day}T23:59:59`);
        // What is no day goes as it is: the server says what is wrong with it.
        json.expires = Number.isNaN(end.getTime()) ? day : end.toISOString();
    } else if (lasts) {
        json.expires = Number(lasts);
    }
    return json;
}

/**
 * The programs in the order of the list: those that a click opens, and those that something is copied for.
 *
 * @param {{name: string, kind: string, text: string}[]} viewers as `GET zarr_link/viewers` has them.
 */
function groupsOf(viewers) {
    const isLink = ({ kind, text }) => kind === 'link' && /^https?:\/\//.test(text);
    return { links: viewers.filter(isLink), texts: viewers.filter(({ kind }) => kind !== 'link') };
}

/** The address below which a link's image has its keys, as programs take it: some put a slash behind a slash. */
function addressOf(url, { transcoded }) {
    return url.replace(/\/$/, '') + (transcoded ? `/${TRANSCODED}` : '');
}

/** Whether pages that come over https cannot read from an address. */
function isInsecure(url) {
    const { protocol, hostname } = new URL(url);
    return protocol === 'http:' && !['localhost', '127.0.0.1', '[::1]'].includes(hostname);
}

/** How often a link was used. */
function usesText({ uses }) {
    return uses === 0 ? 'not used yet' : uses === 1 ? 'used once' : `used ${uses} times`;
}

/** Whether a link has ended by itself. */
function hasEnded({ expires }, now = new Date()) {
    return Boolean(expires) && new Date(expires) <= now;
}

export { LASTS, addressOf, groupsOf, hasEnded, isInsecure, requestOf, usesText };
