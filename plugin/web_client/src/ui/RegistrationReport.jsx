import { comparedPairs, histogramOf, movedPatches, pixelsText, shiftText, worst } from '../lib/report.js';
import { ShiftPlot } from './ShiftPlot.jsx';
import { Facts } from './parts.jsx';

/** Rows of a list, and of the one of pairs that were refused. */
const WORST = 10;
const REFUSED = 50;
const BINS = 24;
const [WIDTH, HEIGHT] = [360, 80];

/** How many pairs are left with which difference. */
function Residuals({ pairs }) {
    const { counts, most } = histogramOf(pairs.map(({ length }) => length), BINS);
    const highest = Math.max(1, ...counts);
    const width = WIDTH / BINS;
    return (
        <figure class="g-zarr-residuals">
            <svg
                viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img"
                aria-label={`Histogram of what is left between ${pairs.length} pairs, from 0 to ${pixelsText(most)}`}
            >
                {counts.map((count, at) => (
                    <rect
                        key={at} x={at * width + 0.5} width={width - 1} y={HEIGHT * (1 - count / highest)}
                        height={HEIGHT * count / highest}
                    />
                ))}
            </svg>
            <figcaption class="g-zarr-hint">
                {`What is left between two neighbours after both are corrected: 0 to ${pixelsText(most)}, ${pairs.length} pairs.`}
            </figcaption>
        </figure>
    );
}

function PairTable({ caption, pairs, lengthName }) {
    return (
        <div class="table-responsive">
            <table class="table table-condensed g-zarr-pairs">
                <caption>{caption}</caption>
                <thead>
                    <tr><th scope="col">Pair</th><th scope="col">Shift (px)</th><th scope="col">{lengthName}</th><th scope="col">Correlation</th></tr>
                </thead>
                <tbody>
                    {pairs.map(({ keys, shift, length, correlation }) => (
                        <tr key={keys.join(' ')}>
                            <td>{keys.join(', ')}</td>
                            <td>{shiftText(shift)}</td>
                            <td>{pixelsText(length)}</td>
                            <td>{Number(correlation.toFixed(2))}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

function MovedTable({ moved }) {
    return (
        <div class="table-responsive">
            <table class="table table-condensed g-zarr-moved">
                <caption>Patches that were moved furthest</caption>
                <thead><tr><th scope="col">Patch</th><th scope="col">Said to lie at (px)</th><th scope="col">Moved by (px)</th><th scope="col">Length</th></tr></thead>
                <tbody>
                    {moved.map(({ key, x, y, dx, dy, length }) => (
                        <tr key={key}>
                            <td>{key}</td><td>{`x ${x}, y ${y}`}</td><td>{shiftText({ x: dx, y: dy })}</td><td>{pixelsText(length)}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

/**
 * How positions were corrected.
 *
 * @param {Object} props
 * @param {Object} props.report as `GET stitch_session/:id/report` has it, with `registration`.
 */
function RegistrationReport({ report }) {
    const { registration } = report;
    const moved = movedPatches(report);
    const pairs = comparedPairs(report);
    const used = pairs.filter(({ isUsed }) => isUsed);
    const refused = pairs.filter(({ isUsed }) => !isUsed);
    const furthest = worst(moved.filter(({ length }) => length > 0), WORST);
    return (
        <>
            <Facts
                facts={[
                    ['Pairs used', `${registration.pairsUsed} of ${registration.pairs}`],
                    ['Left between pairs', `median ${pixelsText(registration.residualMedian)}, most ${pixelsText(registration.residualMax)}`],
                    ['Corrections', `median ${pixelsText(registration.correctionMedian)}, most ${pixelsText(registration.correctionMax)}`],
                    ['Patches moved', `${registration.moved} of ${report.count}`],
                    ['Placed', registration.subpixel ? 'exactly, resampled' : 'at whole pixels']
                ]}
            />
            {pairs.length ? null : <p>No two patches overlap enough to be compared: all lie where they were said to.</p>}
            <div class="g-zarr-plots">
                {pairs.length ? <ShiftPlot moved={moved} pairs={pairs} /> : null}
                {used.length ? <Residuals pairs={used} /> : null}
            </div>
            {furthest.length ? <MovedTable moved={furthest} /> : null}
            {used.length
                ? <PairTable caption="Pairs that fit worst" pairs={worst(used, WORST)} lengthName="Left over" />
                : null}
            {refused.length
                ? (
                    <PairTable
                        caption={`Pairs that were refused: ${refused.length}${refused.length > REFUSED ? `, the ${REFUSED} with the largest shifts` : ''}`}
                        pairs={worst(refused, REFUSED)} lengthName="Length"
                    />
                )
                : <p>No pair was refused.</p>}
        </>
    );
}

export { RegistrationReport };
