import { useEffect, useReducer, useState } from 'preact/hooks';
import { GirderFile } from '../lib/girderFiles.js';
import { allowed, filesAt } from '../lib/handles.js';
import { recall } from '../lib/planStore.js';
import { timeLeftText } from '../lib/preview.js';
import { keyOf, withoutCommonFolder } from '../lib/layout.js';
import { startUpload, uploadOf } from '../lib/uploads.js';
import { DropZone } from './DropZone.jsx';
import { Message, signIn } from './parts.jsx';
import { VirtualList } from './VirtualList.jsx';

const { formatSize } = girder.misc;
/** So many files that are not stored have their sentences as they are; of more, only a line each. */
const FEW = 20;
/** How often progress is drawn. */
const REDRAW = 400;

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

/** A file, or a page of it, and why it is not stored. */
function Problem({ path, page, message }) {
    return <><b>{page === undefined ? path : `${path}, page ${page}`}</b> {message}</>;
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
                        {problems.length <= FEW
                            ? (
                                <ul class="g-zarr-problems" aria-label="Files that are not stored">
                                    {problems.map((problem) => <li key={problem.key}><Problem {...problem} /></li>)}
                                </ul>
                            )
                            : (
                                <VirtualList rows={problems} label="Files that are not stored">
                                    {(problem) => (
                                        <span class="g-zarr-list-problem" title={problem.message}><Problem {...problem} /></span>
                                    )}
                                </VirtualList>
                            )}
                    </>
                )
                : null}
        </section>
    );
}

/** The files of patches that somebody has chosen again: by their path, or by their name. */
function chosenAgain(chosen, patches) {
    const paths = withoutCommonFolder(chosen.map(({ path }) => path));
    const byKey = new Map(chosen.map(({ file }, at) => [keyOf(paths[at]), file]));
    const byName = new Map(chosen.map(({ file }) => [file.name, file]));
    return patches.map(({ key, path, page }) => byKey.get(page === undefined ? key : key.replace(/@[0-9]+$/, '')) ||
        byName.get(path.split('/').pop()) || null);
}

/** Ask for what is still to come: the files, or where the browser has kept what was chosen, only to read it. */
function Resume({ sessionId, plan: { patches, roots }, onStarted }) {
    const [note, setNote] = useState(null);
    const [busy, setBusy] = useState(false);
    const fromDisk = patches.filter(({ itemId }) => !itemId);
    const isKept = fromDisk.every(({ root }) => root !== undefined);

    function start(files, missing) {
        const byItem = new Map();
        const inGirder = ({ itemId, path, size }) => {
            const file = byItem.get(itemId) || new GirderFile({ _id: itemId, name: path, size });
            byItem.set(itemId, file);
            return file;
        };
        const found = new Map(fromDisk.map(({ key }, at) => [key, files[at]]));
        const tasks = patches.map((patch) => ({ ...patch, file: patch.itemId ? inGirder(patch) : found.get(patch.key) }))
            .filter(({ file }) => file);
        if (!tasks.length) {
            setNote(missing);
            return;
        }
        startUpload(sessionId, tasks, { isResumed: true });
        onStarted();
    }
    async function goOn() {
        setBusy(true);
        setNote(null);
        if (await allowed(roots).catch(() => false)) {
            // The pages of a file are one file.
            const places = [...new Map(fromDisk.map((patch) => [`${patch.root} ${patch.at}`, patch])).entries()];
            const files = await filesAt(places.map(([, { root, at }]) => ({ root: roots[root], path: at })));
            const byPlace = new Map(places.map(([place], at) => [place, files[at]]));
            start(fromDisk.map(({ root, at }) => byPlace.get(`${root} ${at}`)),
                'None of the files is where it was; choose them again.');
        } else {
            setNote('The browser was not allowed to read the files; choose them again, or allow it.');
        }
        setBusy(false);
    }
    const [{ path } = patches[0]] = fromDisk;
    return (
        <section class="g-zarr-upload g-zarr-resume" aria-labelledby="g-zarr-resume">
            <h2 id="g-zarr-resume">The upload was interrupted</h2>
            {isKept
                ? (
                    <p>
                        <button type="button" class="btn btn-primary btn-sm" disabled={busy} onClick={goOn}>
                            Go on with the same files
                        </button>
                        {' '}What the server has is not sent twice.
                    </p>
                )
                : null}
            {fromDisk.length
                ? (
                    <DropZone
                        compact={isKept}
                        onFiles={(chosen) => start(chosenAgain(chosen, fromDisk),
                            `None of these files belongs here: expected names such as ${path}.`)}
                    >
                        <span>
                            {isKept
                                ? 'Or choose them again, where they lie elsewhere by now.'
                                : <>Choose the same files again, such as <b>{path}</b>: what the server has is not sent twice.</>}
                        </span>
                    </DropZone>
                )
                : null}
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
    return plan && plan.patches.length && isEditable && session.counts.patches < plan.patches.length
        ? <Resume sessionId={session._id} plan={plan} onStarted={redraw} />
        : null;
}

export { UploadPanel };
