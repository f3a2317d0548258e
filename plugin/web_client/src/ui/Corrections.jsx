import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { LightReport } from './LightReport.jsx';
import { RegistrationReport } from './RegistrationReport.jsx';
import { Failure } from './parts.jsx';

/** What a route answers, asked again when something of the session has changed. */
function useAnswer(path, version) {
    const [answer, setAnswer] = useState({ data: null, failure: null, isAsked: false });
    useEffect(() => {
        let isGone = false;
        if (path) {
            get(path).then((data) => isGone || setAnswer({ data, failure: null, isAsked: true }))
                .catch((failure) => isGone || setAnswer({ data: null, failure, isAsked: true }));
        }
        return () => {
            isGone = true;
        };
    }, [path, version]);
    return path ? answer : { data: null, failure: null, isAsked: true };
}

/** The report as a file. */
function Download({ session, report }) {
    const [address, setAddress] = useState(null);
    useEffect(() => {
        const made = URL.createObjectURL(new Blob([JSON.stringify(report, null, 2)], { type: 'application/json' }));
        setAddress(made);
        return () => URL.revokeObjectURL(made);
    }, [report]);
    const name = `${session.name.replace(/[^A-Za-z0-9._-]+/g, '_')}-report.json`;
    return address ? <p><a class="btn btn-default btn-sm" href={address} download={name}>Download as JSON</a></p> : null;
}

function Registration({ session, report }) {
    if (report && report.registration) {
        return <RegistrationReport report={report} />;
    }
    if (report) {
        return <p>Positions were not corrected: the spec did not ask for it.</p>;
    }
    if (session.state === 'complete') {
        return null;
    }
    return (
        <p>
            {session.spec.registration
                ? 'Positions are corrected when the image is made; what came of it is shown here then.'
                : 'Positions are taken as they are: the spec does not ask for registration.'}
        </p>
    );
}

/** How positions and light were corrected, or will be. */
function Corrections({ session, canWrite }) {
    const base = `stitch_session/${session._id}`;
    const isComplete = session.state === 'complete';
    const { data: report, failure: reportFailure, isAsked } = useAnswer(isComplete ? `${base}/report` : null, session.fileId);
    // Where the result says nothing of itself the patches are looked at.
    const wantsLight = !report && isAsked && session.counts.patches > 0 && (!reportFailure || reportFailure.status !== 401);
    // Estimating costs the server some seconds: not with each patch that comes.
    const [revision, setRevision] = useState(session.revision);
    const light = useAnswer(wantsLight ? `${base}/illumination` : null, `${revision} ${JSON.stringify(session.spec)}`);
    const fields = report ? report.illumination || [] : light.data;
    return (
        <div class="g-zarr-corrections-inside">
            <Failure failure={reportFailure} />
            {!isAsked ? <p role="status">Loading…</p> : null}
            <h3>Registration</h3>
            <Registration session={session} report={report} />
            <h3>Light</h3>
            <Failure failure={light.failure} />
            {wantsLight && !light.isAsked ? <p role="status">The light is estimated…</p> : null}
            {fields
                ? <LightReport session={session} fields={fields} isApplied={Boolean(report)} canWrite={canWrite} />
                : null}
            {wantsLight && revision !== session.revision
                ? (
                    <p>
                        {'Patches have changed since. '}
                        <button type="button" class="btn btn-default btn-xs" onClick={() => setRevision(session.revision)}>
                            Estimate again
                        </button>
                    </p>
                )
                : null}
            {!session.counts.patches && !isComplete ? <p>There is no patch yet.</p> : null}
            {report ? <Download session={session} report={report} /> : null}
        </div>
    );
}

export { Corrections };
