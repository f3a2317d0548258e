/** What lies under the mouse: asked for when it rests, one request at a time; nothing here needs a page. */
import { unitText } from './units.js';

/** Milliseconds that the mouse rests before the server is asked. */
const REST = 80;

class Asker {
    /**
     * @param {function(Object): Promise<Object>} ask
     * @param {function(?Object, ?Object, ?Error): void} onAnswer the question, and its answer or failure.
     */
    constructor(ask, onAnswer) {
        Object.assign(this, { ask, onAnswer, wanted: null, timer: null, isAsking: false, isStopped: false });
    }

    /** @param {?Object} question null: nothing is wanted any more. */
    want(question) {
        this.wanted = question;
        clearTimeout(this.timer);
        if (question && !this.isAsking && !this.isStopped) {
            this.timer = setTimeout(() => this.send(), REST);
        }
    }

    async send() {
        const question = this.wanted;
        this.isAsking = true;
        let answer = null;
        let failure = null;
        try {
            answer = await this.ask(question);
        } catch (error) {
            failure = error;
        }
        this.isAsking = false;
        if (this.isStopped) {
            return;
        }
        if (this.wanted === question) {
            this.wanted = null;
            this.onAnswer(question, answer, failure);
        } else {
            // What was asked for in the meantime.
            this.want(this.wanted);
        }
    }

    stop() {
        this.isStopped = true;
        clearTimeout(this.timer);
    }
}

/**
 * Where a pixel lies in the units of the file, or nothing where the file does not say it.
 *
 * @param {{x: number, y: number}} pixel
 * @param {?Object<string, {scale: ?number, translation: number, unit: ?string}>} place
 */
function physicalText(pixel, place) {
    const axes = ['x', 'y'].map((name) => (place || {})[name] || {});
    if (!axes.every(({ scale, unit }) => scale && unit)) {
        return '';
    }
    return axes.map(({ scale, translation, unit }, at) => {
        const value = translation + scale * pixel['xy'[at]];
        return `${Number(value.toPrecision(7))} ${unitText(unit)}`;
    }).join(', ');
}

/**
 * The frames of the channels that a viewer shows.
 *
 * @param {number} frame
 * @param {?Object} style of large_image.
 * @returns {number[]} at least one.
 */
function shownFrames(frame, style) {
    const bands = (style && style.bands) || [];
    const frames = bands.map((band) => (
        Number.isInteger(band.frame) ? band.frame : frame + (band.framedelta || 0)));
    return frames.length ? [...new Set(frames)].slice(0, 64) : [frame];
}

/** The properties of a value in one line. */
function propertiesText(properties) {
    return Object.entries(properties || {}).map(([key, value]) => `${key}: ${value}`).join(', ');
}

export { Asker, physicalText, propertiesText, shownFrames };
