import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { boundsText } from '../lib/preview.js';
import { isEditable, isLive, patchesText } from '../lib/sessions.js';
import { Corrections } from '../ui/Corrections.jsx';
import { Folded } from '../ui/Folded.jsx';
import { LiveImage } from '../ui/LiveImage.jsx';
import { MadeImages } from '../ui/MadeImages.jsx';
import { References } from '../ui/References.jsx';
import { JobProgress, SessionActions } from '../ui/SessionList.jsx';
import { SessionSpec } from '../ui/SessionSpec.jsx';
import { ShareLinks } from '../ui/ShareLinks.jsx';
import { UploadPanel } from '../ui/UploadPanel.jsx';
import { useSessions, useTitle } from '../ui/hooks.js';
import { Facts, Failure, Icon, Message, State, toast } from '../ui/parts.jsx';

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
            <a href={`#job/${session.jobId}`}>The job in Girder</a>
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
            const [{ name, itemId }] = completed;
            toast(`The image of ${name} is made.`, 'success', { link: { href: `#item/${itemId}`, text: 'Open the image' } });
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
            <Failure failure={refusal} />
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
                    ['Size', formatSize(session.counts.bytes)],
                    ['Extent', session.bounds && <span class="g-stitch-preview-bounds">{boundsText(session)}</span>],
                    ['Pixels', session.dtype && `${session.dtype}, ${session.bands === 1 ? '1 band' : `${session.bands} bands`}`],
                    ['Changed', formatDate(session.updated, DATE_SECOND)]
                ]}
            />
            {canWrite ? <UploadPanel session={session} /> : null}
            {canWrite && isEditable(session)
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
            <MadeImages session={session} />
            <Folded summary="Registration and light" className="g-zarr-corrections">
                {() => <Corrections session={session} canWrite={canWrite} />}
            </Folded>
            <SessionSpec session={session} canWrite={canWrite} />
            <References session={session} canWrite={canWrite} />
            <JobLog session={session} />
        </div>
    );
}

export { Session };
