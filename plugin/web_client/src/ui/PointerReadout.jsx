import { useEffect, useState } from 'preact/hooks';
import { Asker, physicalText, propertiesText } from '../lib/pointerValues.js';
import { useLatest } from './hooks.js';

/** What a map is called, and how it is moved, for people who hear it. */
const MAP_LABEL = 'Image. Arrow keys move it, plus and minus zoom; the values in its middle are read out below.';

/**
 * The pixel under the mouse, or in the middle of a map that the keyboard moves.
 *
 * @returns {?{x: number, y: number, byKeys: boolean}}
 */
function usePixel(map, { sizeX, sizeY }) {
    const [pixel, setPixel] = useState(null);
    useEffect(() => {
        if (!map) {
            return undefined;
        }
        const { event } = window.geo;
        const node = map.node()[0];
        let byKeys = false;
        const put = (geo) => {
            const x = Math.floor(geo.x);
            const y = Math.floor(geo.y);
            setPixel(x >= 0 && y >= 0 && x < sizeX && y < sizeY ? { x, y, byKeys } : null);
        };
        const setKeys = (isOn) => {
            byKeys = isOn;
            node.classList.toggle('g-zarr-by-keys', isOn);
        };
        const pointed = ({ geo }) => {
            setKeys(false);
            put(geo);
        };
        const moved = () => byKeys && put(map.center());
        const pressed = () => {
            if (!byKeys && document.activeElement === node) {
                setKeys(true);
                put(map.center());
            }
        };
        const left = () => {
            setKeys(false);
            setPixel(null);
        };
        const away = () => byKeys || setPixel(null);
        node.setAttribute('role', 'application');
        node.setAttribute('aria-label', MAP_LABEL);
        map.geoOn(event.mousemove, pointed);
        map.geoOn([event.pan, event.zoom], moved);
        node.addEventListener('keydown', pressed);
        node.addEventListener('blur', left);
        node.addEventListener('mouseleave', away);
        return () => {
            setKeys(false);
            map.geoOff(event.mousemove, pointed);
            map.geoOff([event.pan, event.zoom], moved);
            node.removeEventListener('keydown', pressed);
            node.removeEventListener('blur', left);
            node.removeEventListener('mouseleave', away);
        };
    }, [map, sizeX, sizeY]);
    return pixel;
}

/**
 * What the server says of a pixel.
 *
 * @param {?{x: number, y: number}} pixel
 * @param {string} about tells questions about the same pixel from each other.
 * @param {function({x: number, y: number}): Promise<Object>} ask
 * @returns {{answer: ?Object, failure: ?Error}} nothing while it is asked for.
 */
function useValues(pixel, about, ask) {
    const [found, setFound] = useState({});
    const [asker, setAsker] = useState(null);
    const latest = useLatest(ask);
    const at = pixel ? `${pixel.x} ${pixel.y} ${about}` : '';
    useEffect(() => {
        const made = new Asker((question) => latest.current(question), ({ key }, answer, failure) => setFound({ key, answer, failure }));
        setAsker(made);
        return () => made.stop();
    }, []);
    useEffect(() => {
        if (asker) {
            asker.want(pixel && { key: at, x: pixel.x, y: pixel.y });
        }
    }, [asker, at]);
    return { isNew: found.key === at, answer: found.answer, failure: found.failure };
}

function Color({ rgba: [red, green, blue, alpha] }) {
    return <i class="g-zarr-swatch" style={{ background: `rgba(${red}, ${green}, ${blue}, ${alpha / 255})` }} aria-hidden="true" />;
}

/**
 * Position and values under the mouse.
 *
 * @param {Object} props
 * @param {?Object} props.map GeoJS's, over pixels of the image.
 * @param {{sizeX: number, sizeY: number}} props.size
 * @param {{x: number, y: number}} [props.origin] added to pixels that are shown.
 * @param {string} props.about what is asked besides the pixel, as a text.
 * @param {function({x: number, y: number}): Promise<Object>} props.ask
 * @param {function(number): string} props.nameOf a frame.
 * @param {?Object} props.place where pixels lie, if it is known before the first answer.
 */
function PointerReadout({ map, size, origin = { x: 0, y: 0 }, about, ask, nameOf, place = null }) {
    const pixel = usePixel(map, size);
    const { isNew, answer, failure } = useValues(pixel, about, ask);
    if (!pixel) {
        return (
            <p class="g-zarr-readout g-zarr-hint">
                Position and values under the mouse; or move the image with the keyboard to read its middle.
            </p>
        );
    }
    const known = isNew && answer ? answer : { values: [], labels: [] };
    const physical = physicalText(pixel, (answer && answer.place) || place);
    return (
        <p
            class="g-zarr-readout" aria-live={pixel.byKeys ? 'polite' : 'off'} aria-atomic="true"
            data-at={isNew && answer ? `${answer.x} ${answer.y}` : ''}
        >
            <span class="g-zarr-readout-pixel">{`x ${pixel.x + origin.x}, y ${pixel.y + origin.y}`}</span>
            {physical ? <span class="g-zarr-readout-physical">{physical}</span> : null}
            {known.values.filter(({ values }) => values.length).map(({ frame, values }) => (
                <span key={frame} class="g-zarr-readout-value" data-frame={frame}>
                    {nameOf(frame)} <b>{values.join(', ')}</b>
                </span>
            ))}
            {(known.labels || []).map(({ name, value, color, properties }) => (
                <span key={name} class="g-zarr-readout-label" data-label={name}>
                    {value ? <Color rgba={color} /> : null}{name} <b>{value}</b>{' '}
                    <span class="g-zarr-readout-properties">{propertiesText(properties)}</span>
                </span>
            ))}
            {isNew && failure ? <span class="g-zarr-readout-failure">{failure.message}</span> : null}
        </p>
    );
}

export { PointerReadout };
