import { useEffect, useRef, useState } from 'preact/hooks';
import { get, request, send } from '../lib/api.js';
import { keyOf } from '../lib/layout.js';
import { roleOf, rolesOf, specWithRole } from '../lib/references.js';
import { isEditable } from '../lib/sessions.js';
import store from '../lib/store.js';
import { Failure, confirmed, toast } from './parts.jsx';

const { formatSize } = girder.misc;

function Reference({ session, reference, canEdit, onRole, onDelete }) {
    const { key, shape, dtype, size } = reference;
    const role = roleOf(session, key);
    const roles = { ...rolesOf(session), ...(role === 'several' ? { several: 'several fields' } : {}) };
    return (
        <li class="g-zarr-reference" data-key={key}>
            <b>{key}</b>
            <span>{`${shape[1]} × ${shape[0]}, ${dtype}, ${formatSize(size)}`}</span>
            {canEdit
                ? (
                    <>
                        <select
                            class="form-control input-sm" aria-label={`What ${key} is used as`} value={role}
                            onChange={({ currentTarget }) => onRole(key, currentTarget.value)}
                        >
                            {Object.entries(roles).map(([name, words]) => <option key={name} value={name}>{words}</option>)}
                        </select>
                        <button type="button" class="btn btn-default btn-xs" aria-label={`Delete ${key}`} onClick={() => onDelete(key)}>
                            Delete
                        </button>
                    </>
                )
                : <span>{roles[role]}</span>}
        </li>
    );
}

/** Masks, flat and dark fields. */
function References({ session, canWrite }) {
    const [references, setReferences] = useState([]);
    const [refusal, setRefusal] = useState(null);
    const picker = useRef(null);
    const adder = useRef(null);
    const path = `stitch_session/${session._id}/reference`;
    const load = () => get(path).then(setReferences).catch(setRefusal);
    useEffect(() => {
        load();
    }, [path, session.revision]);
    async function change(what) {
        setRefusal(null);
        try {
            await what();
            await load();
        } catch (error) {
            setRefusal(error);
        }
        store.changed();
    }
    const setRoles = (key, role) => request('PUT', `stitch_session/${session._id}`, {
        json: { spec: specWithRole(session, key, role) }
    });
    async function add(file) {
        const key = keyOf(file.name);
        const isThere = references.some((one) => one.key === key);
        if (!isThere || await confirmed(`Replace ${key} by the file ${file.name}?`, 'Replace', 'btn-primary')) {
            await change(() => send('PUT', `${path}/${encodeURIComponent(key)}`, {
                query: { replace: isThere || null }, body: file, headers: { 'Content-Type': 'application/octet-stream' }
            }));
        }
    }
    async function remove(key) {
        const role = roleOf(session, key);
        const used = role ? ` It is used as ${role === 'several' ? 'several fields' : rolesOf(session)[role]}, which then stays uncorrected.` : '';
        if (await confirmed(`Delete ${key}?${used}`, 'Delete')) {
            await change(async () => {
                if (role) {
                    await setRoles(key, '');
                }
                await request('DELETE', `${path}/${encodeURIComponent(key)}`, { body: undefined });
                toast(`${key} is deleted.`);
            });
            adder.current.focus();
        }
    }
    const canEdit = canWrite && isEditable(session);
    if (!references.length && !canEdit && !refusal) {
        return null;
    }
    return (
        <section aria-labelledby="g-zarr-references">
            <h2 id="g-zarr-references">Masks, flat and dark fields</h2>
            <Failure failure={refusal} />
            {references.length
                ? null
                : (
                    <p class="g-zarr-hint">
                        There is none. By a flat field, an image of the light alone, and a dark field, one without light, patches
                        are corrected; a mask says which pixels of the patches count that name it.
                    </p>
                )}
            <ul class="g-zarr-references">
                {references.map((reference) => (
                    <Reference
                        key={reference.key} session={session} reference={reference} canEdit={canEdit}
                        onRole={(key, role) => role !== 'several' && change(() => setRoles(key, role))} onDelete={remove}
                    />
                ))}
            </ul>
            {canEdit
                ? (
                    <>
                        <button ref={adder} type="button" class="btn btn-default btn-sm" onClick={() => picker.current.click()}>
                            Add an image
                        </button>
                        <input
                            ref={picker} class="g-zarr-pick-reference" type="file" hidden aria-label="Mask, flat or dark field"
                            onChange={({ currentTarget }) => {
                                const [file] = currentTarget.files;
                                if (file) {
                                    add(file);
                                }
                                currentTarget.value = '';
                            }}
                        />
                    </>
                )
                : null}
        </section>
    );
}

export { References };
