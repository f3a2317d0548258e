/**
 * large_image's viewer over a session that grows: a new state is put in the place of the one before when its tiles are
 * there, so that nothing flickers, and it looks at the same place.
 */
import { Overlay } from './overlay.js';
import { frameAt, frameAxes, movedView, sameGeometry } from './preview.js';
import { createViewer } from './sessionViewer.js';

const { $ } = girder;
/** A parent for the viewer, which is a Backbone view. */
const PARENT = { registerChildView: () => {}, unregisterChildView: () => {} };

class LiveViewer {
    /**
     * @param {HTMLElement} element
     * @param {string} sessionId
     * @param {Object} handlers
     * @param {function(Object): void} handlers.onMap GeoJS's map, whenever another one is shown.
     * @param {function({x: number, y: number}): void} handlers.onClick
     * @param {function(number): void} handlers.onLoaded told how many milliseconds a state took to be there.
     */
    constructor(element, sessionId, handlers) {
        Object.assign(this, { element, sessionId, handlers, viewer: null, next: null, waiting: null, drawn: null });
    }

    destroy() {
        this.isGone = true;
        [this.viewer, this.next].forEach((viewer) => this.remove(viewer));
        this.viewer = this.next = null;
    }

    remove(viewer) {
        if (viewer && !viewer.isRemoved) {
            viewer.isRemoved = true;
            if (viewer.patchOverlay) {
                viewer.patchOverlay.destroy();
            }
            viewer.destroy();
            viewer.$el.remove();
        }
    }

    /**
     * Show a state. While one is loading the newest waits, and those between are passed over.
     *
     * @param {Object} metadata
     * @param {Object<string, number>} places along the axes.
     * @param {Object} [style] large_image's, of the channels that are shown.
     */
    show(metadata, places, style) {
        if (this.isGone) {
            return;
        }
        if (this.next) {
            this.waiting = [metadata, places, style];
            return;
        }
        this.waiting = null;
        this.started = performance.now();
        const frame = frameAt(frameAxes(metadata), places);
        if (this.viewer && sameGeometry(this.viewer.shown, metadata)) {
            this.next = this.viewer;
            this.viewer.update(metadata, frame, style, () => this.loaded(this.viewer));
            return;
        }
        const el = $('<div class="g-stitch-preview-map">').appendTo(this.element);
        const viewer = createViewer({ el, parentView: PARENT, sessionId: this.sessionId, metadata, frame, style });
        if (viewer === null) {
            el.text('The viewer of large_image is not there.');
            return;
        }
        this.next = viewer;
        viewer.whenLoaded(() => this.loaded(viewer));
    }

    loaded(viewer) {
        if (this.isGone) {
            return;
        }
        const before = this.viewer;
        this.next = null;
        this.handlers.onLoaded(performance.now() - this.started);
        if (before !== viewer) {
            if (before) {
                if (before.isMoved()) {
                    viewer.lookAt(movedView(before.view(), before.shown, viewer.shown));
                }
                this.remove(before);
            }
            this.viewer = viewer;
            this.bind(viewer);
        }
        if (!viewer.shown.stitchSession.waiting) {
            this.element.dataset.shown = viewer.shown.stitchSession.revision;
        }
        if (this.waiting) {
            this.show(...this.waiting);
        }
    }

    bind(viewer) {
        viewer.patchOverlay = new Overlay(viewer.viewer, viewer.el);
        const { event } = window.geo;
        const placeOf = ({ geo: { x, y } }) => ({ x: Math.floor(x), y: Math.floor(y) });
        viewer.viewer.geoOn(event.mouseclick, (clicked) => this.handlers.onClick(placeOf(clicked)));
        this.handlers.onMap(viewer.viewer);
        if (this.drawn) {
            viewer.patchOverlay.show(this.drawn);
        }
    }

    /** @param {import('./overlay.js').Shown} shown */
    overlay(shown) {
        this.drawn = shown;
        if (this.viewer && this.viewer.patchOverlay) {
            this.viewer.patchOverlay.show(shown);
        }
    }
}

export { LiveViewer };
