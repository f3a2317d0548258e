import { useEffect, useState } from 'preact/hooks';
import { get, request, send } from '../lib/api.js';
import { boundsText } from '../lib/preview.js';
import { isLive, patchesText } from '../lib/sessions.js';
import { fieldOf, formOf, specFrom } from '../lib/spec.js';
import store from '../lib/store.js';
import { keyOf } from '../lib/layout.js';
import { Folded } from '../ui/Folded.jsx';
import { LiveImage } from '../ui/LiveImage.jsx';
import { JobProgress, SessionActions } from '../ui/SessionList.jsx';
import { ShareLinks } from '../ui/ShareLinks.jsx';
import { SpecForm } from '../ui/SpecForm.jsx';
import { UploadPanel } from '../ui/UploadPanel.jsx';
import { useSessions, useTitle } from '../ui/hooks.js';
import { Facts, Failure, Icon, Message, State, confirmed, toast } from '../ui/parts.jsx';

const { getCurrentUser } = girder.auth;
const { AccessType } = girder.constants;
const { formatDate, formatSize, DATE_SECOND } = girder.misc;
const { router } = girder;

/** The folder of a session, or null until it is known. */
function useFolder(folderId) {
    const [folder, setFolder] = useState(null);
    useEffect(() => {
        if (folderId) {
            get(`folder/${folderId}`).then(setFolder).catch(() => setFolder(null));
        }
    }, [folderId]);
    return folder;
}

/** Name and spec of a session, to be changed where its state allows it. */
function Spec({ session, canWrite }) {
    const [form, setForm] = useState(null);
    const [errors, setErrors] = useState({});
    const [refusal, setRefusal] = useState(null);
    const isEditable = canWrite && session.state !== 'finalizing' &&
        (session.state !== 'complete' || session.counts.patches > 0);
    async function save(event) {
        event.preventDefault();
        setErrors({});
        setRefusal(null);
        const json = { spec: specFrom(form, session.spec.expected), name: form.name };
        if (session.state === 'complete' &&
            !await confirmed('Open the session again? The finished image stays, and another one can be made.', 'Open again', 'btn-primary')) {
            return;
        }
        try {
            await request('PUT', `stitch_session/${session._id}`, { json });
            setForm(null);
            store.changed();
            toast('The session is changed.');
        } catch (error) {
            const field = fieldOf(error.message);
            setErrors(field ? { [field]: error.message } : {});
            setRefusal(field ? null : error);
        }
    }
    const { spec } = session;
    return (
        <section aria-labelledby="g-zarr-session-spec">
            <h2 id="g-zarr-session-spec">How the image is made</h2>
            {form
                ? (
                    <form onSubmit={save} novalidate>
                        <SpecForm form={form} errors={errors} onChange={(fields) => setForm({ ...form, ...fields })} />
                        <Failure failure={refusal} />
                        <p class="g-zarr-buttons">
                            <button type="submit" class="btn btn-primary btn-sm">Save</button>
                            <button type="button" class="btn btn-default btn-sm" onClick={() => setForm(null)}>Cancel</button>
                        </p>
                    </form>
                )
                : (
                    <>
                        <Facts
                            facts={[
                                ['Overlap', spec.overlap],
                                ['Pixel size', spec.pixelSize && `${spec.pixelSize.x} × ${spec.pixelSize.y} ${spec.pixelSize.unit}`],
                                ['File', `${spec.output}, NGFF ${spec.ngffVersion}`],
                                ['Background', String(spec.background)],
                                ['Channels', (spec.channelNames || []).join(', ')],
                                ['Registration', spec.registration ? `up to ${spec.registration.maxShift} pixels` : 'off'],
                                ['Compression', spec.lossy ? `lossy, quality ${spec.quality}` : 'lossless'],
                                ['Expected', spec.expected]
                            ]}
                        />
                        {isEditable
                            ? (
                                <button
                                    type="button" class="btn btn-default btn-sm g-zarr-edit-spec"
                                    onClick={() => setForm({ ...formOf(spec), name: session.name })}
                                >
                                    {session.state === 'complete' ? 'Change and make another image' : 'Change'}
                                </button>
                            )
                            : null}
                    </>
                )}
        </section>
    );
}

/** Masks, flat and dark fields. */
function References({ session, canWrite }) {
    const [references, setReferences] = useState([]);
    const [refusal, setRefusal] = useState(null);
    const path = `stitch_session/${session._id}/reference`;
    const load = () => get(path).then(setReferences).catch((error) => setRefusal(error.message));
    useEffect(() => {
        load();
    }, [path, session.revision]);
    async function change(what) {
        setRefusal(null);
        try {
            await what();
            await load();
        } catch (error) {
            setRefusal(error.message);
        }
    }
    const add = (file) => change(() => send('PUT', `${path}/${encodeURIComponent(keyOf(file.name))}`, {
        body: file, headers: { 'Content-Type': 'application/octet-stream' }
    }));
    const isEditable = canWrite && ['open', 'error', 'cancelled'].includes(session.state);
    if (!references.length && !isEditable) {
        return null;
    }
    return (
        <section aria-labelledby="g-zarr-references">
            <h2 id="g-zarr-references">Masks, flat and dark fields</h2>
            {refusal ? <Message>{refusal}</Message> : null}
            <ul class="g-zarr-references">
                {references.map(({ key, shape, dtype, size }) => (
                    <li key={key}>
                        <b>{key}</b> {`${shape[1]} × ${shape[0]}, ${dtype}, ${formatSize(size)} `}
                        {isEditable
                            ? (
                                <button
                                    type="button" class="btn btn-default btn-xs" aria-label={`Delete ${key}`}
                                    onClick={() => change(() => request('DELETE', `${path}/${encodeURIComponent(key)}`, { body: undefined }))}
                                >
                                    Delete
                                </button>
                            )
                            : null}
                    </li>
                ))}
            </ul>
            {isEditable
                ? (
                    <label class="btn btn-default btn-sm g-zarr-add-reference">
                        Add one
                        <input
                            class="g-zarr-pick-reference" type="file"
                            onChange={({ currentTarget: { files: [file] } }) => file && add(file)}
                        />
                    </label>
                )
                : null}
        </section>
    );
}

/** The log of the job that makes the image, for those who may see it. */
function JobLog({ session }) {
    const [job, setJob] = useState(null);
    const [isOpen, setOpen] = useState(session.state === 'error');
    useEffect(() => {
        if (session.jobId && isOpen) {
            get(`job/${session.jobId}`).then(setJob).catch(() => setJob({ log: ['The log cannot be read by you.'] }));
        }
    }, [session.jobId, session.state, session.progress.message, isOpen]);
    if (!session.jobId) {
        return null;
    }
    return (
        <details class="g-zarr-log" open={isOpen} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
            <summary>Log of the job</summary>
            <pre tabindex="0">{job ? (job.log || []).join('') || 'Nothing yet.' : 'Loading…'}</pre>
            <a href={`#job/${session.jobId}`}>Job</a>
        </details>
    );
}

/** Everything about one session. */
function Session({ sessionId }) {
    const { sessions: [session], failure, completed } = useSessions({ id: sessionId });
    const [refusal, setRefusal] = useState(null);
    const folder = useFolder(session && session.folderId);
    useTitle(session ? session.name : 'Stitch session');
    useEffect(() => {
        if (completed.length) {
            toast(`The image of ${completed[0].name} is made.`);
        }
    }, [completed]);
    if (!session) {
        return <div class="g-zarr-page"><Failure failure={failure} /></div>;
    }
    const canWrite = Boolean(folder && folder._accessLevel >= AccessType.WRITE);
    const hasImage = session.counts.patches > 0 || isLive(session);
    return (
        <div class="g-zarr-page g-zarr-session" data-state={session.state}>
            <p class="g-zarr-back">
                <a href={`#folder/${session.folderId}`}>
                    <Icon name="folder" />{folder ? folder.name : 'Folder'}
                </a>
                {' '}<a href="#stitch_sessions">My sessions</a>
            </p>
            <div class="g-zarr-session-head">
                <h1>{session.name} <State state={session.state} /></h1>
                {canWrite
                    ? (
                        <SessionActions
                            session={session} size="btn-sm" onFailure={setRefusal}
                            onDone={(action) => action === 'delete' &&
                                router.navigate(`folder/${session.folderId}`, { trigger: true })}
                        />
                    )
                    : null}
            </div>
            {failure ? <Failure failure={failure} /> : null}
            {refusal ? <Message>{refusal}</Message> : null}
            {session.state === 'error' ? <Message>{session.error || 'The job failed.'}</Message> : null}
            {session.state === 'complete' && session.itemId
                ? (
                    <Message kind="success">
                        {'The image is made. '}
                        <a class="g-stitch-session-result" href={`#item/${session.itemId}`}>Open the image</a>
                    </Message>
                )
                : null}
            <JobProgress session={session} />
            <Facts
                facts={[
                    ['Patches', <span class="g-stitch-preview-patches">{patchesText(session)}</span>],
                    ['Bytes', formatSize(session.counts.bytes)],
                    ['Extent', session.bounds && <span class="g-stitch-preview-bounds">{boundsText(session)}</span>],
                    ['Pixels', session.dtype && `${session.dtype}, ${session.bands === 1 ? '1 band' : `${session.bands} bands`}`],
                    ['Changed', formatDate(session.updated, DATE_SECOND)]
                ]}
            />
            {canWrite ? <UploadPanel session={session} /> : null}
            {canWrite && ['open', 'error', 'cancelled'].includes(session.state)
                ? (
                    <p>
                        <a class="btn btn-default btn-sm" href={`#stitch_session/${session._id}/add`}>Add patches</a>
                    </p>
                )
                : null}
            {hasImage ? <LiveImage session={session} canWrite={canWrite} /> : null}
            {getCurrentUser()
                ? (
                    <Folded summary="Open in other programs, and share" className="g-zarr-session-share">
                        {() => (
                            <>
                                <p class="g-zarr-hint">
                                    Other programs show what has arrived so far, and more after a reload; in the end, the image.
                                </p>
                                <ShareLinks target={{ sessionId }} />
                            </>
                        )}
                    </Folded>
                )
                : null}
            <Spec session={session} canWrite={canWrite} />
            <References session={session} canWrite={canWrite} />
            <JobLog session={session} />
        </div>
    );
}

export { Session };
