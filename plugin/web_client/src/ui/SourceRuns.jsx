import { useEffect, useRef, useState } from 'preact/hooks';
import { get, request } from '../lib/api.js';
import { placeFrom } from '../lib/priorities.js';
import { KINDS, STATES, countsText, items, percentOf, progressText, scopeText } from '../lib/sourceRuns.js';
import { PlacePicker } from './PlacePicker.jsx';
import { Select, Text } from './SpecForm.jsx';
import { Failure, Icon, State, confirmed } from './parts.jsx';

/** Milliseconds between two looks at a run that goes on. */
const PAUSE = 1000;
const PAGE = 20;
const PLACES = { all: 'All items', place: 'One collection, user or folder' };
const NOWHERE = 'Choose a collection, a user or a folder, or paste the address of its page.';

/** Where items are looked through: everything, or what is chosen or named by an address, with all that is below. */
function Where({ where, onChange, error }) {
    const { kind, chosen, address } = where;
    return (
        <>
            <div class="g-zarr-fields">
                <Select label="Where" options={PLACES} value={kind} onInput={(one) => onChange({ ...where, kind: one })} />
                {kind === 'place'
                    ? (
                        <Text
                            label="Address of its page" hint="Or chosen below; with all folders in it"
                            value={address} error={error} spellcheck={false}
                            onInput={(text) => onChange({ ...where, address: text, chosen: null })}
                        />
                    )
                    : null}
            </div>
            {kind === 'place'
                ? (
                    <>
                        <p class="g-zarr-place" role="status">{chosen ? <>{`The ${chosen.type} `}<b>{chosen.path}</b></> : null}</p>
                        <PlacePicker onPlace={(place) => onChange({ ...where, chosen: place, address: '' })} />
                    </>
                )
                : null}
        </>
    );
}

/** The parameters of a run, or null where what is needed is not given. */
function parametersOf({ kind, chosen, address }) {
    if (kind === 'all') {
        return {};
    }
    return chosen ? { [`${chosen.type}Id`]: chosen._id } : placeFrom(address);
}

/** The items that a run has found, a page at a time. */
function RunItems({ run }) {
    const [state, setState] = useState('');
    const [page, setPage] = useState({ entries: [], isAll: true, failure: null });
    const load = async (entries) => {
        try {
            const after = entries.length ? entries[entries.length - 1].itemId : undefined;
            const some = await get(`zarr/source_run/${run._id}/item`, { state, after, limit: PAGE });
            setPage({ entries: [...entries, ...some], isAll: some.length < PAGE, failure: null });
        } catch (failure) {
            setPage({ entries, isAll: true, failure });
        }
    };
    useEffect(() => {
        load([]);
    }, [run._id, run.updated, state]);
    const options = Object.fromEntries(Object.entries(STATES).filter(([name]) => run.counts[name] || name === state));
    return (
        <>
            <div class="g-zarr-fields">
                <Select label="Items" options={{ '': 'all that were found', ...options }} value={state} onInput={setState} />
            </div>
            <Failure failure={page.failure} />
            <div class="table-responsive" tabindex="0" role="region" aria-label="Items of the run">
                <table class="table table-condensed g-zarr-run-items">
                    <thead>
                        <tr>{['Item', 'From', 'To', 'State', 'Reason'].map((one) => <th key={one} scope="col">{one}</th>)}</tr>
                    </thead>
                    <tbody>
                        {page.entries.map((entry) => (
                            <tr key={entry.itemId} data-item={entry.itemId}>
                                <th scope="row"><a href={`#item/${entry.itemId}`}>{entry.itemName}</a></th>
                                <td>{entry.before}</td>
                                <td>{entry.after || '–'}</td>
                                <td>{STATES[entry.state]}</td>
                                <td class="g-zarr-explanation-reason">{entry.reason || ''}</td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
            {page.isAll
                ? null
                : (
                    <button type="button" class="btn btn-default btn-xs" onClick={() => load(page.entries)}>
                        <Icon name="level-down" />Show more
                    </button>
                )}
        </>
    );
}

/** A run that goes on. */
function RunProgress({ run, onCancel }) {
    const percent = percentOf(run);
    return (
        <div class="g-zarr-run-progress" role="status">
            <progress
                max="100" value={percent === null ? undefined : percent} aria-label={`${KINDS[run.kind]}: ${scopeText(run.scope)}`}
            />
            <span>{progressText(run)}</span>
            <button type="button" class="btn btn-default btn-xs" onClick={onCancel}>
                <Icon name="cancel" />Cancel
            </button>
        </div>
    );
}

function Run({ run, isBusy, onUndo, onCancel }) {
    const [isOpen, setOpen] = useState(false);
    const found = Object.values(run.counts).some(Boolean);
    return (
        <li class="g-zarr-run" data-run={run._id} data-kind={run.kind} data-state={run.state}>
            <div class="g-zarr-run-row">
                <span class="g-zarr-run-what"><b>{KINDS[run.kind]}</b>{`, ${scopeText(run.scope)} `}<State state={run.state} /></span>
                <span class="g-zarr-run-counts">
                    {run.state === 'running' ? '' : `${items(run.examined)} looked at: ${countsText(run)}`}
                </span>
                <span class="g-zarr-hint">{`${new Date(run.created).toLocaleString()}, ${run.userLogin || 'somebody'}`}</span>
                <span class="g-zarr-buttons">
                    {found
                        ? (
                            <button
                                type="button" class="btn btn-default btn-xs" aria-expanded={isOpen}
                                onClick={() => setOpen(!isOpen)}
                            >
                                Items
                            </button>
                        )
                        : null}
                    {run.canUndo
                        ? (
                            <button type="button" class="btn btn-default btn-xs" disabled={isBusy} onClick={onUndo}>
                                <Icon name="ccw" />Undo
                            </button>
                        )
                        : null}
                </span>
            </div>
            {run.state === 'running' ? <RunProgress run={run} onCancel={onCancel} /> : null}
            {run.error ? <div class="g-stitch-session-error"><Icon name="attention" />{run.error}</div> : null}
            {isOpen && found ? <RunItems run={run} /> : null}
        </li>
    );
}

/** The last runs, asked for again while one of them goes on. */
function useRuns() {
    const [state, setState] = useState({ runs: null, failure: null });
    const timer = useRef(null);
    const isGone = useRef(false);
    const load = async () => {
        clearTimeout(timer.current);
        try {
            const runs = await get('zarr/source_run');
            setState({ runs, failure: null });
            if (!isGone.current && runs.some((run) => run.state === 'running')) {
                timer.current = setTimeout(load, PAUSE);
            }
        } catch (failure) {
            setState((known) => ({ ...known, failure }));
        }
    };
    useEffect(() => {
        isGone.current = false;
        load();
        return () => {
            isGone.current = true;
            clearTimeout(timer.current);
        };
    }, []);
    return { ...state, load };
}

/** Items whose source is no longer the first choice: counted, changed, put back. */
function SourceRuns() {
    const { runs, failure, load } = useRuns();
    const [where, setWhere] = useState({ kind: 'all', chosen: null, address: '' });
    const [refusal, setRefusal] = useState(null);
    const [missing, setMissing] = useState(null);
    const isBusy = Boolean(runs && runs.some((run) => run.state === 'running'));

    async function ask(path, query) {
        setRefusal(null);
        try {
            await request('POST', path, { query });
        } catch (error) {
            setRefusal(error);
        }
        await load();
    }
    async function begin(kind) {
        const parameters = parametersOf(where);
        setMissing(parameters ? null : NOWHERE);
        if (!parameters) {
            return;
        }
        const question = 'Give every item the source that is first today? A job does it, and it can be undone.';
        if (kind === 'change' && !await confirmed(question, 'Change', 'btn-primary')) {
            return;
        }
        await ask('zarr/source_run', { kind, ...parameters });
    }
    return (
        <div class="g-zarr-runs">
            <p class="g-zarr-hint">
                Items stay with the source that was first when their image was made. Here a job looks for those that another
                source would open today. A source counts when it can read the file and shows its image.
            </p>
            <Where
                where={where} error={missing} onChange={(next) => {
                    setMissing(null);
                    setWhere(next);
                }}
            />
            <p class="g-zarr-buttons">
                <button type="button" class="btn btn-default btn-sm" disabled={isBusy} onClick={() => begin('count')}>
                    Count them
                </button>
                <button type="button" class="btn btn-default btn-sm" disabled={isBusy} onClick={() => begin('change')}>
                    Give them their first choice
                </button>
            </p>
            <Failure failure={refusal || failure} />
            {runs && runs.length
                ? (
                    <ul class="g-zarr-run-list" aria-label="Runs">
                        {runs.map((run) => (
                            <Run
                                key={run._id} run={run} isBusy={isBusy}
                                onUndo={() => ask(`zarr/source_run/${run._id}/undo`)}
                                onCancel={() => ask(`zarr/source_run/${run._id}/cancel`)}
                            />
                        ))}
                    </ul>
                )
                : null}
        </div>
    );
}

export { SourceRuns };
