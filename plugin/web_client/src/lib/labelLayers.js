/** Labels as layers over large_image's map, in the order in which they were switched on. */
import { labelFrame } from './labels.js';

class LabelLayers {
    /**
     * @param {Object} viewer large_image's, over GeoJS.
     * @param {string[]} names of the labels in the file's order.
     * @param {number} count frames of the image.
     */
    constructor(viewer, names, count) {
        Object.assign(this, { viewer, names, count, layers: new Map() });
    }

    /**
     * @param {import('./labels.js').Shown} shown
     * @param {number} frame of the image.
     */
    show(shown, frame) {
        const { viewer, layers } = this;
        [...layers.keys()].filter((name) => !(name in shown)).forEach((name) => {
            viewer.viewer.deleteLayer(layers.get(name));
            layers.delete(name);
        });
        Object.entries(shown).forEach(([name, opacity]) => {
            const url = this.urlOf(name, frame);
            const layer = layers.get(name) || this.create(name, url);
            layer.url(url);
            layer.opacity(opacity / 100);
            layer.moveToTop();
        });
        this.raiseScale();
    }

    urlOf(name, frame) {
        return this.viewer._getTileUrl('{z}', '{x}', '{y}', {
            labels: 'true', encoding: 'PNG', frame: labelFrame(this.names.indexOf(name), this.count, frame)
        });
    }

    create(name, url) {
        const { viewer, layers } = this;
        const layer = viewer.viewer.createLayer('osm', {
            ...viewer._layer._options,
            url,
            zIndex: undefined,
            // The picture of a whole frame, which large_image lays under its tiles.
            baseQuad: undefined,
            // Tiles of lower levels would shine through those above them, and colours between two values mean nothing.
            keepLower: false,
            nearestPixel: true
        });
        layers.set(name, layer);
        return layer;
    }

    /** Layers that the viewer has put on top since then go below. */
    raise() {
        this.layers.forEach((layer) => layer.moveToTop());
        this.raiseScale();
    }

    raiseScale() {
        if (this.viewer.uiLayer) {
            this.viewer.uiLayer.moveToTop();
        }
    }
}

export { LabelLayers };
