/** What belongs to a page is loaded when it is opened; the names come from build.js. */

/* global __PAGES__ */
const base = document.currentScript ? document.currentScript.src : window.location.href;

/**
 * @param {'folder'|'stitch'|'item'|'admin'} name
 * @returns {Promise<Object>} the module of a page.
 */
function load(name) {
    return import(/* @vite-ignore */ new URL(__PAGES__[name], base).href);
}

export { load };
