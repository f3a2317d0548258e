/** Outlines of patches and hatched holes over GeoJS's map, on a canvas of their own. */

const HATCH = 10;
/** Pixels of the screen that a patch is wide at least for its key to be written in it. */
const LABEL_WIDTH = 80;
const LABEL_HEIGHT = 16;
const OUTLINE = '#0b57d0';
/** From this level on (0 is the full resolution) pictures are made of overviews, for which patches may wait. */
const OVERVIEW_LEVEL = 2;

/**
 * @typedef {Object} Shown what is drawn.
 * @property {{x: number, y: number, width: number, height: number}} image in its own pixels, from 0.
 * @property {number} levels of the image.
 * @property {import('./layout.js').Place[]} patches of the plane that is looked at, in pixels of the image.
 * @property {boolean} outlines
 * @property {boolean} holes whether what no patch covers is hatched.
 * @property {Set<string>} waiting keys of patches that coarse levels do not show yet.
 * @property {?string} selected key.
 */

class Overlay {
    /**
     * @param {Object} map GeoJS's.
     * @param {HTMLElement} element that the map is in.
     */
    constructor(map, element) {
        this.map = map;
        this.canvas = document.createElement('canvas');
        this.canvas.className = 'g-zarr-overlay';
        element.appendChild(this.canvas);
        this.shown = null;
        this.draw = this.draw.bind(this);
        const { event } = window.geo;
        this.events = [event.pan, event.zoom, event.resize];
        this.events.forEach((name) => map.geoOn(name, this.draw));
    }

    destroy() {
        this.events.forEach((name) => this.map.geoOff(name, this.draw));
        this.canvas.remove();
    }

    /** @param {Shown} shown */
    show(shown) {
        this.shown = shown;
        this.draw();
    }

    draw() {
        const { map, canvas, shown } = this;
        const { width, height } = map.size();
        const ratio = window.devicePixelRatio || 1;
        canvas.width = width * ratio;
        canvas.height = height * ratio;
        canvas.style.width = `${width}px`;
        canvas.style.height = `${height}px`;
        const context = canvas.getContext('2d');
        context.scale(ratio, ratio);
        if (!shown) {
            return;
        }
        const boxOf = (place) => {
            const from = map.gcsToDisplay({ x: place.x, y: place.y });
            const to = map.gcsToDisplay({ x: place.x + place.width, y: place.y + place.height });
            return [from.x, from.y, to.x - from.x, to.y - from.y];
        };
        const boxes = shown.patches.map(boxOf);
        if (shown.holes) {
            context.save();
            context.beginPath();
            context.rect(...boxOf(shown.image));
            context.clip();
            hatch(context, width, height);
            const isCoarse = shown.levels - 1 - Math.round(map.zoom()) >= OVERVIEW_LEVEL;
            boxes.forEach((box, at) => {
                if (!isCoarse || !shown.waiting.has(shown.patches[at].key)) {
                    context.clearRect(...box);
                }
            });
            context.restore();
        }
        if (shown.outlines) {
            context.strokeStyle = OUTLINE;
            context.lineWidth = 1.5;
            context.beginPath();
            boxes.forEach((box) => context.rect(...box));
            context.stroke();
            label(context, shown.patches, boxes);
            const at = shown.patches.findIndex(({ key }) => key === shown.selected);
            if (at >= 0) {
                context.lineWidth = 3;
                context.fillStyle = 'rgba(11, 87, 208, 0.2)';
                context.fillRect(...boxes[at]);
                context.strokeRect(...boxes[at]);
            }
        }
    }
}

/** Write the keys of patches that are wide enough into them. */
function label(context, patches, boxes) {
    context.font = '11px sans-serif';
    boxes.forEach(([x, y, boxWidth, boxHeight], at) => {
        if (boxWidth < LABEL_WIDTH || boxHeight < 2 * LABEL_HEIGHT || x + boxWidth < 0 || y + boxHeight < 0) {
            return;
        }
        const { key } = patches[at];
        const wide = Math.min(context.measureText(key).width, boxWidth - 12);
        context.fillStyle = 'rgba(255, 255, 255, 0.85)';
        context.fillRect(x + 2, y + 2, wide + 8, LABEL_HEIGHT);
        context.fillStyle = OUTLINE;
        context.fillText(key, x + 6, y + 14, boxWidth - 12);
    });
}

function hatch(context, width, height) {
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
    context.strokeStyle = '#8a8f98';
    context.lineWidth = 1;
    context.beginPath();
    for (let at = -height; at < width; at += HATCH) {
        context.moveTo(at, height);
        context.lineTo(at + height, 0);
    }
    context.stroke();
}

export { Overlay };
