import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { NOTHING, PAGE, addressFrom, filtersAfter, filtersFrom, queryFrom } from '../lib/sessionFilters.js';
import { BulkActions } from '../ui/BulkActions.jsx';
import { Creator, SessionFilters } from '../ui/SessionFilters.jsx';
import { Row } from '../ui/SessionList.jsx';
import { useSessions, useTitle } from '../ui/hooks.js';
import { Button, Failure, signIn } from '../ui/parts.jsx';

const { getCurrentUser } = girder.auth;
const { DATE_MINUTE, formatDate, parseQueryString } = girder.misc;
const { router } = girder;

/** The filters of the page's address. */
function useFilters(isAdmin) {
    const [filters, setFilters] = useState(() => (
        filtersFrom(parseQueryString(window.location.hash.split('?')[1] || ''), isAdmin)));
    useEffect(() => {
        const text = addressFrom(filters);
        router.navigate(`stitch_sessions${text ? `?${text}` : ''}`, { replace: true });
    }, [filters]);
    return [filters, setFilters];
}

/** Sessions that were chosen, also on other pages of the list, as they were last seen. */
function useChosen(sessions) {
    const [chosen, setChosen] = useState(new Map());
    const seen = new Map(sessions.map((session) => [session._id, session]));
    const newest = new Map([...chosen].map(([id, session]) => [id, seen.get(id) || session]));
    function choose(some, isChosen) {
        const next = new Map(chosen);
        some.forEach((session) => (isChosen ? next.set(session._id, session) : next.delete(session._id)));
        setChosen(next);
    }
    return [newest, choose, () => setChosen(new Map())];
}

function Pages({ page, total, onTurn }) {
    const last = Math.max(0, Math.ceil(total / PAGE) - 1);
    if (!last && !page) {
        return null;
    }
    const from = page * PAGE + 1;
    return (
        <nav class="g-zarr-pages" aria-label="Pages of the list">
            <Button class="btn btn-default btn-sm" isOff={!page} onClick={() => onTurn(-1)}>Previous</Button>
            <span role="status">{`${Math.min(from, total)} to ${Math.min(total, from + PAGE - 1)} of ${total}`}</span>
            <Button class="btn btn-default btn-sm" isOff={page >= last} onClick={() => onTurn(1)}>Next</Button>
        </nav>
    );
}

/** What is known of the list that is asked for; while it comes, what was seen before. */
function useList(query) {
    const seen = useSessions(query);
    const before = useRef(seen);
    if (seen.loaded || seen.failure) {
        before.current = seen;
    }
    return { ...before.current, isLoading: !seen.loaded && !seen.failure };
}

function List({ user }) {
    const isAdmin = Boolean(user.get('admin'));
    const [filters, setFilters] = useFilters(isAdmin);
    const [name, setName] = useState(filters.name);
    const query = queryFrom(filters);
    const { sessions, total, failure, loaded, isLoading } = useList(query);
    const [chosen, choose, chooseNone] = useChosen(sessions);
    const [refusal, setRefusal] = useState(null);
    const list = useRef(null);
    const title = filters.everybody ? 'Stitch sessions of everybody' : 'My stitch sessions';
    useTitle(title);
    // Those that a page held may be deleted, or out of what the filters leave.
    useEffect(() => {
        if (loaded && !isLoading && !sessions.length && filters.page) {
            setFilters((before) => ({ ...before, page: Math.max(0, Math.ceil(total / PAGE) - 1) }));
        }
    }, [loaded, isLoading, sessions.length, filters.page, total]);
    const change = (changed) => {
        if (name !== filters.name || !('step' in changed)) {
            chooseNone();
        }
        setFilters((before) => filtersAfter(before, name, changed));
    };
    async function chooseAll() {
        setRefusal(null);
        try {
            choose(await get('stitch_session', { ...query, limit: 0, offset: 0 }), true);
        } catch (error) {
            setRefusal(error);
        }
    }
    const isWhole = sessions.length > 0 && sessions.every(({ _id }) => chosen.has(_id));
    const isFiltered = addressFrom({ ...filters, page: 0, order: NOTHING.order, everybody: false }) !== '';
    return (
        <>
            <h1>{title}</h1>
            <SessionFilters filters={filters} name={name} onName={setName} onChange={change} isAdmin={isAdmin} />
            <Failure failure={failure} />
            <Failure failure={refusal} />
            {sessions.length
                ? (
                    <div class="g-zarr-list-head">
                        <label class="g-zarr-choose">
                            <input type="checkbox" checked={isWhole} onChange={({ currentTarget }) => choose(sessions, currentTarget.checked)} />
                            {total > sessions.length ? `All ${sessions.length} on this page` : `All ${sessions.length}`}
                        </label>
                        {isWhole && total > sessions.length && chosen.size < total
                            ? <button type="button" class="btn btn-default btn-xs" onClick={chooseAll}>{`Choose all ${total}`}</button>
                            : null}
                    </div>
                )
                : null}
            <BulkActions chosen={[...chosen.values()]} onDone={chooseNone} />
            <ul class="g-stitch-session-list" ref={list} tabindex="-1" aria-label={title} aria-busy={isLoading}>
                {sessions.map((session) => (
                    <Row
                        key={session._id} session={session} canWrite withFolder onFailure={setRefusal}
                        onDone={(action) => action === 'delete' && list.current.focus()}
                        lead={(
                            <input
                                type="checkbox" aria-label={`Choose ${session.name}`} checked={chosen.has(session._id)}
                                onChange={({ currentTarget }) => choose([session], currentTarget.checked)}
                            />
                        )}
                        more={(
                            <>
                                <span>{formatDate(session[filters.order === 'updated' ? 'updated' : 'created'], DATE_MINUTE)}</span>
                                {filters.everybody
                                    ? <Creator id={session.creatorId} onChoose={(creatorId) => change({ creatorId })} />
                                    : null}
                            </>
                        )}
                    />
                ))}
            </ul>
            {loaded && !sessions.length
                ? (
                    <p>
                        {isFiltered
                            ? 'No session is like that.'
                            : 'There is none yet. A session begins in a folder: Actions, New stitch session.'}
                    </p>
                )
                : null}
            {!loaded && !failure ? <p role="status">Loading…</p> : null}
            <Pages page={filters.page} total={total} onTurn={(step) => change({ step })} />
        </>
    );
}

/** The sessions that somebody has created, in all folders; an administrator may see those of everybody. */
function MySessions() {
    const user = getCurrentUser();
    return (
        <div class="g-zarr-page g-zarr-my-sessions">
            {user
                ? <List user={user} />
                : (
                    <>
                        <h1>My stitch sessions</h1>
                        <p>
                            {'Who is signed in sees the own sessions here. '}
                            <button type="button" class="btn btn-default btn-sm g-zarr-sign-in" onClick={signIn}>Sign in</button>
                        </p>
                    </>
                )}
        </div>
    );
}

export { MySessions };
