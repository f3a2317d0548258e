import { load } from '../load';

const { View } = girder.views;

/**
 * Show a part of a page in an element once it is loaded.
 *
 * @param {HTMLElement} element
 * @param {'folder'|'stitch'|'item'|'admin'} page its module, and
 * @param {string} part the function of it that shows the part: it takes element and props and returns what removes it.
 * @param {Object} props
 * @returns {function(): void} removes it.
 */
function mount(element, page, part, props) {
    let remove = () => {};
    let isGone = false;
    load(page).then((module) => {
        if (!isGone) {
            remove = module[part](element, props);
        }
        return null;
    }).catch((error) => {
        element.textContent = 'This part of the page could not be loaded. Reload the page to try again.';
        throw error;
    });
    return () => {
        isGone = true;
        remove();
    };
}

/** A whole page of ours as a view that Girder's router shows. */
const PageView = View.extend({
    initialize: function ({ page, part, props }) {
        this._unmount = mount(this.el, page, part, props);
    },

    destroy: function () {
        this._unmount();
        View.prototype.destroy.apply(this, arguments);
    }
});

export { PageView, mount };
