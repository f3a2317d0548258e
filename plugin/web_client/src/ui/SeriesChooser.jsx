/** The images of a file of several, on the page of an item. */
import { keepInAddress } from '../lib/address.js';
import { sizeText, togetherText } from '../lib/series.js';
import { usePicture } from './LazyPicture.jsx';

const SIDE = 64;

function Choice({ value, title, text, isChosen, onChoose, children }) {
    return (
        <li>
            <label class="g-zarr-series-one">
                <input type="radio" name="g-zarr-series" value={value} checked={isChosen} onChange={onChoose} />
                {children}
                <span class="g-zarr-series-text"><b>{title}</b><span class="g-zarr-hint">{text}</span></span>
            </label>
        </li>
    );
}

function Picture({ file, number }) {
    const [element, { kind, url }] = usePicture(file, number, SIDE);
    return (
        <span ref={element} class="g-zarr-series-picture" data-status={kind} aria-hidden="true">
            {url ? <img src={url} alt="" draggable={false} /> : null}
        </span>
    );
}

/**
 * @param {Object} props
 * @param {string} props.itemId
 * @param {{series: import('../lib/series.js').Series[], seriesCount: number, version: string}} props.images
 * @param {import('../lib/shown.js').Shown} props.shown
 * @param {import('../lib/shown.js').Choice} props.choice what is shown now.
 */
function SeriesChooser({ itemId, images, shown, choice }) {
    const { series, seriesCount, version } = images;
    const together = series.filter(({ isShown }) => isShown);
    function choose(value) {
        shown.choose({ series: value });
        keepInAddress({ at: null, view: null, label: null, series: value });
    }
    // Where one image alone is shown without a choice, it is called by its name.
    const usual = together.length === 1 ? String(together[0].series) : null;
    const now = choice.series === null ? usual : choice.series;
    const isListed = now === null || series.some((one) => String(one.series) === now);
    return (
        <fieldset class="g-zarr-series">
            <legend>{`${seriesCount} images in this file`}</legend>
            <ul>
                {usual === null
                    ? (
                        <Choice
                            value="" title={togetherText(together.length, seriesCount)} text="one after the other, by a slider"
                            isChosen={now === null} onChoose={() => choose(null)}
                        />
                    )
                    : null}
                {series.map((one) => (
                    <Choice
                        key={one.series} value={one.series} title={one.title} text={sizeText(one)}
                        isChosen={now === String(one.series)}
                        onChoose={() => choose(String(one.series) === usual ? null : String(one.series))}
                    >
                        <Picture file={{ itemId, version }} number={one.series} />
                    </Choice>
                ))}
            </ul>
            {isListed ? null : <p class="g-zarr-hint">{`Shown is ${now}.`}</p>}
            {seriesCount > series.length
                ? <p class="g-zarr-hint">{`${seriesCount - series.length} more are not listed; ?series= and a number in the address shows them.`}</p>
                : null}
        </fieldset>
    );
}

export { SeriesChooser };
