import { useEffect, useReducer, useState } from 'preact/hooks';
import { recall } from '../lib/planStore.js';
import { timeLeftText } from '../lib/preview.js';
import { keyOf, withoutCommonFolder } from '../lib/layout.js';
import { startUpload, uploadOf } from '../lib/uploads.js';
import { DropZone } from './DropZone.jsx';
import { Message, signIn } from './parts.jsx';
import { VirtualList } from './VirtualList.jsx';

const { formatSize } = girder.misc;
/** How often progress is drawn. */
const REDRAW = 150;

/** The queue of a session; draws again with its changes, a few times a second. */
function useQueue(sessionId) {
    const [, redraw] = useReducer((count) => count + 1, 0);
    const queue = uploadOf(sessionId);
    useEffect(() => {
        if (!queue) {
            return undefined;
        }
        let timer = null;
        const stop = queue.listen(() => {
            timer = timer || window.setTimeout(() => {
                timer = null;
                redraw();
            }, REDRAW);
        });
        return () => {
            window.clearTimeout(timer);
            stop();
        };
    }, [queue]);
    return [queue, redraw];
}

/** How far the upload is, and what went wrong. */
function Running({ queue }) {
    const { counts, problems, isPaused, isDone, signedOut } = queue;
    const { bytes, totalBytes, rate, secondsLeft } = queue.progress;
    const total = queue.entries.length;
    const words = [
        `${counts.stored} of ${total} patches`, `${formatSize(bytes)} of ${formatSize(totalBytes)}`,
        rate && !isDone && !isPaused ? `${formatSize(rate)}/s` : null,
        !isDone && !isPaused ? timeLeftText(secondsLeft) : null,
        isPaused && !isDone ? 'paused' : null
    ];
    return (
        <section class="g-zarr-upload" aria-labelledby="g-zarr-upload">
            <h2 id="g-zarr-upload">{isDone ? 'Upload finished' : 'Uploading'}</h2>
            <progress max={total} value={counts.stored} aria-label="Patches that are stored" />
            <p class="g-zarr-upload-words" role="status">{words.filter(Boolean).join(', ')}</p>
            {signedOut
                ? (
                    <Message kind="warning">
                        {'Your login has ended; nothing is lost. '}
                        <button type="button" class="btn btn-default btn-sm" onClick={signIn}>Sign in and go on</button>
                    </Message>
                )
                : null}
            <p class="g-zarr-upload-buttons">
                {isDone
                    ? null
                    : isPaused
                        ? <button type="button" class="btn btn-primary btn-sm" onClick={() => queue.start()}>Resume</button>
                        : <button type="button" class="btn btn-default btn-sm" onClick={() => queue.pause()}>Pause</button>}
                {problems.length && !queue.isActive
                    ? <button type="button" class="btn btn-default btn-sm" onClick={() => queue.retry()}>Try these again</button>
                    : null}
            </p>
            {problems.length
                ? (
                    <>
                        <h3>{`Not stored: ${problems.length}`}</h3>
                        <VirtualList rows={problems} label="Files that are not stored">
                            {({ path, message }) => (
                                <span class="g-zarr-list-problem" title={message}><b>{path}</b> {message}</span>
                            )}
                        </VirtualList>
                    </>
                )
                : null}
        </section>
    );
}

/** Ask for the files that are still to come: a browser does not keep them when the page is closed. */
function Resume({ sessionId, plan, onStarted }) {
    const [note, setNote] = useState(null);
    function resume(chosen) {
        const paths = withoutCommonFolder(chosen.map(({ path }) => path));
        const byKey = new Map(chosen.map(({ file }, at) => [keyOf(paths[at]), file]));
        const byName = new Map(chosen.map(({ file }) => [file.name, file]));
        const tasks = plan.map((patch) => ({
            ...patch, file: byKey.get(patch.key) || byName.get(patch.path.split('/').pop())
        })).filter(({ file }) => file);
        if (!tasks.length) {
            setNote(`None of these files belongs here: expected names such as ${plan[0].path}.`);
            return;
        }
        startUpload(sessionId, tasks, { isResumed: true });
        onStarted();
    }
    return (
        <section class="g-zarr-upload g-zarr-resume" aria-labelledby="g-zarr-resume">
            <h2 id="g-zarr-resume">The upload was interrupted</h2>
            <DropZone onFiles={resume}>
                <span>
                    Choose the same files again, such as <b>{plan[0].path}</b>: what the server has is not sent twice.
                </span>
            </DropZone>
            {note ? <Message kind="warning">{note}</Message> : null}
        </section>
    );
}

/**
 * The upload of a session in this browser: running, or interrupted, or nothing.
 *
 * @param {Object} props
 * @param {Object} props.session
 */
function UploadPanel({ session }) {
    const [queue, redraw] = useQueue(session._id);
    const [plan, setPlan] = useState(null);
    useEffect(() => {
        if (!queue) {
            recall(session._id).then(setPlan).catch(() => setPlan(null));
        }
    }, [queue, session._id]);
    if (queue) {
        return <Running queue={queue} />;
    }
    const isEditable = ['open', 'error', 'cancelled'].includes(session.state);
    return plan && plan.length && isEditable && session.counts.patches < plan.length
        ? <Resume sessionId={session._id} plan={plan} onStarted={redraw} />
        : null;
}

export { UploadPanel };
