/** What the preview of a session shows in words and numbers; nothing here needs a page. */
import { isIncomplete, patchesText } from './sessions.js';

/** Where the patches lie, axis by axis. */
function boundsText(session) {
    const { bounds } = session;
    return bounds
        ? Object.entries(bounds).map(([axis, [first, end]]) => `${axis} ${first} to ${end - 1}`).join(', ')
        : '';
}

/**
 * How much of the image has arrived. Whole percent are not rounded up to 100 while something is missing, and where it is
 * known how many patches there will be, they count: what has come may be covered wholly and still be half of the image.
 *
 * @param {number} [waiting] how many patches have arrived and are not in the picture yet.
 */
function coverageText(coverage, session, waiting = 0) {
    if (!coverage) {
        return '';
    }
    const percent = 100 * coverage.covered;
    const shown = percent < 100 ? Math.min(99.9, Math.round(percent * 10) / 10) : 100;
    const { holes } = coverage;
    const count = holes.length >= 50 ? '50 or more' : holes.length;
    const noun = holes.length === 1 ? 'hole' : 'holes';
    const arrived = isIncomplete(session) ? patchesText(session) : `${shown} % covered`;
    return arrived + (holes.length ? `, ${count} ${noun}` : '') + (waiting ? `, ${waiting} not shown yet` : '');
}

/** A time in seconds, or nothing where it is not known. */
function timeLeftText(seconds) {
    if (seconds === null || seconds === undefined) {
        return '';
    }
    if (seconds < 90) {
        return `${seconds} s left`;
    }
    return seconds < 5400 ? `${Math.round(seconds / 60)} min left` : `${Math.round(seconds / 3600)} h left`;
}

/** The axes that a user can move along: {name, count, stride}. */
function frameAxes(metadata) {
    const { IndexRange: range = {}, IndexStride: stride = {} } = metadata;
    return Object.keys(range).filter((key) => range[key] > 1).map((key) => ({
        name: key.replace(/^Index/, '').toLowerCase(), count: range[key], stride: stride[key]
    }));
}

/** The number of the frame at a place along each axis; places beyond the end count as the last. */
function frameAt(axes, places) {
    return axes.reduce((frame, { name, count, stride }) =>
        frame + Math.min(places[name] || 0, count - 1) * stride, 0);
}

/** Whether two states of a session are shown on the same map. */
function sameGeometry(before, after) {
    return ['sizeX', 'sizeY', 'levels', 'tileWidth', 'tileHeight'].every((key) => before[key] === after[key]) &&
        before.stitchSession.origin.x === after.stitchSession.origin.x &&
        before.stitchSession.origin.y === after.stitchSession.origin.y;
}

/**
 * What is seen of one map, on the map of another state of the session.
 *
 * @param {Object} view {center: {x, y}, zoom}: in pixels of the image, and as GeoJS counts levels.
 */
function movedView(view, before, after) {
    const from = before.stitchSession.origin;
    const to = after.stitchSession.origin;
    return {
        center: { x: view.center.x + from.x - to.x, y: view.center.y + from.y - to.y },
        zoom: view.zoom + after.levels - before.levels
    };
}

export { boundsText, coverageText, frameAt, frameAxes, movedView, sameGeometry, timeLeftText };
