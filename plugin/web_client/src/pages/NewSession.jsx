import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { request } from '../lib/api.js';
import { takeOver } from '../lib/handover.js';
import { check } from '../lib/layout.js';
import { fieldsOf, kindsOf, missingCompanions, patchesOf, placesOf } from '../lib/plan.js';
import { DEFAULTS, fieldOf, specFrom } from '../lib/spec.js';
import store from '../lib/store.js';
import { remember, startUpload } from '../lib/uploads.js';
import { DropZone } from '../ui/DropZone.jsx';
import { Findings } from '../ui/Findings.jsx';
import { GirderPicker } from '../ui/GirderPicker.jsx';
import { PlacesForm } from '../ui/PlacesForm.jsx';
import { PlanMap } from '../ui/PlanMap.jsx';
import { SpecForm } from '../ui/SpecForm.jsx';
import { useTitle } from '../ui/hooks.js';
import { Failure, Icon, Message } from '../ui/parts.jsx';
import { usePlan, usePositions, useTarget } from '../ui/planHooks.js';

const { router } = girder;

function NewSession(target) {
    const { folder, session, failure } = useTarget(target);
    const plan = usePlan(folder && folder._id);
    const { tiles, headers, source, arrangement, removed, moved } = plan;
    const [form, setForm] = useState({ ...DEFAULTS, name: '' });
    const [errors, setErrors] = useState({});
    const [refusal, setRefusal] = useState(null);
    const [busy, setBusy] = useState(false);
    const isNamed = useRef(false);
    useTitle(session ? `Add patches to ${session.name}` : 'New stitch session');

    useEffect(() => {
        const files = takeOver();
        if (files.length) {
            add(files);
        }
    }, []);
    const pixelSize = session ? session.spec.pixelSize : specFrom(form, null).pixelSize;
    const positions = usePositions({
        folderId: folder && folder._id, source, tiles, headers, arrangement,
        spec: pixelSize && ['own', 'table'].includes(source.kind) ? { pixelSize } : {}
    });
    const { answer } = positions;
    const patches = useMemo(() => patchesOf(tiles, answer, headers), [tiles, answer, headers]);
    const places = useMemo(
        () => placesOf(patches, { headers, arrangement, removed, moved }),
        [patches, headers, arrangement, removed, moved]);
    useEffect(() => {
        if (answer && !session) {
            setForm((before) => ({ ...before, ...formFrom(answer.spec, before) }));
        }
        plan.follow(positions);
    }, [positions]);
    const findings = useMemo(() => check(places), [places]);
    const companions = useMemo(
        () => missingCompanions(headers, [...tiles, ...plan.tables].map(({ path }) => path)), [headers, tiles, plan.tables]);
    const kinds = useMemo(() => kindsOf([...headers.values()]), [headers]);

    function add(files) {
        if (!isNamed.current && files.length) {
            const [top] = files[0].path.split('/');
            setForm((before) => ({ ...before, name: files[0].path.includes('/') ? top : before.name || 'Stitched' }));
        }
        plan.add(files);
    }
    function change(fields) {
        isNamed.current = isNamed.current || 'name' in fields;
        setForm({ ...form, ...fields });
        setErrors({});
    }
    async function send(event) {
        event.preventDefault();
        setBusy(true);
        setErrors({});
        setRefusal(null);
        try {
            const made = session || (await request('POST', 'stitch_session', {
                json: { folderId: target.folderId, name: form.name, spec: specOf(answer, specFrom(form, places.length)) }
            })).data;
            await begin(made);
            store.changed();
            router.navigate(`stitch_session/${made._id}`, { trigger: true });
        } catch (refused) {
            const field = fieldOf(refused.message);
            setErrors(field ? { [field]: refused.message } : {});
            setRefusal(refused);
            setBusy(false);
        }
    }
    async function begin(made) {
        const byKey = new Map(patches.map((patch) => [patch.key, patch]));
        const tasks = places.map((place) => {
            const { key, page, tile } = byKey.get(place.key);
            return { key, page, path: tile.path, file: tile.file, chosen: tile.chosen, fields: fieldsOf(place) };
        });
        // Without storage (a private window) the upload works, and only a closed page is not remembered.
        await remember(made._id, tasks).catch(() => null);
        startUpload(made._id, tasks);
    }

    if (failure) {
        return <Failure failure={failure} />;
    }
    const reason = busy
        ? 'The session is being made…'
        : positions.isAsking
            ? 'The positions are read…'
            : !places.length
                ? 'No patch has a position yet.'
                : session || form.name.trim() ? null : 'The session needs a name.';
    const isReady = reason === null;
    return (
        <div class="g-zarr-page g-zarr-new-session">
            <p class="g-zarr-back">
                {folder ? <a href={`#folder/${folder._id}`}><Icon name="folder" />{folder.name}</a> : null}
            </p>
            <h1>{session ? `Add patches to ${session.name}` : 'New stitch session'}</h1>
            <section aria-labelledby="g-zarr-files">
                <h2 id="g-zarr-files">1. Files</h2>
                <DropZone onFiles={add}>
                    <span>
                        {tiles.length
                            ? `${tiles.length} ${tiles.length === 1 ? 'image' : 'images'} chosen.`
                            : 'Drop the tiles here, or the folder that they lie in, with the file of their positions if there is one.'}
                    </span>
                </DropZone>
                {folder ? <GirderPicker folder={folder} onFiles={add} /> : null}
                <Failure failure={plan.failure} />
                {plan.others.length
                    ? <p class="g-zarr-hint">{`Left out, because they are no images: ${shortened(plan.others)}.`}</p>
                    : null}
                {companions.length
                    ? (
                        <Message kind="warning">
                            {companions.map(({ name, count: images }) => (
                                <p key={name}>
                                    {images === 1 ? 'One image is described by ' : `${images} images are described by `}
                                    <b>{name}</b>
                                    {', which says where they lie and what their pages are. It is not among the files: choose it, too.'}
                                </p>
                            ))}
                        </Message>
                    )
                    : null}
            </section>
            {tiles.length
                ? (
                    <form onSubmit={send} novalidate>
                        <PlacesForm plan={plan} patches={patches} positions={positions} />
                        <section aria-labelledby="g-zarr-map">
                            <h2 id="g-zarr-map">3. Map</h2>
                            <Findings
                                findings={findings} kinds={kinds} headers={headers} places={places} patches={patches}
                                tiles={tiles}
                            />
                            <PlanMap plan={plan} places={places} findings={findings} patches={patches} />
                        </section>
                        {session
                            ? null
                            : (
                                <section aria-labelledby="g-zarr-spec">
                                    <h2 id="g-zarr-spec">4. Image</h2>
                                    <SpecForm form={form} onChange={change} errors={errors} />
                                </section>
                            )}
                        {refusal ? <Failure failure={refusal} /> : null}
                        <p class="g-zarr-submit">
                            <button type="submit" class={`btn ${isReady ? 'btn-primary' : 'btn-default'}`} disabled={!isReady}>
                                {session ? `Upload ${count(places)}` : `Create the session and upload ${count(places)}`}
                            </button>
                            {isReady ? null : <span class="g-zarr-hint g-zarr-submit-reason">{reason}</span>}
                        </p>
                    </form>
                )
                : plan.tables.length
                    ? <Message kind="info">There is a file of positions and no image yet: choose the tiles, too.</Message>
                    : null}
        </div>
    );
}

/** What a session is created with: what follows from the positions, and what the form says. Patches are sent in pixels. */
function specOf(answer, said) {
    return { ...(answer && answer.spec), grid: undefined, ...said };
}

/** What names or a file of positions say and the form does not. */
function formFrom({ pixelSize, channelNames }, form) {
    const found = {};
    if (pixelSize && !form.pixelX) {
        Object.assign(found, { pixelX: String(pixelSize.x), pixelY: String(pixelSize.y), unit: pixelSize.unit });
    }
    if (channelNames && !form.channelNames) {
        found.channelNames = channelNames.join(', ');
    }
    return found;
}

const count = (places) => `${places.length} ${places.length === 1 ? 'patch' : 'patches'}`;

function shortened(names) {
    const shown = names.slice(0, 3).join(', ');
    return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

export { NewSession };
