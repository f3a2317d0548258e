import { useState } from 'preact/hooks';
import { request } from '../lib/api.js';
import { isEditable } from '../lib/sessions.js';
import { OVERLAPS, changesOf, fieldOf, formOf } from '../lib/spec.js';
import store from '../lib/store.js';
import { unitText } from '../lib/units.js';
import { SpecForm } from './SpecForm.jsx';
import { Facts, Failure, confirmed, toast } from './parts.jsx';

/** How the light of patches is corrected, in words. */
function lightText({ illumination, flatField, darkField }) {
    const given = [flatField && 'flat fields', darkField && 'dark fields'].filter(Boolean);
    return [illumination && 'estimated and taken out', given.length && `${given.join(' and ')} given`].filter(Boolean)
        .join(', ') || 'as it is';
}

/** Name and spec of a session, to be changed where its state allows it. */
function SessionSpec({ session, canWrite }) {
    const [form, setForm] = useState(null);
    const [errors, setErrors] = useState({});
    const [refusal, setRefusal] = useState(null);
    const canEdit = canWrite && (isEditable(session) || (session.state === 'complete' && session.counts.patches > 0));
    async function save(event) {
        event.preventDefault();
        setErrors({});
        setRefusal(null);
        const json = { spec: changesOf(session.spec, form), name: form.name };
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
                                ['Where patches overlap', OVERLAPS[spec.overlap] || spec.overlap],
                                ['Pixel size', spec.pixelSize && `${spec.pixelSize.x} × ${spec.pixelSize.y} ${unitText(spec.pixelSize.unit)}`],
                                ['File', `${spec.output}, OME-NGFF ${spec.ngffVersion}`],
                                ['Value where there is no patch', String(spec.background)],
                                ['Channels', (spec.channelNames || []).join(', ')],
                                ['Registration', spec.registration ? `shifts of up to ${spec.registration.maxShift} pixels` : 'off'],
                                ['Light', lightText(spec)],
                                ['Compression', spec.lossy ? `lossy, quality ${spec.quality}` : 'lossless'],
                                ['Patches expected', spec.expected]
                            ]}
                        />
                        {canEdit
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


export { SessionSpec };
