/** The settings of the plugin as forms: texts in fields, and values that are stored; nothing here needs a page. */

/**
 * @typedef {Object} Shape how a setting is shown.
 * @property {string} key
 * @property {string} title
 * @property {string} help
 * @property {string} [label] what its one field counts or lists.
 * @property {string} [placeholder] what nothing in its field means.
 * @property {'lines'|'number'|'object'|'viewers'} kind lines of a list, one number or nothing, an object of limits, or
 *   a list of programs.
 */

/** @type {Shape[]} */
const SETTINGS = [
    {
        key: 'zarr.stitch_limits', title: 'Limits of stitch sessions', kind: 'object',
        help: 'What is empty has the value that is shown in gray.'
    },
    {
        key: 'zarr.stitch_expires_hours', title: 'Sessions expire', kind: 'number',
        label: 'Hours without a change', placeholder: 'never',
        help: 'A session that nobody has changed for so long is removed with its patches. A finished image stays.'
    },
    {
        key: 'zarr.stitch_part_values', title: 'Images are made in parts', kind: 'number',
        label: 'Values of a part',
        help: 'An image of more than four times as many values (pixels times bands and frames) as a part is made by ' +
            'several workers at once.'
    },
    {
        key: 'zarr.allowed_hosts', title: 'Hosts that images may be read from', kind: 'lines',
        label: 'Hosts',
        help: 'One a line: images at addresses of other hosts are refused.'
    },
    {
        key: 'zarr.link_roots', title: 'Folders that links may lead to', kind: 'lines',
        label: 'Folders',
        help: 'One a line, on the server: links in imported images that lead elsewhere are not followed.'
    },
    {
        key: 'zarr.limits', title: 'Limits of images', kind: 'object',
        help: 'What is refused before anything is read of a file. What is empty has the value that is shown in gray.'
    },
    {
        key: 'zarr.memory_budget', title: 'Memory for pixels', kind: 'number',
        label: 'Bytes',
        help: 'What one process decodes pixels into at a time; what needs more waits.'
    },
    {
        key: 'zarr.chunk_cache_bytes', title: 'Memory for decoded chunks', kind: 'number',
        label: 'Bytes',
        help: 'Decoded chunks that one process keeps, since they are often needed again.'
    },
    {
        key: 'zarr.read_ahead', title: 'Chunks of far images read ahead', kind: 'number',
        label: 'Chunks',
        help: 'While a viewer pauses at an image at an address or in S3, so many chunks of the next slice and of the ' +
            'tiles around are asked for at most; 0: none.'
    },
    {
        key: 'zarr.style_functions', title: 'Functions that styles may call', kind: 'lines',
        label: 'Functions',
        help: 'One a line, besides those of large_image: package.module.function or package.module.*.'
    },
    {
        key: 'zarr.viewers', title: 'Programs that images are opened in', kind: 'viewers',
        help: 'What the page of an item offers, in this order. In the text {url} stands for the address of the image, ' +
            '{encoded} for the same as a part of another address, {manifest} and {info} for its addresses by IIIF.'
    }
];

/** What a program's text is. */
const VIEWER_KINDS = {
    link: 'link', address: 'address to paste', command: 'command', python: 'Python', r: 'R'
};

/** The texts of a form: {name: text}; a setting that is no object has one, called `value`; of programs it is a list. */
function textsOf({ kind }, value, standard) {
    if (kind === 'lines') {
        return { value: (value || []).join('\n') };
    }
    if (kind === 'viewers') {
        return { value: (value || standard).map((one) => ({ ...one })) };
    }
    if (kind === 'number') {
        return { value: value === null || value === undefined ? '' : String(value) };
    }
    return Object.fromEntries(Object.keys(standard).map((name) => [name, textOf((value || {})[name])]));
}

function textOf(value) {
    return value === null || value === undefined ? '' : Array.isArray(value) ? value.join(', ') : String(value);
}

/** What a form stands for. What cannot be read goes as it is: the server says what is wrong with it. */
function valueOf({ kind }, texts, standard) {
    if (kind === 'lines') {
        return texts.value.split('\n').map((line) => line.trim()).filter(Boolean);
    }
    if (kind === 'viewers') {
        return texts.value;
    }
    if (kind === 'number') {
        return texts.value.trim() ? numberOr(texts.value) : null;
    }
    const given = Object.entries(texts).filter(([, text]) => text.trim());
    return Object.fromEntries(given.map(([name, text]) => [
        name, Array.isArray(standard[name]) ? text.split(',').map((one) => one.trim()) : numberOr(text)
    ]));
}

function numberOr(text) {
    const found = Number(text);
    return Number.isFinite(found) ? found : text.trim();
}

/** The field that a refusal is about: sentences name the setting and then the limit. */
function fieldOf(message, names) {
    const rest = message.replace(/^zarr\.[a-z_]+: /, '');
    return names.find((name) => rest.startsWith(`${name}:`)) || null;
}

/**
 * The program and the field of it that a refusal is about: sentences name the program where it has a name.
 *
 * @param {string} message
 * @param {{name: string}[]} viewers
 * @returns {?{at: number, field: string}}
 */
function viewerFieldOf(message, viewers) {
    const rest = message.replace(/^zarr\.viewers: /, '');
    if (rest.startsWith('name: ')) {
        const at = viewers.findIndex(({ name }) => !name.trim() || name.length > 60);
        return { at: Math.max(at, 0), field: 'name' };
    }
    const at = viewers.findIndex(({ name }) => ['kind', 'text'].some((field) => rest.startsWith(`${name}: ${field}: `)));
    return at < 0 ? null : { at, field: rest.startsWith(`${viewers[at].name}: kind: `) ? 'kind' : 'text' };
}

export { SETTINGS, VIEWER_KINDS, fieldOf, textsOf, valueOf, viewerFieldOf };
