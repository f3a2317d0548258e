/**
 * Messages at the lower edge of the window. Girder's own lie over the buttons of our pages, hold no link, and go while
 * somebody reads them. The page is as much longer as they are high, so that what they cover can be scrolled to.
 */

const SECONDS = 6;
/** Whoever may take something back is given time to think. */
const ACTION_SECONDS = 20;

/** In full screen nothing is seen but what lies in the element that fills it. */
function place(element) {
    const parent = document.fullscreenElement || document.body;
    if (element.parentNode !== parent) {
        parent.appendChild(element);
    }
}

function container() {
    let element = document.querySelector('.g-zarr-toasts');
    if (!element) {
        element = document.createElement('div');
        element.className = 'g-zarr-toasts';
        element.setAttribute('role', 'status');
        element.setAttribute('aria-label', 'Messages');
        document.addEventListener('fullscreenchange', () => place(element));
        place(element);
    }
    return element;
}

function makeRoom() {
    const element = container();
    document.body.style.paddingBottom = element.children.length ? `${element.offsetHeight + 20}px` : '';
}

function made(tag, className, text) {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text;
    if (tag === 'button') {
        element.type = 'button';
    }
    return element;
}

/** Removes a message after a while in which it is neither pointed at nor has the focus. */
function removeLater(element, seconds, remove) {
    let timer = null;
    const stop = () => window.clearTimeout(timer);
    const start = () => {
        stop();
        timer = window.setTimeout(remove, 1000 * seconds);
    };
    ['mouseenter', 'focusin'].forEach((name) => element.addEventListener(name, stop));
    ['mouseleave', 'focusout'].forEach((name) => element.addEventListener(name, start));
    start();
    return stop;
}

/**
 * Show a message for some seconds.
 *
 * @param {string} text
 * @param {'success'|'warning'} [type]
 * @param {Object} [more]
 * @param {{href: string, text: string}} [more.link]
 * @param {{text: string, run: function(): void}} [more.action] such as to take back what was done.
 */
function toast(text, type = 'success', { link, action } = {}) {
    const element = made('div', `g-zarr-toast g-zarr-toast-${type}`, '');
    let stop = () => {};
    const remove = () => {
        stop();
        const had = element.contains(document.activeElement);
        element.remove();
        makeRoom();
        const page = document.querySelector('.g-zarr-page h1');
        if (had && page) {
            page.tabIndex = -1;
            page.focus();
        }
    };
    element.appendChild(made('span', 'g-zarr-toast-text', text));
    if (link) {
        const anchor = made('a', '', link.text);
        anchor.href = link.href;
        anchor.addEventListener('click', remove);
        element.appendChild(anchor);
    }
    if (action) {
        const button = made('button', 'btn btn-default btn-xs', action.text);
        button.addEventListener('click', () => {
            remove();
            action.run();
        });
        element.appendChild(button);
    }
    const close = made('button', 'g-zarr-toast-close', '×');
    close.setAttribute('aria-label', 'Close the message');
    close.addEventListener('click', remove);
    element.appendChild(close);
    place(container());
    container().appendChild(element);
    stop = removeLater(element, action ? ACTION_SECONDS : SECONDS, remove);
    makeRoom();
}

export { toast };
