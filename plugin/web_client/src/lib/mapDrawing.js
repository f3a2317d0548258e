/**
 * Draws the map of patches: once onto a layer that is larger than what is seen, which is moved while somebody drags.
 *
 * Ten thousand patches take some ten milliseconds; to move what was drawn takes less than one.
 */

/** Dark enough on white, and told apart by people who see few colours. */
const COLORS = {
    waiting: '#5b6b7b', sending: '#b06000', stored: '#1a7f37', refused: '#b3261e', failed: '#b3261e', stray: '#b3261e',
    duplicate: '#8a3ffc', selected: '#0b57d0'
};
const MARGIN = 24;
/** Keys of a patch are written in it once it is this large on the screen. */
const LABEL_WIDTH = 120;
const LABEL_HEIGHT = 24;
/** Smaller ones have no outline: nothing would be seen but lines. */
const OUTLINED = 4;
/** How much of the width and height the layer has on each side beyond what is seen. */
const BEYOND = 0.5;

/**
 * @typedef {Object} View screen = (place + offset) * scale.
 * @property {number} scale
 * @property {number} x
 * @property {number} y
 *
 * @typedef {Object} Scene
 * @property {import('./layout.js').Place[]} places
 * @property {function(string): string} statusOf
 * @property {Set<string>} selected
 */

/** The view that shows a box as a whole. @returns {View} */
function fitted(box, { width, height }) {
    const scale = Math.min((width - 2 * MARGIN) / box.width, (height - 2 * MARGIN) / box.height);
    return {
        scale,
        x: (width / scale - box.width) / 2 - box.x,
        y: (height / scale - box.height) / 2 - box.y
    };
}

/**
 * The patches that are in sight, by what they are drawn as; the selected ones last, on top of the others.
 *
 * @param {Scene} scene
 * @param {View} view
 * @param {{width: number, height: number}} size
 * @returns {[string, import('./layout.js').Place[]][]}
 */
function inSight({ places, statusOf, selected }, { scale, x, y }, size) {
    const groups = new Map();
    const [right, bottom] = [size.width / scale - x, size.height / scale - y];
    places.forEach((place) => {
        if (place.x + place.width < -x || place.y + place.height < -y || place.x > right || place.y > bottom) {
            return;
        }
        const status = selected.has(place.key) ? 'selected' : statusOf(place.key);
        const group = groups.get(status);
        if (group) {
            group.push(place);
        } else {
            groups.set(status, [place]);
        }
    });
    return [...groups].sort(([one], [other]) => (one === 'selected') - (other === 'selected'));
}

function drawGroup(context, status, places, { scale, x, y }) {
    context.strokeStyle = COLORS[status] || COLORS.waiting;
    context.fillStyle = COLORS[status] || COLORS.waiting;
    context.lineWidth = status === 'selected' ? 2 : 1;
    const isSmall = places.every(({ width, height }) => Math.min(width, height) * scale < OUTLINED);
    context.globalAlpha = isSmall ? 0.4 : 0.2;
    context.beginPath();
    places.forEach((place) => context.rect((place.x + x) * scale + 0.5, (place.y + y) * scale + 0.5,
        Math.max(1, place.width * scale - 1), Math.max(1, place.height * scale - 1)));
    context.fill();
    context.globalAlpha = 1;
    if (!isSmall || status === 'selected') {
        context.stroke();
    }
    context.font = '11px sans-serif';
    places.filter(({ width, height }) => width * scale > LABEL_WIDTH && height * scale > LABEL_HEIGHT).forEach((place) => {
        const [left, top] = [(place.x + x) * scale, (place.y + y) * scale];
        context.save();
        context.beginPath();
        context.rect(left, top, place.width * scale - 4, 20);
        context.clip();
        context.fillText(place.key, left + 5, top + 15);
        context.restore();
    });
}

class MapDrawing {
    /** @param {HTMLCanvasElement} canvas */
    constructor(canvas) {
        this.canvas = canvas;
        this.layer = document.createElement('canvas');
        /** The view of which the layer is, and what was drawn on it. */
        this.drawn = null;
        this.frame = null;
    }

    /**
     * Show something with the next frame.
     *
     * @param {Scene} scene the same object as before where nothing has changed.
     * @param {?View} view
     * @param {{width: number, height: number}} size in CSS pixels.
     */
    show(scene, view, size) {
        this.next = { scene, view, size };
        this.frame = this.frame || window.requestAnimationFrame(() => {
            this.frame = null;
            this.draw(this.next);
        });
    }

    stop() {
        window.cancelAnimationFrame(this.frame);
    }

    draw({ scene, view, size }) {
        const ratio = window.devicePixelRatio || 1;
        resize(this.canvas, size.width * ratio, size.height * ratio);
        const context = this.canvas.getContext('2d');
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, this.canvas.width, this.canvas.height);
        if (!view || !size.width) {
            return;
        }
        if (!this.covers(scene, view, size, ratio)) {
            this.drawLayer(scene, view, size, ratio);
        }
        const [left, top] = this.moved(view);
        context.drawImage(this.layer, Math.round(left * ratio), Math.round(top * ratio));
    }

    /** Where the layer's corner lies on the screen. */
    moved({ scale, x, y }) {
        return [(x - this.drawn.view.x) * scale, (y - this.drawn.view.y) * scale];
    }

    covers(scene, view, size, ratio) {
        const { drawn } = this;
        if (!drawn || drawn.scene !== scene || drawn.view.scale !== view.scale || drawn.ratio !== ratio ||
            drawn.size.width !== size.width || drawn.size.height !== size.height) {
            return false;
        }
        const [left, top] = this.moved(view);
        return left <= 0 && top <= 0 && left >= -2 * BEYOND * size.width && top >= -2 * BEYOND * size.height;
    }

    drawLayer(scene, view, size, ratio) {
        const whole = { width: size.width * (1 + 2 * BEYOND), height: size.height * (1 + 2 * BEYOND) };
        const own = {
            scale: view.scale, x: view.x + BEYOND * size.width / view.scale, y: view.y + BEYOND * size.height / view.scale
        };
        resize(this.layer, whole.width * ratio, whole.height * ratio);
        const context = this.layer.getContext('2d');
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        context.clearRect(0, 0, whole.width, whole.height);
        inSight(scene, own, whole).forEach(([status, places]) => drawGroup(context, status, places, own));
        this.drawn = { scene, view: own, size, ratio };
    }
}

function resize(canvas, width, height) {
    if (canvas.width !== Math.round(width) || canvas.height !== Math.round(height)) {
        canvas.width = Math.round(width);
        canvas.height = Math.round(height);
    }
}

export { MapDrawing, fitted, inSight };
