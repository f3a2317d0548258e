const { getApiRoot } = girder.rest;

/** How long a state may take to load before the next one is shown in its place. */
const PATIENCE = 10000;
/** Levels of zoom that are one and the same, but for rounding. */
const SAME_ZOOM = 1e-6;

let SessionViewer = null;

/** large_image's GeoJS viewer, over the tiles of a session; defined at first use, when its plugin has loaded. */
function define() {
    const plugin = girder.plugins.large_image;
    const Viewer = plugin && plugin.views && plugin.views.imageViewerWidget && plugin.views.imageViewerWidget.geojs;
    if (!Viewer || !window.geo) {
        return null;
    }
    return Viewer.extend({
        initialize: function (settings) {
            this.sessionId = settings.sessionId;
            this._take(settings.metadata, settings.frame, settings.style);
            this._scale = { position: { bottom: 12, right: 12 }, maxWidth: 160 };
            this.render();
            this._first = this.view();
            this.viewer.geoOn(window.geo.event.resize, () => this._fit());
        },

        /** Fit the whole image into an element of another size, unless somebody looks at a part of it. */
        _fit: function () {
            const map = this.viewer;
            const { width, height } = map.size();
            const zoom = Math.log2(map.unitsPerPixel(0) * Math.min(width / this.sizeX, height / this.sizeY));
            const isWhole = !this.isMoved() || map.zoom() <= zoom + SAME_ZOOM;
            // The least zoom that the map was made with is that of the element as it was.
            map.zoomRange({ min: zoom }, true);
            this._first = { center: { x: this.sizeX / 2, y: this.sizeY / 2 }, zoom };
            if (isWhole) {
                this.lookAt(this._first);
            }
        },

        _take: function (metadata, frame, style) {
            // Frames are shown one at a time here; the viewer's own way with them needs routes of items.
            this.metadata = { ...metadata, frames: undefined };
            this.shown = metadata;
            this.frame = frame;
            this.shownStyle = style;
            ['levels', 'tileWidth', 'tileHeight', 'sizeX', 'sizeY'].forEach((key) => {
                this[key] = metadata[key];
            });
        },

        _getTileUrl: function (level, x, y) {
            const { revision, waiting } = this.shown.stitchSession;
            return `${getApiRoot()}/stitch_session/${this.sessionId}/tiles/fzxy/${this.frame}/${level}/${x}/${y}` +
                // What waited for its overview is shown by another address later, though nothing else has changed.
                `?partial=true&revision=${revision}&_=${waiting}${this.shownStyle ? `&style=${encodeURIComponent(JSON.stringify(this.shownStyle))}` : ''}`;
        },

        /**
         * Show another state of the same size: its tiles replace those before when they are there. Two layers take turns,
         * since each has a WebGL context of its own, which takes longer to make than the tiles take to be drawn.
         */
        update: function (metadata, frame, style, done) {
            this._take(metadata, frame, style);
            const before = this._layer;
            const url = this._getTileUrl('{z}', '{x}', '{y}');
            if (this._spare) {
                this._layer = this._spare;
                this._layer.url(url);
                this._layer.moveToTop();
                this._layer.visible(true);
            } else {
                this._layer = this.viewer.createLayer('osm', { ...before._options, url, zIndex: undefined });
            }
            this._spare = before;
            if (this.uiLayer) {
                this.uiLayer.moveToTop();
            }
            this.whenLoaded(() => {
                if (this.viewer) {
                    before.visible(false);
                }
                done();
            });
        },

        /** Call once when all tiles in sight are there, or have taken too long. */
        whenLoaded: function (done) {
            let called = false;
            const once = () => {
                if (!called) {
                    called = true;
                    done();
                }
            };
            this._layer.onIdle(once);
            window.setTimeout(once, PATIENCE);
        },

        view: function () {
            const { x, y } = this.viewer.center();
            return { center: { x, y }, zoom: this.viewer.zoom() };
        },

        lookAt: function ({ center, zoom }) {
            this.viewer.zoom(zoom);
            this.viewer.center(center);
        },

        /** Whether somebody has moved or zoomed the map since it was made. */
        isMoved: function () {
            const { center, zoom } = this.view();
            return Math.abs(zoom - this._first.zoom) > SAME_ZOOM || Math.abs(center.x - this._first.center.x) > 1e-3 ||
                Math.abs(center.y - this._first.center.y) > 1e-3;
        }
    });
}

/** A viewer of a session's image, or null where large_image's viewer is not there. */
function createViewer(settings) {
    SessionViewer = SessionViewer || define();
    return SessionViewer && new SessionViewer(settings);
}

export { createViewer };
