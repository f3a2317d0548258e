/** What the page of a new session knows of chosen files, and what follows from it. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { Headers } from '../lib/headers.js';
import { ARRANGEMENT } from '../lib/layout.js';
import { describerOf, headersFor, isUsable, mayBePlaced, sayPlaces, sorted } from '../lib/plan.js';
import { inspectedBy, planOf } from '../lib/serverPlan.js';
import { descriptionOf } from '../lib/tiffDirectories.js';

/** Milliseconds without a change before the server is asked. */
const TYPING = 300;
/** Milliseconds between two looks at headers that are being read. */
const REDRAW = 500;

/** The headers of tiles by key; grows while they are read. */
function useHeaders(tiles, along, folderId) {
    const [headers, setHeaders] = useState(new Map());
    const reader = useRef(null);
    useEffect(() => {
        if (!folderId) {
            return undefined;
        }
        reader.current = reader.current || new Headers(inspectedBy(folderId));
        const controller = new AbortController();
        const { signal } = controller;
        const found = new Map();
        const shown = window.setInterval(() => setHeaders(new Map(found)), REDRAW);
        reader.current.read(tiles, { along, signal, onFound: (key, header) => found.set(key, header) }).then(() => {
            window.clearInterval(shown);
            return signal.aborted || setHeaders(new Map(found));
        });
        return () => {
            controller.abort();
            window.clearInterval(shown);
        };
    }, [tiles, along, folderId]);
    return headers;
}

/** Of several files of positions Harmony's index, or the one that registration has written, else the last. */
function preferred(tables) {
    return [/index\.idx\.xml$/i, /registered/i].map((form) => tables.find(({ path }) => form.test(path))).find(Boolean) ||
        tables[tables.length - 1];
}

/** The text of a position file; Windows programs write UTF-16. */
async function textOf(file) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const isWide = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
    return new TextDecoder(isWide ? (bytes[0] === 0xff ? 'utf-16le' : 'utf-16be') : 'utf-8').decode(bytes);
}

/** What the server makes of names, of a file of positions or of a grid: {answer, failure, isAsking}. */
function usePositions({ folderId, source, tiles, headers, arrangement, spec }) {
    const [state, setState] = useState({});
    const isReady = source.kind !== 'table' || source.table;
    const isAsked = folderId && isReady && tiles.length && headers.size === tiles.length &&
        (source.kind === 'own' || tiles.some(({ key }) => (source.kind === 'table' ? mayBePlaced : isUsable)(headers.get(key))));
    const { overlapX, overlapY, columns, path, corner } = arrangement;
    const how = JSON.stringify({
        ...source, table: null, spec, ...(source.kind === 'table' || source.kind === 'own' ? {} : { overlapX, overlapY, columns, path, corner })
    });
    useEffect(() => {
        if (!isAsked) {
            setState({});
            return undefined;
        }
        const controller = new AbortController();
        setState((before) => ({ answer: before.answer, isAsking: true }));
        const timer = window.setTimeout(() => {
            planOf({ folderId, tiles, headers, source, arrangement, spec }, controller.signal)
                .then((answer) => setState({ answer }))
                .catch((failure) => failure.name === 'AbortError' || setState({ failure }));
        }, TYPING);
        return () => {
            window.clearTimeout(timer);
            controller.abort();
        };
    }, [isAsked, folderId, source.table, tiles, headers, how]);
    return state;
}

/** The folder or the session that patches are for: {folder, session, failure}. */
function useTarget({ folderId, sessionId }) {
    const [target, setTarget] = useState({});
    useEffect(() => {
        const load = async () => {
            const session = sessionId ? await get(`stitch_session/${sessionId}`) : null;
            const folder = await get(`folder/${session ? session.folderId : folderId}`);
            setTarget({ session, folder });
        };
        load().catch((failure) => setTarget({ failure }));
    }, [folderId, sessionId]);
    return target;
}

/** What somebody has chosen and said so far, and what follows from it. */
function usePlan(folderId) {
    const [chosen, setChosen] = useState([]);
    // Files may be listed while others are added: those of the last rendering may not be all.
    const latest = useRef([]);
    const [source, setSource] = useState({ kind: 'names', pattern: null, preset: '', table: null, well: null });
    const [along, setAlong] = useState('auto');
    const [arrangement, setArrangement] = useState(ARRANGEMENT);
    const [removed, setRemoved] = useState(new Set());
    const [moved, setMoved] = useState(new Map());
    const [failure, setFailure] = useState(null);
    const { tiles, tables, others } = useMemo(() => sorted(chosen), [chosen]);
    const found = useHeaders(tiles, along, folderId);
    const headers = useMemo(() => headersFor(found, source), [found, source]);
    // What the files say of their places comes before their names, as on the command line.
    const isGuess = source.kind === 'names' && source.pattern === null && !source.preset;
    useEffect(() => {
        if (!isGuess || !tiles.length || found.size !== tiles.length) {
            return;
        }
        const describer = describerOf(tiles, found);
        if (sayPlaces(found)) {
            useOwn();
        } else if (describer) {
            useTable(describer, descriptionOf);
        }
    }, [found]);

    async function add(files) {
        const all = new Map([...latest.current, ...files].map((one) => [one.path, one]));
        latest.current = [...all.values()];
        const next = sorted(latest.current);
        setChosen(latest.current);
        setRemoved(new Set());
        setMoved(new Map());
        const table = preferred(next.tables);
        if (table && files.includes(table)) {
            await useTable(table);
        } else if (!source.table) {
            setSource((before) => ({ ...before, kind: 'names', pattern: null, preset: '', well: null }));
            setArrangement((before) => ({ ...before, columns: Math.ceil(Math.sqrt(next.tiles.length)) }));
        }
    }
    /** Take a file of positions, or one of the tiles in whose description they stand. */
    async function useTable({ file, path }, read = textOf) {
        try {
            const table = { name: path, text: await read(file), file: read === textOf ? null : file };
            // Positions of a stage stay what they are: the image begins at the smallest, and keeps where that is.
            setArrangement((before) => ({ ...before, fromZero: false }));
            setSource({ ...source, kind: 'table', table, well: null });
            setFailure(null);
        } catch (error) {
            setFailure(error);
        }
    }
    /** The places in the tags of the files; those of a stage stay what they are. */
    function useOwn() {
        setArrangement((before) => ({ ...before, fromZero: false }));
        setSource((before) => ({ ...before, kind: 'own', well: null }));
    }
    /** Take over what the server has found in the names; where they say nothing, their order does. */
    function follow({ answer, failure: refused }) {
        if (refused && source.kind === 'names' && source.pattern === null && !source.preset) {
            setSource({ ...source, kind: 'grid' });
        }
        if (answer && answer.wells.length > 1 && !source.well) {
            setSource({ ...source, well: answer.wells[0] });
        }
    }
    return {
        follow, tiles, tables, others, headers, source, along, arrangement, removed, moved, failure, add, useTable, useOwn,
        setSource,
        setAlong, setArrangement, setRemoved, setMoved
    };
}

export { usePlan, usePositions, useTarget };
