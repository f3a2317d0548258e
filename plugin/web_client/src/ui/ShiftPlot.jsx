import { arrowFactor, stepOf } from '../lib/report.js';

/** A picture is so many units wide, whatever the image is. */
const WIDTH = 640;
const HEAD = 0.3;

const line = (from, to) => `M${from.map((value) => value.toFixed(1))}L${to.map((value) => value.toFixed(1))}`;

/** An arrow's shaft and head as the path of an SVG. */
function arrowPath([x, y], [toX, toY]) {
    const [dx, dy] = [toX - x, toY - y];
    const wing = (side) => [toX - HEAD * dx + side * HEAD * dy / 2, toY - HEAD * dy - side * HEAD * dx / 2];
    return `${line([x, y], [toX, toY])}${line(wing(1), [toX, toY])}${line(wing(-1), [toX, toY])}`;
}

/** The box around positions, with room for arrows at its edges. */
function frameOf(moved) {
    const [xs, ys] = [moved.map(({ x }) => x), moved.map(({ y }) => y)];
    const least = (values) => values.reduce((found, value) => Math.min(found, value), Infinity);
    const most = (values) => values.reduce((found, value) => Math.max(found, value), -Infinity);
    const box = { x: least(xs), y: least(ys), width: most(xs) - least(xs), height: most(ys) - least(ys) };
    const columns = Math.max(1, new Set(xs.map((value) => Math.round(value / Math.max(1, box.width / 50)))).size);
    const margin = Math.max(1, box.width / Math.max(1, columns - 1), box.height / 20) * 0.6;
    return {
        x: box.x - margin, y: box.y - margin, width: box.width + 2 * margin, height: box.height + 2 * margin
    };
}

/**
 * Where patches were found to lie: an arrow from where each was said to be, and the pairs that were compared as lines.
 *
 * @param {Object} props
 * @param {import('../lib/report.js').Moved[]} props.moved
 * @param {Object[]} props.pairs as `comparedPairs` has them.
 */
function ShiftPlot({ moved, pairs }) {
    const frame = frameOf(moved);
    const scale = WIDTH / Math.max(frame.width, frame.height);
    const at = ({ x, y }) => [(x - frame.x) * scale, (y - frame.y) * scale];
    const factor = arrowFactor(moved, stepOf(moved, frame));
    const lines = (isUsed) => pairs.filter((pair) => pair.ends && pair.isUsed === isUsed)
        .map(({ ends: [one, other] }) => line(at(one), at(other))).join('');
    const shifted = moved.filter(({ length }) => length > 0);
    const arrows = shifted.map(({ x, y, dx, dy }) => (
        arrowPath(at({ x, y }), at({ x: x + factor * dx, y: y + factor * dy })))).join('');
    const dots = moved.map((place) => `M${at(place).map((value) => value.toFixed(1))}h0`).join('');
    const refused = pairs.filter(({ isUsed }) => !isUsed).length;
    return (
        <figure class="g-zarr-shifts">
            <svg
                viewBox={`0 0 ${frame.width * scale} ${frame.height * scale}`} role="img" data-factor={factor}
                aria-label={`Map of ${moved.length} positions: ${shifted.length} were shifted, ${refused} of ${pairs.length} pairs were refused.`}
            >
                <path class="g-zarr-shift-used" d={lines(true)} />
                <path class="g-zarr-shift-refused" d={lines(false)} />
                <path class="g-zarr-shift-place" d={dots} />
                <path class="g-zarr-shift-arrow" d={arrows} />
            </svg>
            <figcaption class="g-zarr-hint">
                {`Arrows lead from where patches were said to lie to where they were found${factor > 1 ? `, drawn ${factor} times as long` : ''}. `}
                {'Lines join the pairs that were compared'}{refused ? '; those in red, broken, were refused.' : '.'}
            </figcaption>
        </figure>
    );
}

export { ShiftPlot };
