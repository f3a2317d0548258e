/** Small pictures of images of a file that are asked for when they come into sight. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { getBlob } from '../lib/api.js';
import { Pictures } from '../lib/pictures.js';

/**
 * @typedef {Object} Found
 * @property {'waiting'|'shown'|'empty'|'missing'|'damaged'|'unknown'} kind empty: none of its pixels is stored.
 * @property {?string} url of the picture.
 * @property {?string} sentence of the server, where there is no picture.
 */
const WAITING = { kind: 'waiting', url: null, sentence: null };
const KINDS = { 404: 'missing', 415: 'damaged' };

const pictures = new Pictures(getBlob);
const told = new WeakMap();
let observer = null;

/** Call with true and false as an element comes into sight and leaves it; returns what ends that. */
function whenSeen(element, tell) {
    observer = observer || new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => {
        const one = told.get(target);
        if (one) {
            one(isIntersecting);
        }
    }));
    told.set(element, tell);
    observer.observe(element);
    return () => {
        observer.unobserve(element);
        told.delete(element);
    };
}

/**
 * The picture of an image of an item.
 *
 * @param {{itemId: string, version: string}} file
 * @param {?number} number of the image; null: none.
 * @param {number} side in pixels.
 * @param {{onFound: function(number, Found): void, isUrgent: boolean}} [options]
 * @returns {[Object, Found]} a ref for the element that has to be in sight, and what is known.
 */
function usePicture({ itemId, version }, number, side, { onFound, isUrgent } = {}) {
    const element = useRef(null);
    const [found, setFound] = useState(WAITING);
    useEffect(() => {
        if (number === null) {
            return undefined;
        }
        let drop = null;
        let url = null;
        let stop = () => {};
        const take = (failure, blob) => {
            const kind = failure ? KINDS[failure.status] || 'unknown' : blob ? 'shown' : 'empty';
            url = blob ? URL.createObjectURL(blob) : null;
            const one = { kind, url, sentence: failure ? failure.message : null };
            setFound(one);
            if (onFound) {
                onFound(number, one);
            }
            stop();
        };
        stop = whenSeen(element.current, (isSeen) => {
            if (isSeen && !drop) {
                drop = pictures.fetch(`zarr/item/${itemId}/images/${number}/thumbnail`, { side, version }, take, isUrgent);
            } else if (!isSeen && drop) {
                drop();
                drop = null;
            }
        });
        return () => {
            stop();
            if (drop) {
                drop();
            }
            URL.revokeObjectURL(url);
            setFound(WAITING);
        };
    }, [itemId, version, number, side]);
    return [element, number === null ? WAITING : found];
}

export { usePicture };
