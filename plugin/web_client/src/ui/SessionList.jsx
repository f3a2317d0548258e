import { useEffect, useRef, useState } from 'preact/hooks';
import { act, questionOf } from '../lib/actions.js';
import { get } from '../lib/api.js';
import { timeLeftText } from '../lib/preview.js';
import { actionsOf, isIncomplete, patchesText, percentOf } from '../lib/sessions.js';
import { useSessions } from './hooks.js';
import { Button, Failure, Icon, State, confirmed } from './parts.jsx';

const { formatSize } = girder.misc;
const PAGE = 50;
const BUTTONS = {
    finalize: { text: 'Finalize', icon: 'ok' },
    cancel: { text: 'Cancel', icon: 'cancel' },
    delete: { text: 'Delete', icon: 'trash' }
};

/** A refusal that says of which session it is. */
function named(error, session) {
    return { status: error.status, message: `${session.name}: ${error.message}` };
}

/** The buttons of a session; `onFailure` gets a refusal, or null. */
function SessionActions({ session, onFailure, onDone = () => {}, size = 'btn-xs' }) {
    const [busy, setBusy] = useState(null);
    async function run(action) {
        setBusy(action);
        onFailure(null);
        try {
            // What is shown may be seconds old, and patches may have come since.
            const now = await get(`stitch_session/${session._id}`);
            const question = questionOf(now, action);
            if (question && !await confirmed(...question)) {
                setBusy(null);
                return;
            }
            await act(now, action);
            onDone(action);
        } catch (error) {
            onFailure(named(error, session));
        }
        setBusy(null);
    }
    return (
        <div class="g-stitch-session-actions">
            {actionsOf(session).map((action) => {
                // The blue button is for what can succeed.
                const primary = action === 'finalize' && session.counts.patches > 0 && !isIncomplete(session);
                return (
                    <Button
                        key={action} data-action={action} isOff={busy !== null}
                        class={`btn ${size} ${primary ? 'btn-primary' : 'btn-default'} g-stitch-session-${action}`}
                        aria-label={`${BUTTONS[action].text} ${session.name}`} onClick={() => run(action)}
                    >
                        <Icon name={BUTTONS[action].icon} />{BUTTONS[action].text}
                    </Button>
                );
            })}
        </div>
    );
}

/** How far the job is. */
function JobProgress({ session }) {
    if (session.state !== 'finalizing') {
        return null;
    }
    const percent = percentOf(session);
    const message = session.progress.message || 'Waiting for a worker';
    const left = timeLeftText(session.progress.timeLeft);
    return (
        <div class="g-stitch-session-progress">
            <progress
                max="100" value={percent === null ? undefined : percent}
                aria-label={`Making the image of ${session.name}`}
            />
            <span class="g-stitch-session-progress-message">
                {[percent === null ? null : `${percent} %`, left, message].filter(Boolean).join(', ')}
            </span>
        </div>
    );
}

/**
 * One session of a list.
 *
 * @param {Object} props
 * @param {*} [props.lead] what stands before it, such as a box to choose it, and
 * @param {*} [props.more] beside its counts.
 */
function Row({ session, canWrite, withFolder, onFailure, onDone, lead, more }) {
    const failed = session.state === 'error' ? session.error || 'The job failed.' : null;
    return (
        <li class="g-stitch-session" data-session-id={session._id} data-state={session.state}>
            <div class="g-stitch-session-row">
                {lead}
                <div class="g-stitch-session-main">
                    <a class="g-stitch-session-name" href={`#stitch_session/${session._id}`}>{session.name}</a>
                    {' '}<State state={session.state} />
                </div>
                <div class="g-stitch-session-counts">
                    <span class="g-stitch-session-patches">{patchesText(session)}</span>
                    <span class="g-stitch-session-size">{formatSize(session.counts.bytes)}</span>
                    {more}
                </div>
                <div class="g-stitch-session-links">
                    {withFolder ? <a href={`#folder/${session.folderId}`}><Icon name="folder" />Folder</a> : null}
                    {session.state === 'complete' && session.itemId
                        ? (
                            <a class="g-stitch-session-result" href={`#item/${session.itemId}`}>
                                <Icon name="doc-text-inv" />Open the image
                            </a>
                        )
                        : null}
                </div>
                {canWrite ? <SessionActions session={session} onFailure={onFailure} onDone={onDone} /> : null}
            </div>
            <JobProgress session={session} />
            {failed
                ? <div class="g-stitch-session-error"><Icon name="attention" />{failed}</div>
                : null}
        </li>
    );
}

/**
 * The sessions of a folder.
 *
 * @param {Object} props
 * @param {import('../lib/sessionStore.js').Query} props.query
 * @param {boolean} props.canWrite
 * @param {function(): void} [props.onCompleted] a session that was looked at has become complete.
 */
function SessionList({ query, canWrite, onCompleted = () => {} }) {
    const [limit, setLimit] = useState(PAGE);
    const [refusal, setRefusal] = useState(null);
    const seen = useSessions({ ...query, limit });
    const { sessions, total, failure } = seen;
    const list = useRef(null);
    useEffect(() => {
        if (seen.completed.length) {
            onCompleted(seen.completed);
        }
    }, [seen]);
    if (!sessions.length && !failure && !refusal) {
        return null;
    }
    return (
        <>
            {failure && sessions.length && failure.status !== 401
                ? <p class="g-stitch-sessions-stale" role="status">Not up to date: {failure.message}</p>
                : <Failure failure={failure} />}
            <Failure failure={refusal} />
            <ul class="g-stitch-session-list" ref={list} tabindex="-1" aria-label="Stitch sessions">
                {sessions.map((session) => (
                    <Row
                        key={session._id} session={session} canWrite={canWrite} onFailure={setRefusal}
                        // The button that had the focus goes with its row.
                        onDone={(action) => action === 'delete' && list.current && list.current.focus()}
                    />
                ))}
            </ul>
            {total > sessions.length
                ? (
                    <button
                        type="button" class="btn btn-default btn-xs g-stitch-sessions-more"
                        onClick={() => setLimit(limit + PAGE)}
                    >
                        <Icon name="level-down" />{`Show ${total - sessions.length} older`}
                    </button>
                )
                : null}
        </>
    );
}

export { JobProgress, Row, SessionActions, SessionList };
