import { useEffect, useRef, useState } from 'preact/hooks';
import { getBlob, request, send } from '../lib/api.js';
import { fieldOf } from '../lib/flatField.js';
import store from '../lib/store.js';
import { Button, Facts, Failure, toast } from './parts.jsx';

/** The longer side of a picture. */
const SIDE = 200;
const BANDS = ['Red', 'Green', 'Blue', 'Alpha'];

/** A number of a field as a part of its mean. */
const share = (value) => `${Math.round(100 * value)} %`;

/** One band of a field as a picture, black at its darkest and white at its brightest place. */
function Field({ coefficients, shape: [height, width], label, band }) {
    const canvas = useRef(null);
    const scale = SIDE / Math.max(width, height);
    const size = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
    const field = fieldOf(coefficients, ...size);
    useEffect(() => {
        const context = canvas.current.getContext('2d');
        const picture = context.createImageData(...size);
        const range = field.most - field.least || 1;
        field.values.forEach((value, at) => {
            const shade = Math.round(255 * (value - field.least) / range);
            picture.data.set([shade, shade, shade, 255], 4 * at);
        });
        context.putImageData(picture, 0, 0);
    });
    const words = `${share(field.least)} to ${share(field.most)} of the mean`;
    return (
        <figure class="g-zarr-field-picture">
            <canvas ref={canvas} width={size[0]} height={size[1]} role="img" aria-label={`Light of ${label}: ${words}`} />
            <figcaption>
                <span class="g-zarr-field-scale" aria-hidden="true" />
                {band ? `${band}: ${words}` : words}
            </figcaption>
        </figure>
    );
}

/** Keep a field as it is now: as a reference image that the spec names. */
async function keepField(session, channel) {
    const base = `stitch_session/${session._id}`;
    const key = `light_c${channel}.tiff`;
    const picture = await getBlob(`${base}/illumination/${channel}`, { encoding: 'TIFF' });
    await send('PUT', `${base}/reference/${key}`, {
        query: { replace: true }, body: picture, headers: { 'Content-Type': 'application/octet-stream' }
    });
    const { bounds, spec } = session;
    const count = Math.max(channel + 1, bounds && bounds.c ? bounds.c[1] : 1, (spec.flatField || []).length);
    const flatField = Array.from({ length: count }, (_, at) => (at === channel ? key : (spec.flatField || [])[at] || null));
    await request('PUT', base, { json: { spec: { flatField } } });
    return key;
}

function Channel({ session, field, name, isApplied, canKeep }) {
    const [refusal, setRefusal] = useState(null);
    const [isBusy, setBusy] = useState(false);
    async function keep() {
        setBusy(true);
        setRefusal(null);
        try {
            const key = await keepField(session, field.channel);
            store.changed();
            toast(`The light of ${name} is kept as the flat field ${key}.`);
        } catch (error) {
            setRefusal(error);
        }
        setBusy(false);
    }
    const percent = (value) => (value === null || value === undefined ? null : `${Number((100 * value).toFixed(1))} %`);
    return (
        <li class="g-zarr-light-channel" data-channel={field.channel}>
            <h4>{name}</h4>
            <div class="g-zarr-field-pictures">
                {field.coefficients.map((coefficients, at) => (
                    <Field
                        key={at} coefficients={coefficients} shape={field.shape} label={name}
                        band={field.coefficients.length > 1 ? BANDS[at] : null}
                    />
                ))}
            </div>
            <Facts
                facts={[
                    ['Flat field', isApplied ? 'estimated, and taken out' : 'estimated now'],
                    ['From', `${field.tiles} patches, ${field.pairs} pairs`],
                    ['Where patches overlap they differ by', percent(field.before)],
                    ['Corrected, by', percent(field.residual)]
                ]}
            />
            <Failure failure={refusal} />
            {canKeep
                ? (
                    <Button class="btn btn-default btn-xs" isOff={isBusy} onClick={keep}>
                        {`Keep as flat field of ${name}`}
                    </Button>
                )
                : null}
        </li>
    );
}

/**
 * The uneven light of each channel: estimated, or given as reference images.
 *
 * @param {Object} props
 * @param {Object} props.session
 * @param {Object[]} props.fields as `GET stitch_session/:id/illumination` has them.
 * @param {boolean} props.isApplied whether the image was made with them.
 * @param {boolean} props.canWrite
 */
function LightReport({ session, fields, isApplied, canWrite }) {
    const { spec } = session;
    const given = (spec.flatField || []).map((key, channel) => ({ key, channel })).filter(({ key }) => key);
    const dark = spec.darkField || [];
    const nameOf = (channel) => (spec.channelNames || [])[channel] || `Channel ${channel}`;
    const isEditable = canWrite && ['open', 'error', 'cancelled'].includes(session.state);
    return (
        <>
            {!isApplied && fields.length
                ? (
                    <p>
                        {spec.illumination
                            ? 'This is what the patches show now; the job estimates anew from all of them.'
                            : 'The light is not corrected: the spec does not ask for it. This is what the patches show.'}
                    </p>
                )
                : null}
            {isApplied && !fields.length && !given.length ? <p>The light was not corrected: the spec did not ask for it.</p> : null}
            <ul class="g-zarr-light">
                {fields.map((field) => (
                    <Channel
                        key={field.channel} session={session} field={field} name={nameOf(field.channel)} isApplied={isApplied}
                        canKeep={isEditable}
                    />
                ))}
                {given.map(({ key, channel }) => (
                    <li key={`given ${channel}`} class="g-zarr-light-channel" data-channel={channel}>
                        <h4>{nameOf(channel)}</h4>
                        <Facts facts={[['Flat field', `given: ${key}`], ['Dark field', dark[channel] && `given: ${dark[channel]}`]]} />
                    </li>
                ))}
            </ul>
        </>
    );
}

export { LightReport };
