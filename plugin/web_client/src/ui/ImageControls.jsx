import { useEffect, useRef, useState } from 'preact/hooks';
import { addressQuery, keepInAddress } from '../lib/address.js';
import { get } from '../lib/api.js';
import {
    axesOf, channelsOf, choiceFrom, choiceOf, frameOf, guessedWindow, hasFields, outlineOf, placeText, styleOf
} from '../lib/channels.js';
import { useLatest } from './hooks.js';

const BINS = 128;
/** Pixels along a side that a histogram counts at most. */
const SAMPLE = 512;
const WIDTH = 256;
const HEIGHT = 40;
/** Milliseconds that a slider rests before tiles are asked for, and that a plane is shown while playing. */
const REST = 100;
const PLANE = 250;

/** The histogram of a frame, as large_image counts it: {hist, min, max}. */
function useHistogram(itemId, series, frame, size) {
    const [found, setFound] = useState(null);
    useEffect(() => {
        // Resampled values of whole numbers would be fractions of their type.
        const query = {
            series, frame, bins: BINS, width: Math.min(SAMPLE, size.sizeX), height: Math.min(SAMPLE, size.sizeY), resample: false
        };
        get(`item/${itemId}/tiles/histogram`, query).then(([first]) => setFound(first)).catch(() => setFound(null));
    }, [itemId, series, frame]);
    return found;
}

function Limit({ label, value, range, step, onInput }) {
    return (
        <input
            type="range" aria-label={label} min={range[0]} max={range[1]} step={step} value={value}
            onInput={({ currentTarget }) => onInput(Number(currentTarget.value))}
        />
    );
}

/** One channel: on or off, its colour, and its window under its histogram. */
function ChannelRow({ itemId, series, channel, frame, size, isWhole, onChange }) {
    const { name, isActive, color, low, high } = channel;
    const histogram = useHistogram(itemId, series, frame, size);
    const guessed = guessedWindow(histogram || { min: 0, max: 1 }, size.dtype);
    const from = low === null ? guessed[0] : low;
    const to = high === null ? guessed[1] : high;
    const least = Math.min(histogram ? histogram.min : 0, from);
    const most = Math.max(histogram ? histogram.max : 1, to, least + 1e-6);
    const step = isWhole ? 1 : (most - least) / 1000;
    const share = (value) => WIDTH * (value - least) / (most - least);
    return (
        <li class="g-zarr-channel" data-channel={name}>
            <label class="g-zarr-channel-name">
                <input type="checkbox" checked={isActive} onChange={({ currentTarget }) => onChange({ isActive: currentTarget.checked })} />
                <span>{name}</span>
            </label>
            <input
                type="color" aria-label={`Colour of ${name}`} value={`#${color.toLowerCase()}`}
                onInput={({ currentTarget }) => onChange({ color: currentTarget.value.slice(1).toUpperCase() })}
            />
            <div class="g-zarr-channel-window">
                <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
                    {histogram && histogram.max > histogram.min
                        ? (
                            <g transform={`translate(${share(histogram.min)} 0) scale(${(share(histogram.max) - share(histogram.min)) / WIDTH} 1)`}>
                                <polygon points={outlineOf(histogram.hist, WIDTH, HEIGHT)} />
                            </g>
                        )
                        : null}
                    <line x1={share(from)} y1={HEIGHT} x2={share(to)} y2="0" />
                </svg>
                <Limit
                    label={`Black of ${name}`} value={from} range={[least, most]} step={step}
                    onInput={(value) => onChange({ low: Math.min(value, to), high: to })}
                />
                <Limit
                    label={`Full colour of ${name}`} value={to} range={[least, most]} step={step}
                    onInput={(value) => onChange({ low: from, high: Math.max(value, from) })}
                />
            </div>
            <span class="g-zarr-channel-limits">
                {`${Number(from.toPrecision(5))} to ${Number(to.toPrecision(5))}`}
            </span>
        </li>
    );
}

/** A place along an axis, by a slider or playing. */
function AxisRow({ axis, place, onChange, onShown }) {
    const [isPlaying, setPlaying] = useState(false);
    const latest = useLatest({ place, onChange });
    useEffect(() => {
        if (!isPlaying) {
            return undefined;
        }
        let timer = null;
        // The next plane is asked for when this one is there.
        const next = () => {
            timer = window.setTimeout(() => latest.current.onChange((latest.current.place + 1) % axis.size), PLANE);
        };
        const stop = onShown(next);
        next();
        return () => {
            window.clearTimeout(timer);
            stop();
        };
    }, [isPlaying]);
    return (
        <li class="g-zarr-axis" data-axis={axis.name}>
            <label>
                <span class="g-zarr-axis-name">{axis.name}</span>
                <input
                    type="range" min="0" max={axis.size - 1} value={place}
                    aria-valuetext={placeText(axis, place)}
                    onInput={({ currentTarget }) => onChange(Number(currentTarget.value))}
                />
            </label>
            <span class="g-zarr-axis-place">{placeText(axis, place)}</span>
            <button
                type="button" class="btn btn-default btn-xs" aria-pressed={isPlaying} aria-label={`Play along ${axis.name}`}
                onClick={() => setPlaying(!isPlaying)}
            >
                {isPlaying ? 'Stop' : 'Play'}
            </button>
        </li>
    );
}

/** Places along axes, with the field that is chosen on the plate. */
function withField(places, isPlate, { place }) {
    return isPlate && place !== null ? { ...places, xy: place } : places;
}

/**
 * Channels and axes of the image in the viewer.
 *
 * @param {Object} props
 * @param {string} props.itemId
 * @param {Object} props.metadata of `GET item/:id/tiles`.
 * @param {import('../lib/shown.js').Shown} props.shown which image of the file is to be seen.
 * @param {?string} props.series the one that the viewer shows, of several.
 * @param {function({frame: number, style: ?Object}): void} props.show puts it into the viewer.
 * @param {function(function(): void): function(): void} props.onShown calls back whenever the viewer has shown it all;
 *     returns what ends that.
 * @param {function(): void} props.onOther shows large_image's own controls in place of these.
 */
function ImageControls({ itemId, metadata, shown, series, show, onShown, onOther }) {
    const [described, setDescribed] = useState(null);
    const [choice, setChoice] = useState(null);
    const timer = useRef(null);
    const stride = (metadata.IndexStride || {}).IndexC || 0;
    const isPlate = hasFields(metadata);
    useEffect(() => {
        get(`item/${itemId}/tiles/internal_metadata`, { series }).then(({ zarr }) => (zarr && zarr.multiscale) || {}).catch(() => ({}))
            .then(({ channels, axes: named }) => {
                const axes = axesOf(metadata, named || []);
                const standard = channelsOf(metadata, channels || []);
                setDescribed({ axes, standard });
                const { channels: chosen, places } = choiceFrom(addressQuery(), standard, axes);
                setChoice({ channels: chosen, places: withField(places, isPlate, shown.now) });
                return null;
            });
        const stop = shown.watch((now) => setChoice((before) => (
            before && { ...before, places: withField(before.places, isPlate, now) })));
        return () => {
            stop();
            window.clearTimeout(timer.current);
        };
    }, [itemId]);
    useEffect(() => {
        if (choice) {
            window.clearTimeout(timer.current);
            timer.current = window.setTimeout(() => {
                const isLabel = Boolean(choice.places.label);
                const style = isLabel ? undefined : styleOf(choice.channels, stride);
                show({ frame: frameOf(described.axes, choice.places), style });
                // The field of a plate stands there by its well.
                const places = isPlate ? { ...choice.places, xy: 0 } : choice.places;
                keepInAddress({ channels: null, at: null, ...choiceOf(choice.channels, places, described.standard) });
            }, REST);
        }
    }, [choice]);
    if (!choice) {
        return <p role="status">Loading…</p>;
    }
    const { standard } = described;
    const axes = described.axes.filter(({ name }) => !(isPlate && name === 'xy'));
    if (!axes.length && !choice.channels.length) {
        return null;
    }
    const base = frameOf(described.axes, choice.places);
    const change = (at) => (fields) => setChoice((now) => ({
        ...now, channels: now.channels.map((one, number) => (number === at ? { ...one, ...fields } : one))
    }));
    return (
        <section class="g-zarr-controls" aria-label="Channels and planes">
            {axes.length
                ? (
                    <ul class="g-zarr-axes">
                        {axes.map((axis) => (
                            <AxisRow
                                key={axis.name} axis={axis} place={choice.places[axis.name] || 0} onShown={onShown}
                                onChange={(place) => setChoice((now) => ({ ...now, places: { ...now.places, [axis.name]: place } }))}
                            />
                        ))}
                    </ul>
                )
                : null}
            {choice.channels.length
                ? (
                    <ul class="g-zarr-channels">
                        {choice.channels.map((channel, at) => (
                            <ChannelRow
                                key={at} itemId={itemId} series={series} channel={channel} frame={base + at * stride} size={metadata}
                                isWhole={/int/.test(metadata.dtype)} onChange={change(at)}
                            />
                        ))}
                    </ul>
                )
                : null}
            <p class="g-zarr-buttons">
                <button
                    type="button" class="btn btn-default btn-xs"
                    onClick={() => setChoice({ channels: standard, places: choice.places })}
                >
                    As the file says
                </button>
                <button type="button" class="btn btn-default btn-xs" onClick={onOther}>Other controls</button>
            </p>
        </section>
    );
}

export { ImageControls };
