import { h, render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { addressQuery, keepInAddress } from '../lib/address.js';
import { get } from '../lib/api.js';
import { LabelLayers } from '../lib/labelLayers.js';
import { labelsFrom, labelsText } from '../lib/labels.js';
import { shownFrames } from '../lib/pointerValues.js';
import { LabelList } from './LabelList.jsx';
import { PointerReadout } from './PointerReadout.jsx';
import { ViewButtons } from './ViewButtons.jsx';
import { useViewInAddress } from './mapHooks.js';

/** Milliseconds that a slider rests before the address follows it. */
const REST = 300;

/** What large_image's viewer shows: {frame, style}; labels stay above the layers that it makes. */
function useShown(viewer, layers) {
    const now = () => ({ frame: viewer._nextframe || 0, style: viewer._nextstyle });
    const [shown, setShown] = useState(now);
    useEffect(() => {
        const changed = () => {
            setShown(now());
            if (layers.current) {
                layers.current.raise();
            }
        };
        viewer.on('g:imageFrameChanging g:imageFrameChanged', changed);
        changed(); // it may have shown another frame between what was drawn and this
        return () => viewer.off('g:imageFrameChanging g:imageFrameChanged', changed);
    }, []);
    return shown;
}

/**
 * What can be seen of an item's image beside its pixels: labels over it, values under the mouse, and links to the view.
 *
 * @param {Object} props
 * @param {string} props.itemId
 * @param {Object} props.viewer large_image's, over GeoJS.
 * @param {Object} props.metadata of `GET item/:id/tiles`.
 * @param {HTMLElement} props.below where the values are shown.
 * @param {HTMLElement} props.screen what fills the screen.
 */
function ImageTools({ itemId, viewer, metadata, below, screen }) {
    const layers = useRef(null);
    const timer = useRef(null);
    const [found, setFound] = useState({ labels: [], place: null });
    const [labels, setLabels] = useState({});
    const [problems, setProblems] = useState({});
    const { frame, style } = useShown(viewer, layers);
    const { series } = viewer.tileQueryDefaults || {};
    const map = viewer.viewer;
    const write = useViewInAddress(map);
    const count = (metadata.frames || []).length || 1;

    useEffect(() => {
        get(`zarr/item/${itemId}/labels`, { series }).then((answer) => {
            layers.current = new LabelLayers(viewer, answer.labels, count);
            setFound(answer);
            return setLabels(labelsFrom(addressQuery().label, answer.labels));
        }).catch(() => { /* the viewer says that the image cannot be read */ });
        return () => {
            window.clearTimeout(timer.current);
            render(null, below);
        };
    }, []);
    useEffect(() => {
        if (layers.current) {
            layers.current.show(labels, frame);
        }
    }, [labels, frame]);
    useEffect(() => {
        Object.keys(labels).filter((name) => !(name in problems)).forEach((name) => {
            // Tiles that cannot be made are empty; this says why.
            get(`zarr/item/${itemId}/values`, { x: 0, y: 0, labels: [name], series })
                .then(() => setProblems((known) => ({ ...known, [name]: '' })))
                .catch(({ message }) => setProblems((known) => ({ ...known, [name]: message })));
        });
    }, [labels]);
    const keepLabels = (next) => {
        window.clearTimeout(timer.current);
        keepInAddress({ label: labelsText(next) });
    };
    const change = (next) => {
        setLabels(next);
        // Browsers refuse addresses that change with every step of a slider.
        window.clearTimeout(timer.current);
        timer.current = window.setTimeout(keepLabels, REST, next);
    };
    const frames = shownFrames(frame, style);
    const names = Object.keys(labels);
    useEffect(() => {
        render(h(PointerReadout, {
            map,
            size: metadata,
            place: found.place,
            about: JSON.stringify([frames, names]),
            ask: ({ x, y }) => get(`zarr/item/${itemId}/values`, {
                x, y, frames: frames.join(','), labels: names.length ? names : null, series
            }),
            nameOf: (number) => ((metadata.frames || [])[number] || {}).Channel || 'Value'
        }), below);
    });
    return (
        <section class="g-zarr-tools" aria-label="View">
            {found.labels.length
                ? <LabelList names={found.labels} shown={labels} problems={problems} onChange={change} />
                : null}
            <ViewButtons
                onCopy={() => {
                    if (layers.current) {
                        keepLabels(labels);
                    }
                    write();
                }}
                screen={() => screen}
            />
        </section>
    );
}

export { ImageTools };
