/**
 * What an item's viewer shows: channels in colours and windows, and places along axes; nothing here needs a page.
 *
 * @typedef {Object} Channel
 * @property {string} name
 * @property {boolean} isActive
 * @property {string} color six hexadecimal digits.
 * @property {?number} low the value that is black; null: as the server finds it.
 * @property {?number} high the value that has the full colour.
 *
 * @typedef {Object} Axis a dimension that a slider moves along.
 * @property {string} name
 * @property {number} size
 * @property {number} stride frames between two neighbours.
 * @property {(string|number|null)[]} values
 * @property {string} unit
 */
import { unitText } from './units.js';
import { placesText } from './places.js';

/** Colours of channels that have none in the file. */
const COLORS = ['FFFFFF', '00FF00', 'FF00FF', '00FFFF', 'FF0000', '0000FF', 'FFFF00', 'FF8000'];
/** The most channels that a page opens with. */
const MAX_SHOWN = 8;
const HEX = /^[0-9A-F]{6}$/;

/**
 * The channels as the file describes them.
 *
 * @param {Object} metadata of `GET item/:id/tiles`.
 * @param {Object[]} described `channels` of the multiscale, in internal metadata; may be shorter.
 * @returns {Channel[]} none where frames are pictures in themselves.
 */
function channelsOf(metadata, described) {
    if (metadata.bandCount !== 1) {
        return [];
    }
    const count = (metadata.IndexRange || {}).IndexC || 1;
    const names = metadata.channels || [];
    if (count === 1 && !described.length) {
        return [];
    }
    const colors = Array.from({ length: count }, (_, at) => String((described[at] || {}).color || '').toUpperCase());
    // Many programs call every channel white; of such only the first is shown.
    const isAlike = count > 1 && new Set(colors).size === 1;
    return colors.map((color, at) => {
        const found = described[at] || {};
        return {
            name: found.label || names[at] || `Channel ${at}`,
            isActive: isAlike ? at === 0 : found.active !== false && at < MAX_SHOWN,
            color: HEX.test(color) && !isAlike ? color : COLORS[at % COLORS.length],
            ...windowOf(found.window, metadata.dtype)
        };
    });
}

/** A window that is no more than the range of the type says nothing. */
function windowOf(found, dtype) {
    const none = { low: null, high: null };
    if (!found || !(found.start < found.end)) {
        return none;
    }
    const bits = /^uint(8|16|32)$/.exec(dtype);
    return bits && found.start <= 0 && found.end >= 2 ** Number(bits[1]) - 1 ? none : { low: found.start, high: found.end };
}

/**
 * The window in which the server shows a channel that has none: as many bits as its values need, or all there is.
 *
 * @param {{min: number, max: number}} histogram
 * @param {string} dtype
 * @returns {[number, number]}
 */
function guessedWindow({ min, max }, dtype) {
    if (dtype === 'uint8') {
        return [0, 255];
    }
    if (min < 0) {
        return [min, max > min ? max : min + 1];
    }
    return [0, max <= 1 ? 1 : 2 ** Math.ceil(Math.log2(max + 1)) - 1];
}

/**
 * @param {Object} metadata of `GET item/:id/tiles`.
 * @param {Object[]} described `axes` of the multiscale, in internal metadata.
 * @returns {Axis[]}
 */
function axesOf(metadata, described) {
    const { IndexRange = {}, IndexStride = {}, frames = [] } = metadata;
    return Object.entries(IndexRange).filter(([key, size]) => key !== 'IndexC' && size > 1).map(([key, size]) => {
        const name = key.slice('Index'.length).toLowerCase();
        const stride = IndexStride[key];
        const axis = described.find((one) => one.name.toLowerCase() === name);
        return {
            name, size, stride, unit: (axis && axis.unit) || '',
            values: Array.from({ length: size }, (_, at) => {
                const frame = frames[at * stride] || {};
                const value = key === 'IndexXY' ? frame.Series : frame[`Value${key.slice('Index'.length)}`];
                return value === undefined ? null : value;
            })
        };
    });
}

/** Whether frames along `xy` are fields of a plate or of a well. */
function hasFields({ frames = [] }) {
    return frames.length > 0 && frames[0].Field !== undefined;
}

/** The frame at places along axes, with the first channel. */
function frameOf(axes, places) {
    return axes.reduce((frame, { name, stride }) => frame + (places[name] || 0) * stride, 0);
}

/**
 * large_image's style: channels that are shown added up, relative to a frame.
 *
 * @param {Channel[]} channels
 * @param {number} stride frames between two channels.
 * @returns {Object|undefined}
 */
function styleOf(channels, stride) {
    if (!channels.length) {
        return undefined;
    }
    const bands = channels.map(({ isActive, color, low, high }, at) => isActive && {
        band: 1, framedelta: at * stride, palette: `#${color}`, composite: 'add',
        ...(low === null ? {} : { min: low }), ...(high === null ? {} : { max: high })
    }).filter(Boolean);
    return { bands: bands.length ? bands : [{ band: 1, palette: '#000000', composite: 'add' }] };
}

/** What a slider says of its place: `3 of 20, 1.5 micrometer`. */
function placeText({ size, values, unit }, at) {
    const value = values[at];
    const shown = typeof value === 'number' ? String(Number(value.toPrecision(6))) : value;
    return `${at + 1} of ${size}${shown === null || shown === undefined ? '' : `, ${shown}${unit ? ` ${unitText(unit)}` : ''}`}`;
}

/** A choice as it stands in an address: what differs from the file. */
function choiceOf(channels, places, standard) {
    const text = channels.map(({ isActive, color, low, high }) => (
        [isActive ? 1 : 0, color, low === null ? '' : low, high === null ? '' : high].join(','))).join(';');
    const usual = standard.map(({ isActive, color, low, high }) => (
        [isActive ? 1 : 0, color, low === null ? '' : low, high === null ? '' : high].join(','))).join(';');
    const at = placesText(places);
    return { ...(text === usual ? {} : { channels: text }), ...(at ? { at } : {}) };
}

/**
 * The choice in an address; what is not of this image is passed over.
 *
 * @param {{channels: string, at: string}} query
 * @param {Channel[]} standard
 * @param {Axis[]} axes
 */
function choiceFrom({ channels = '', at = '' }, standard, axes) {
    const given = channels.split(';');
    const found = standard.map((channel, number) => {
        const [active, color = '', low = '', high = ''] = (given[number] || '').split(',');
        const limits = [low, high].map((text) => (text === '' ? null : Number(text)));
        if (given.length !== standard.length || !HEX.test(color) || limits.some(Number.isNaN)) {
            return channel;
        }
        return { ...channel, isActive: active === '1', color, low: limits[0], high: limits[1] };
    });
    const places = {};
    at.split(';').map((one) => one.split(',')).forEach(([name, text]) => {
        const axis = axes.find((one) => one.name === name);
        const place = Number(text);
        if (axis && Number.isInteger(place) && place >= 0 && place < axis.size) {
            places[name] = place;
        }
    });
    return { channels: found, places };
}

/**
 * The outline of a histogram as the points of an SVG, by the logarithm of the counts.
 *
 * @param {number[]} counts
 * @param {number} width
 * @param {number} height
 */
function outlineOf(counts, width, height) {
    const most = Math.log1p(Math.max(1, ...counts));
    const points = counts.flatMap((count, at) => {
        const y = (height * (1 - Math.log1p(count) / most)).toFixed(1);
        return [`${(width * at / counts.length).toFixed(1)},${y}`, `${(width * (at + 1) / counts.length).toFixed(1)},${y}`];
    });
    return `0,${height} ${points.join(' ')} ${width},${height}`;
}

export { axesOf, channelsOf, choiceFrom, choiceOf, frameOf, guessedWindow, hasFields, outlineOf, placeText, styleOf };
