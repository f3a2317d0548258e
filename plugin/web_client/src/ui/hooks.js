import { useEffect, useRef, useState } from 'preact/hooks';
import store from '../lib/store.js';

/**
 * What the store knows of some sessions; asks for them while the component is shown.
 *
 * @param {import('../lib/sessionStore.js').Query} query
 */
function useSessions(query) {
    const [seen, setSeen] = useState({ sessions: [], total: 0, loaded: false, failure: null, completed: [] });
    useEffect(() => store.watch(query, setSeen), [JSON.stringify(query)]);
    return seen;
}

/** Name the page in the window's title while it is shown. */
function useTitle(title) {
    useEffect(() => {
        const before = document.title;
        document.title = title ? `${title} – ${before.split(' – ').pop()}` : before;
        return () => {
            document.title = before;
        };
    }, [title]);
}

/** The newest value of something, for handlers that are bound once. */
function useLatest(value) {
    const latest = useRef(value);
    latest.current = value;
    return latest;
}

/** The size of an element's inside in CSS pixels: a ref and {width, height}. */
function useSize() {
    const element = useRef(null);
    const [size, setSize] = useState({ width: 0, height: 0 });
    useEffect(() => {
        const observer = new ResizeObserver(([{ contentRect }]) => {
            setSize({ width: Math.round(contentRect.width), height: Math.round(contentRect.height) });
        });
        observer.observe(element.current);
        return () => observer.disconnect();
    }, []);
    return [element, size];
}

export { useLatest, useSessions, useSize, useTitle };
