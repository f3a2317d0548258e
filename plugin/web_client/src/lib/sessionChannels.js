/** The channels of a session's image: the patches of each stand behind those of the others, as frames do. */
import { channelsOf, styleOf } from './channels.js';
import { frameAxes } from './preview.js';

/**
 * The channels as the spec describes them, where there are several to choose among.
 *
 * @param {Object} metadata of `GET stitch_session/:id/tiles`.
 * @returns {import('./channels.js').Channel[]} none where there is one channel, or frames are pictures in colour.
 */
function sessionChannels(metadata) {
    const { IndexRange: { IndexC = 1 } = {}, IndexStride: { IndexC: stride = 1 } = {}, frames = [] } = metadata;
    if (IndexC < 2) {
        return [];
    }
    const described = Array.from({ length: IndexC }, (_, at) => {
        const { Channel: label, Color = '', Window: window } = frames[at * stride] || {};
        return { label, color: Color.replace('#', ''), window };
    });
    return channelsOf(metadata, described);
}

/**
 * What sliders move along: the channels not, where they are chosen by name.
 *
 * @param {Object} metadata
 * @param {import('./channels.js').Channel[]} channels
 */
function slidersOf(metadata, channels) {
    return frameAxes(metadata).filter(({ name }) => name !== 'c' || !channels.length);
}

/** large_image's style that adds up the channels that are shown, or nothing where there is no choice. */
function sessionStyle(metadata, channels) {
    return styleOf(channels, (metadata.IndexStride || {}).IndexC || 1);
}

/**
 * Whether a patch lies on the planes that are looked at.
 *
 * @param {Object<string, number>} index along the axes that it names.
 * @param {{name: string, count: number}[]} axes that sliders move along.
 * @param {Object<string, number>} places along them.
 * @param {import('./channels.js').Channel[]} channels
 * @param {Object<string, number[]>} [bounds] of the session: indices of patches count from there.
 */
function isOnPlane(index, axes, places, channels, bounds = {}) {
    // Where an axis is declared it counts from 0, and may be longer than what has come.
    const from = (name, count) => {
        const [first, end] = (bounds && bounds[name]) || [0, 0];
        return end - first === count ? first : 0;
    };
    const isThere = axes.every(({ name, count }) => (
        index[name] === undefined || index[name] - from(name, count) === Math.min(places[name] || 0, count - 1)));
    const channel = channels[(index.c || 0) - from('c', channels.length)];
    return isThere && (!channel || channel.isActive);
}

export { isOnPlane, sessionChannels, sessionStyle, slidersOf };
