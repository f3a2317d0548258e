import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get, request } from '../lib/api.js';
import { takeOver } from '../lib/handover.js';
import { readHeader } from '../lib/imageHeader.js';
import { ARRANGEMENT, check } from '../lib/layout.js';
import { fieldsOf, kindsOf, numbersOf, placesOf, sorted } from '../lib/plan.js';
import { planOf } from '../lib/serverPlan.js';
import { DEFAULTS, fieldOf, specFrom } from '../lib/spec.js';
import store from '../lib/store.js';
import { remember, startUpload } from '../lib/uploads.js';
import { DropZone } from '../ui/DropZone.jsx';
import { Findings } from '../ui/Findings.jsx';
import { PlacesForm } from '../ui/PlacesForm.jsx';
import { PlanMap } from '../ui/PlanMap.jsx';
import { SpecForm } from '../ui/SpecForm.jsx';
import { useTitle } from '../ui/hooks.js';
import { Failure, Icon, Message } from '../ui/parts.jsx';

const { router } = girder;
/** Files whose headers are read at a time. */
const READERS = 8;
/** Milliseconds without a change before the server is asked. */
const TYPING = 300;

/** The headers of tiles by key; grows while they are read. */
function useHeaders(tiles) {
    const [headers, setHeaders] = useState(new Map());
    useEffect(() => {
        let isGone = false;
        const found = new Map();
        const waiting = [...tiles];
        const read = async () => {
            for (let tile = waiting.shift(); tile && !isGone; tile = waiting.shift()) {
                found.set(tile.key, await readHeader(tile.file).catch(() => null));
            }
        };
        const shown = window.setInterval(() => setHeaders(new Map(found)), 500);
        Promise.all(Array.from({ length: READERS }, read)).then(() => {
            window.clearInterval(shown);
            return isGone || setHeaders(found);
        });
        return () => {
            isGone = true;
            window.clearInterval(shown);
        };
    }, [tiles]);
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
    const isAsked = folderId && isReady && tiles.length && headers.size === tiles.length;
    const { overlapX, overlapY, columns, path, corner } = arrangement;
    const how = JSON.stringify({
        ...source, table: null, spec, ...(source.kind === 'table' ? {} : { overlapX, overlapY, columns, path, corner })
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

/** The folder or the session that patches are for: {folderId, name, session, failure}. */
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
function usePlan() {
    const [chosen, setChosen] = useState([]);
    const [source, setSource] = useState({ kind: 'names', pattern: null, preset: '', table: null, well: null });
    const [arrangement, setArrangement] = useState(ARRANGEMENT);
    const [removed, setRemoved] = useState(new Set());
    const [moved, setMoved] = useState(new Map());
    const { tiles, tables, others } = useMemo(() => sorted(chosen), [chosen]);
    const headers = useHeaders(tiles);

    async function add(files) {
        const all = new Map([...chosen, ...files].map((one) => [one.path, one]));
        const next = sorted([...all.values()]);
        setChosen([...all.values()]);
        setRemoved(new Set());
        setMoved(new Map());
        const table = preferred(next.tables);
        if (table && files.includes(table)) {
            await useTable(table);
        } else if (!source.table) {
            setSource({ ...source, kind: 'names', pattern: null, preset: '', well: null });
            setArrangement({ ...arrangement, columns: Math.ceil(Math.sqrt(next.tiles.length)) });
        }
    }
    async function useTable({ file, path }) {
        // Positions of a stage stay what they are: the image begins at the smallest, and keeps where that is.
        setArrangement((before) => ({ ...before, fromZero: false }));
        setSource({ ...source, kind: 'table', table: { name: path, text: await textOf(file) }, well: null });
    }
    /** Take over what the server has found in the names; where they say nothing, their order does. */
    function follow({ answer, failure }) {
        if (failure && source.kind === 'names' && source.pattern === null && !source.preset) {
            setSource({ ...source, kind: 'grid' });
        }
        if (answer && answer.wells.length > 1 && !source.well) {
            setSource({ ...source, well: answer.wells[0] });
        }
    }
    return {
        follow, tiles, tables, others, headers, source, arrangement, removed, moved, add, useTable, setSource, setArrangement,
        setRemoved, setMoved
    };
}

function NewSession(target) {
    const { folder, session, failure } = useTarget(target);
    const plan = usePlan();
    const { tiles, headers, source, arrangement, removed, moved } = plan;
    const [form, setForm] = useState({ ...DEFAULTS, name: '' });
    const [errors, setErrors] = useState({});
    const [refusal, setRefusal] = useState(null);
    const [busy, setBusy] = useState(false);
    const isNamed = useRef(false);
    useTitle(session ? `Add patches to ${session.name}` : 'New stitch session');

    useEffect(() => {
        const files = takeOver();
        if (files.length) {
            add(files);
        }
    }, []);
    const pixelSize = session ? session.spec.pixelSize : specFrom(form, null).pixelSize;
    const positions = usePositions({
        folderId: folder && folder._id, source, tiles, headers, arrangement, spec: pixelSize && source.kind === 'table' ? { pixelSize } : {}
    });
    const { answer } = positions;
    const numbers = useMemo(() => numbersOf(tiles, answer), [tiles, answer]);
    const places = useMemo(
        () => placesOf(tiles, { numbers, headers, arrangement, removed, moved }),
        [tiles, numbers, headers, arrangement, removed, moved]);
    useEffect(() => {
        if (answer && !session) {
            setForm((before) => ({ ...before, ...formFrom(answer.spec, before) }));
        }
        plan.follow(positions);
    }, [positions]);
    const findings = useMemo(() => check(places), [places]);
    const kinds = useMemo(() => kindsOf([...headers.values()]), [headers]);

    function add(files) {
        if (!isNamed.current && files.length) {
            const [top] = files[0].path.split('/');
            setForm((before) => ({ ...before, name: files[0].path.includes('/') ? top : before.name || 'Stitched' }));
        }
        plan.add(files);
    }
    function change(fields) {
        isNamed.current = isNamed.current || 'name' in fields;
        setForm({ ...form, ...fields });
        setErrors({});
    }
    async function send(event) {
        event.preventDefault();
        setBusy(true);
        setErrors({});
        setRefusal(null);
        try {
            const made = session || (await request('POST', 'stitch_session', {
                json: { folderId: target.folderId, name: form.name, spec: specOf(answer, specFrom(form, places.length)) }
            })).data;
            await begin(made);
            store.changed();
            router.navigate(`stitch_session/${made._id}`, { trigger: true });
        } catch (refused) {
            const field = fieldOf(refused.message);
            setErrors(field ? { [field]: refused.message } : {});
            setRefusal(refused);
            setBusy(false);
        }
    }
    async function begin(made) {
        const byKey = new Map(tiles.map((tile) => [tile.key, tile]));
        const tasks = places.map((place) => ({ ...byKey.get(place.key), fields: fieldsOf(place) }));
        // Without storage (a private window) the upload works, and only a closed page is not remembered.
        await remember(made._id, tasks.map(({ key, path, file, fields }) => ({ key, path, size: file.size, fields })))
            .catch(() => null);
        startUpload(made._id, tasks);
    }

    if (failure) {
        return <Failure failure={failure} />;
    }
    const isReady = places.length > 0 && (session || form.name.trim()) && !busy && !positions.isAsking;
    return (
        <div class="g-zarr-page g-zarr-new-session">
            <p class="g-zarr-back">
                {folder ? <a href={`#folder/${folder._id}`}><Icon name="folder" />{folder.name}</a> : null}
            </p>
            <h1>{session ? `Add patches to ${session.name}` : 'New stitch session'}</h1>
            <section aria-labelledby="g-zarr-files">
                <h2 id="g-zarr-files">1. Files</h2>
                <DropZone onFiles={add}>
                    <span>
                        {tiles.length
                            ? `${tiles.length} ${tiles.length === 1 ? 'image' : 'images'} chosen.`
                            : 'Drop the tiles here, or the folder that they lie in, with the file of their positions if there is one.'}
                    </span>
                </DropZone>
                {plan.others.length
                    ? <p class="g-zarr-hint">{`Left out, because they are no images: ${shortened(plan.others)}.`}</p>
                    : null}
            </section>
            {tiles.length
                ? (
                    <form onSubmit={send} novalidate>
                        <PlacesForm plan={plan} numbers={numbers} positions={positions} />
                        <section aria-labelledby="g-zarr-map">
                            <h2 id="g-zarr-map">3. Map</h2>
                            <Findings findings={findings} kinds={kinds} headers={headers} places={places} tiles={tiles} />
                            <PlanMap plan={plan} places={places} findings={findings} numbers={numbers} />
                        </section>
                        {session
                            ? null
                            : (
                                <section aria-labelledby="g-zarr-spec">
                                    <h2 id="g-zarr-spec">4. Image</h2>
                                    <SpecForm form={form} onChange={change} errors={errors} />
                                </section>
                            )}
                        {refusal ? <Failure failure={refusal} /> : null}
                        <p class="g-zarr-submit">
                            <button type="submit" class={`btn ${isReady ? 'btn-primary' : 'btn-default'}`} disabled={!isReady}>
                                {session ? `Upload ${count(places)}` : `Create the session and upload ${count(places)}`}
                            </button>
                        </p>
                    </form>
                )
                : plan.tables.length
                    ? <Message kind="info">There is a file of positions and no image yet: choose the tiles, too.</Message>
                    : null}
        </div>
    );
}

/** What a session is created with: what follows from the positions, and what the form says. Patches are sent in pixels. */
function specOf(answer, said) {
    return { ...(answer && answer.spec), grid: undefined, ...said };
}

/** What names or a file of positions say and the form does not. */
function formFrom({ pixelSize, channelNames }, form) {
    const found = {};
    if (pixelSize && !form.pixelX) {
        Object.assign(found, { pixelX: String(pixelSize.x), pixelY: String(pixelSize.y), unit: pixelSize.unit });
    }
    if (channelNames && !form.channelNames) {
        found.channelNames = channelNames.join(', ');
    }
    return found;
}

const count = (places) => `${places.length} ${places.length === 1 ? 'patch' : 'patches'}`;

function shortened(names) {
    const shown = names.slice(0, 3).join(', ');
    return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

export { NewSession };
