import { useEffect, useRef, useState } from 'preact/hooks';
import { act } from '../lib/actions.js';
import { get } from '../lib/api.js';
import { ableTo, actOnAll, bulkQuestion } from '../lib/bulk.js';
import { Button, Failure, confirmed } from './parts.jsx';

const BUTTONS = { finalize: 'Finalize', cancel: 'Cancel', delete: 'Delete' };

/** What became of each session. */
function Outcomes({ outcomes, onClose }) {
    const element = useRef(null);
    useEffect(() => {
        element.current.focus();
    }, [outcomes]);
    const done = outcomes.filter(({ isDone }) => isDone);
    const left = outcomes.filter(({ isDone }) => !isDone);
    const isSignedOut = left.some(({ status }) => status === 401);
    return (
        <section class="g-zarr-outcomes" ref={element} tabindex="-1" aria-label="What became of them">
            <p>{`Done: ${done.length}. Not done: ${left.length}.`}</p>
            <Failure failure={isSignedOut ? { status: 401 } : null} />
            <ul>
                {[...left, ...done].map(({ session, isDone, text, status }) => (
                    <li key={session._id} data-done={isDone}>
                        {status === 404 || (isDone && text === 'is deleted')
                            ? <b>{session.name}</b>
                            : <a href={`#stitch_session/${session._id}`}>{session.name}</a>}
                        {isDone ? ` ${text}.` : `: not done; ${text}`}
                    </li>
                ))}
            </ul>
            <button type="button" class="btn btn-default btn-xs" onClick={onClose}>Close</button>
        </section>
    );
}

/**
 * The buttons for the sessions that were chosen.
 *
 * @param {Object} props
 * @param {Object[]} props.chosen
 * @param {function(): void} props.onDone they are not chosen any more.
 */
function BulkActions({ chosen, onDone }) {
    const [progress, setProgress] = useState(null);
    const [outcomes, setOutcomes] = useState(null);
    async function run(action) {
        const [question, yes] = bulkQuestion(chosen, action);
        if (!await confirmed(question, yes, action === 'delete' ? 'btn-danger' : 'btn-primary')) {
            return;
        }
        setOutcomes(null);
        setProgress(0);
        const found = await actOnAll(chosen, action, {
            look: ({ _id }) => get(`stitch_session/${_id}`), act, onProgress: setProgress
        });
        setProgress(null);
        setOutcomes(found);
        onDone();
    }
    const isBusy = progress !== null;
    return (
        <>
            <div class="g-zarr-bulk" role="group" aria-label="Actions on the chosen sessions">
                <span role="status">
                    {isBusy ? `${progress} of ${chosen.length} done` : chosen.length ? `${chosen.length} chosen` : 'None chosen'}
                </span>
                {Object.entries(BUTTONS).map(([action, text]) => {
                    const count = ableTo(chosen, action).length;
                    return (
                        <Button
                            key={action} class="btn btn-default btn-sm" data-action={action}
                            isOff={isBusy || !count} onClick={() => run(action)}
                        >
                            {count && count < chosen.length ? `${text} ${count}` : text}
                        </Button>
                    );
                })}
                {chosen.length && !isBusy
                    ? <button type="button" class="btn btn-default btn-sm" onClick={onDone}>Choose none</button>
                    : null}
            </div>
            {outcomes ? <Outcomes outcomes={outcomes} onClose={() => setOutcomes(null)} /> : null}
        </>
    );
}

export { BulkActions };
