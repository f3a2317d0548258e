import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { boxOf } from '../lib/layout.js';
import { MapDrawing, fitted } from '../lib/mapDrawing.js';
import { useLatest, useSize } from './hooks.js';
import { Icon } from './parts.jsx';

const ZOOM_STEP = 1.5;

/**
 * Every patch at its place. Drag moves the map, a click selects, Shift and drag select a region; the arrow keys move what
 * is selected.
 *
 * @param {Object} props
 * @param {import('../lib/layout.js').Place[]} props.places
 * @param {function(string): string} props.statusOf the same function as long as it says the same.
 * @param {Set<string>} props.selected
 * @param {function(Set<string>): void} props.onSelect
 * @param {function(number, number): void} [props.onMove] by so many pixels of the image.
 */
function PatchMap({ places, statusOf, selected, onSelect, onMove }) {
    const [element, size] = useSize();
    const canvas = useRef(null);
    const [view, setView] = useState(null);
    const [region, setRegion] = useState(null);
    const box = useMemo(() => boxOf(places), [places]);
    const scene = useMemo(() => ({ places, statusOf, selected }), [places, statusOf, selected]);
    const drawing = useRef(null);
    const drag = useRef(null);
    const boxName = box && `${box.width},${box.height},${places.length > 0}`;
    const shown = view || (box && size.width ? fitted(box, size) : null);
    const latest = useLatest({ shown, places, size });

    // Another size of the image is seen as a whole.
    useEffect(() => setView(null), [boxName, size.width, size.height]);
    useEffect(() => {
        drawing.current = new MapDrawing(canvas.current);
        return () => drawing.current.stop();
    }, []);
    useEffect(() => drawing.current.show(scene, shown, size));
    useEffect(() => {
        // Preact binds wheel handlers as passive, which cannot keep the page from scrolling.
        const { current } = canvas;
        const wheel = (event) => {
            event.preventDefault();
            zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.offsetX, event.offsetY);
        };
        current.addEventListener('wheel', wheel, { passive: false });
        return () => current.removeEventListener('wheel', wheel);
    }, []);

    function zoom(factor, screenX = latest.current.size.width / 2, screenY = latest.current.size.height / 2) {
        const before = latest.current.shown;
        if (before) {
            const scale = before.scale * factor;
            setView({
                scale,
                x: before.x + screenX / scale - screenX / before.scale,
                y: before.y + screenY / scale - screenY / before.scale
            });
        }
    }
    const placeAt = ({ offsetX, offsetY }) => ({ x: offsetX / shown.scale - shown.x, y: offsetY / shown.scale - shown.y });
    function down(event) {
        if (shown && event.button === 0) {
            canvas.current.setPointerCapture(event.pointerId);
            drag.current = { from: event, view: shown, isRegion: event.shiftKey, isMoved: false };
        }
    }
    function move(event) {
        const dragged = drag.current;
        if (!dragged) {
            return;
        }
        const [dx, dy] = [event.offsetX - dragged.from.offsetX, event.offsetY - dragged.from.offsetY];
        dragged.isMoved = dragged.isMoved || Math.hypot(dx, dy) > 3;
        if (dragged.isRegion) {
            setRegion({
                left: `${Math.min(event.offsetX, dragged.from.offsetX)}px`,
                top: `${Math.min(event.offsetY, dragged.from.offsetY)}px`,
                width: `${Math.abs(dx)}px`, height: `${Math.abs(dy)}px`
            });
        } else if (dragged.isMoved) {
            const { scale, x, y } = dragged.view;
            setView({ scale, x: x + dx / scale, y: y + dy / scale });
        }
    }
    function up(event) {
        const dragged = drag.current;
        drag.current = null;
        setRegion(null);
        if (!dragged) {
            return;
        }
        const [one, other] = [placeAt(dragged.from), placeAt(event)];
        if (dragged.isRegion && dragged.isMoved) {
            const inside = places.filter((place) => place.x < Math.max(one.x, other.x) &&
                place.x + place.width > Math.min(one.x, other.x) && place.y < Math.max(one.y, other.y) &&
                place.y + place.height > Math.min(one.y, other.y));
            onSelect(new Set(inside.map(({ key }) => key)));
        } else if (!dragged.isMoved) {
            const hit = [...places].reverse().find((place) => other.x >= place.x && other.x < place.x + place.width &&
                other.y >= place.y && other.y < place.y + place.height);
            const next = event.ctrlKey || event.metaKey || event.shiftKey ? new Set(selected) : new Set();
            if (hit) {
                const isOff = next.has(hit.key);
                next[isOff ? 'delete' : 'add'](hit.key);
            }
            onSelect(next);
        }
    }
    function keydown(event) {
        const step = event.shiftKey ? 10 : 1;
        const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (moves && selected.size && onMove) {
            event.preventDefault();
            onMove(moves[0] * step, moves[1] * step);
        } else if (moves && shown) {
            event.preventDefault();
            const by = 40 / shown.scale;
            setView({ ...shown, x: shown.x - moves[0] * by, y: shown.y - moves[1] * by });
        } else if (event.key === '+' || event.key === '-') {
            zoom(event.key === '+' ? ZOOM_STEP : 1 / ZOOM_STEP);
        } else if (event.key === 'Escape') {
            onSelect(new Set());
        }
    }
    return (
        <div class="g-zarr-map" ref={element} data-patches={places.length}>
            <canvas
                ref={canvas} tabindex="0" role="application"
                aria-label={`Map of ${places.length} patches. Arrow keys move what is selected, plus and minus zoom.`}
                onPointerDown={down} onPointerMove={move} onPointerUp={up} onKeyDown={keydown}
            />
            {region ? <div class="g-zarr-map-region" style={region} /> : null}
            <div class="g-zarr-map-buttons">
                <button type="button" class="btn btn-default btn-xs" aria-label="Zoom in" onClick={() => zoom(ZOOM_STEP)}>
                    <Icon name="plus" />
                </button>
                <button
                    type="button" class="btn btn-default btn-xs" aria-label="Zoom out"
                    onClick={() => zoom(1 / ZOOM_STEP)}
                >
                    <Icon name="minus" />
                </button>
                <button type="button" class="btn btn-default btn-xs" onClick={() => setView(null)}>Whole</button>
            </div>
        </div>
    );
}

export { PatchMap };
