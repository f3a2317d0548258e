import { useEffect, useRef, useState } from 'preact/hooks';
import { addressQuery, keepInAddress } from '../lib/address.js';
import { placesFrom, placesText } from '../lib/places.js';
import { shiftedView, showView, viewFrom, viewOf, viewText } from '../lib/mapView.js';
import { useLatest } from './hooks.js';

/** Milliseconds that a map rests before its view goes into the address. */
const REST = 300;
/** How far a map goes beyond the full resolution, in steps of two, so that single pixels can be told apart. */
const BEYOND = 4;

/**
 * Show the view that the address asks for, and let the address follow the map.
 *
 * @param {?Object} map GeoJS's; another one that takes its place has been moved there already.
 * @param {{x: number, y: number}} [origin] of the image's first pixel, where it may change.
 * @returns {function(): void} brings the address up to date at once.
 */
function useViewInAddress(map, origin = { x: 0, y: 0 }) {
    const isShown = useRef(false);
    const pending = useRef(null);
    const latest = useLatest({ map, origin });
    const write = () => {
        if (pending.current !== null) {
            window.clearTimeout(pending.current);
            pending.current = null;
            const now = latest.current;
            keepInAddress({ view: viewText(shiftedView(viewOf(now.map), now.origin)) });
        }
    };
    useEffect(() => {
        if (!map) {
            return undefined;
        }
        const { origMin, min, max } = map.zoomRange();
        map.zoomRange({ min: origMin ?? min, max: max + BEYOND });
        const asked = isShown.current ? null : viewFrom(addressQuery().view);
        isShown.current = true;
        if (asked) {
            showView(map, shiftedView(asked, { x: -origin.x, y: -origin.y }));
        }
        const { event } = window.geo;
        const moved = () => {
            window.clearTimeout(pending.current);
            pending.current = window.setTimeout(write, REST);
        };
        map.geoOn([event.pan, event.zoom], moved);
        const node = map.node()[0];
        // GeoJS follows the window only, and full screen changes the map without it.
        const observer = new ResizeObserver(() => fit(map, node));
        observer.observe(node);
        return () => {
            observer.disconnect();
            map.geoOff([event.pan, event.zoom], moved);
            window.clearTimeout(pending.current);
            pending.current = null;
        };
    }, [map]);
    return write;
}

function fit(map, { clientWidth: width, clientHeight: height }) {
    const size = map.size();
    if (width && height && (size.width !== width || size.height !== height)) {
        const isWhole = map.zoom() <= map.zoomRange().min + 1e-6;
        map.size({ width, height });
        if (isWhole) {
            // Who sees all of the image goes on seeing all of it, also where there is less room.
            map.zoom(map.zoomRange().min);
        }
    }
}

/**
 * Places along axes, kept in the address as on the page of an item.
 *
 * @returns {[Object<string, number>, function(Object<string, number>): void]}
 */
function usePlacesInAddress() {
    const [places, setPlaces] = useState(() => placesFrom(addressQuery().at));
    const timer = useRef(null);
    useEffect(() => () => window.clearTimeout(timer.current), []);
    return [places, (next) => {
        setPlaces(next);
        window.clearTimeout(timer.current);
        timer.current = window.setTimeout(() => keepInAddress({ at: placesText(next) }), REST);
    }];
}

export { usePlacesInAddress, useViewInAddress };
