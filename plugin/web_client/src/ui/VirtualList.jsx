import { useEffect, useId, useRef, useState } from 'preact/hooks';

const ROW = 28;
const SPARE = 8;

/**
 * A list of which only the rows in sight are in the page.
 *
 * @param {Object} props
 * @param {Object[]} props.rows each with a `key`.
 * @param {function(Object): *} props.children shows a row.
 * @param {string} props.label
 * @param {Set<string>} [props.selected]
 * @param {function(Set<string>): void} [props.onSelect]
 * @param {function(): void} [props.onEnd] called when the last rows come into sight, for more of them.
 */
function VirtualList({ rows, children, label, selected, onSelect, onEnd }) {
    const element = useRef(null);
    const id = useId();
    const [top, setTop] = useState(0);
    const [height, setHeight] = useState(300);
    const anchor = useRef(0);
    const [current, setCurrent] = useState(0);
    useEffect(() => {
        const observer = new ResizeObserver(([{ contentRect }]) => setHeight(contentRect.height));
        observer.observe(element.current);
        return () => observer.disconnect();
    }, []);
    // What was selected elsewhere comes into sight.
    const one = selected && selected.size === 1 ? [...selected][0] : null;
    useEffect(() => {
        const at = one === null ? -1 : rows.findIndex(({ key }) => key === one);
        if (at >= 0) {
            reveal(at);
        }
    }, [one]);
    const first = Math.max(0, Math.floor(top / ROW) - SPARE);
    const last = Math.min(rows.length, Math.ceil((top + height) / ROW) + SPARE);

    useEffect(() => {
        if (onEnd && last === rows.length) {
            onEnd();
        }
    }, [last, rows.length]);

    function reveal(at) {
        const { current: list } = element;
        if (at * ROW < list.scrollTop) {
            list.scrollTop = at * ROW;
        } else if ((at + 1) * ROW > list.scrollTop + list.clientHeight) {
            list.scrollTop = (at + 1) * ROW - list.clientHeight;
        }
    }
    function choose(at, event) {
        if (!onSelect) {
            return;
        }
        const { key } = rows[at];
        if (event.shiftKey) {
            const [from, to] = [Math.min(anchor.current, at), Math.max(anchor.current, at)];
            onSelect(new Set(rows.slice(from, to + 1).map((row) => row.key)));
        } else if (event.ctrlKey || event.metaKey) {
            const next = new Set(selected);
            next[next.has(key) ? 'delete' : 'add'](key);
            onSelect(next);
            anchor.current = at;
        } else {
            onSelect(new Set([key]));
            anchor.current = at;
        }
        setCurrent(at);
    }
    function keydown(event) {
        const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -rows.length, End: rows.length };
        const step = steps[event.key];
        if (step && rows.length) {
            event.preventDefault();
            const at = Math.max(0, Math.min(rows.length - 1, current + step));
            choose(at, event);
            reveal(at);
        } else if (event.key === 'a' && (event.ctrlKey || event.metaKey) && onSelect) {
            event.preventDefault();
            onSelect(new Set(rows.map(({ key }) => key)));
        }
    }
    return (
        <div
            ref={element} class="g-zarr-list" role="listbox" aria-multiselectable="true" aria-label={label} tabindex="0"
            onScroll={(event) => setTop(event.currentTarget.scrollTop)} onKeyDown={keydown}
            aria-activedescendant={rows[current] && current >= first && current < last ? `${id}-${current}` : undefined}
        >
            <div class="g-zarr-list-space" role="presentation" style={{ height: `${rows.length * ROW}px` }}>
                {rows.slice(first, last).map((row, offset) => {
                    const at = first + offset;
                    return (
                        <div
                            key={row.key} id={`${id}-${at}`} role="option" class="g-zarr-list-row" data-key={row.key}
                            aria-selected={Boolean(selected && selected.has(row.key))} aria-posinset={at + 1}
                            aria-setsize={rows.length} style={{ top: `${at * ROW}px`, height: `${ROW}px` }}
                            onClick={(event) => choose(at, event)}
                        >
                            {children(row)}
                        </div>
                    );
                })}
            </div>
        </div>
    );
}

export { VirtualList };
