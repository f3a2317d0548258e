import { useId } from 'preact/hooks';
import { OUTPUTS, OVERLAPS, UNITS } from '../lib/spec.js';

/** A labelled field; the server's sentence stands below it. */
function Field({ label, hint, error, children }) {
    const id = useId();
    return (
        <div class={`form-group g-zarr-field ${error ? 'has-error' : ''}`}>
            <label for={id}>{label}</label>
            {children({ id, 'aria-describedby': error || hint ? `${id}-note` : undefined, 'aria-invalid': Boolean(error) })}
            {error
                ? <p id={`${id}-note`} class="g-zarr-field-error" role="alert">{error}</p>
                : hint ? <p id={`${id}-note`} class="g-zarr-hint">{hint}</p> : null}
        </div>
    );
}

function Text({ label, hint, error, value, onInput, type = 'text', ...rest }) {
    return (
        <Field label={label} hint={hint} error={error}>
            {(props) => (
                <input
                    class="form-control input-sm" type={type} value={value} {...props} {...rest}
                    onInput={(event) => onInput(event.currentTarget.value)}
                />
            )}
        </Field>
    );
}

function Select({ label, hint, error, value, options, onInput, ...rest }) {
    return (
        <Field label={label} hint={hint} error={error}>
            {(props) => (
                <select
                    class="form-control input-sm" value={value} {...props} {...rest}
                    onChange={(event) => onInput(event.currentTarget.value)}
                >
                    {Object.entries(options).map(([name, text]) => <option key={name} value={name}>{text}</option>)}
                </select>
            )}
        </Field>
    );
}

function Check({ label, error, checked, onInput, ...rest }) {
    return (
        <div class={`checkbox g-zarr-check ${error ? 'has-error' : ''}`}>
            <label>
                <input type="checkbox" checked={checked} {...rest} onChange={(event) => onInput(event.currentTarget.checked)} />
                {label}
            </label>
            {error ? <p class="g-zarr-field-error" role="alert">{error}</p> : null}
        </div>
    );
}

/**
 * What the image shall be like.
 *
 * @param {Object} props
 * @param {Object} props.form as lib/spec has it, and the name.
 * @param {function(Object): void} props.onChange gets the fields that have changed.
 * @param {Object<string, string>} props.errors by field.
 */
function SpecForm({ form, onChange, errors }) {
    const field = (name) => ({
        name, value: form[name], error: errors[name], onInput: (value) => onChange({ [name]: value })
    });
    const check = (name) => ({
        name, checked: form[name], error: errors[name], onInput: (value) => onChange({ [name]: value })
    });
    return (
        <div class="g-zarr-spec">
            <div class="g-zarr-fields">
                <Text label="Name" maxlength="200" {...field('name')} />
                <Select label="Where patches overlap" options={OVERLAPS} {...field('overlap')} />
                <Text label="Pixel size along x" inputmode="decimal" placeholder="not known" {...field('pixelX')} />
                <Text label="Pixel size along y" inputmode="decimal" placeholder="the same" {...field('pixelY')} />
                <Select label="Unit" options={Object.fromEntries(UNITS.map((unit) => [unit, unit]))} {...field('unit')} />
            </div>
            <Check label="Correct the positions by what the patches show (registration)" {...check('registration')} />
            <Check label="Take out uneven light, estimated from the patches" {...check('illumination')} />
            <details class="g-zarr-more" open={Object.keys(errors).some((name) => !['name', 'pixelX', 'pixelY'].includes(name))}>
                <summary>More about the result</summary>
                <div class="g-zarr-fields">
                    <Select label="File" options={OUTPUTS} {...field('output')} />
                    <Select
                        label="OME-NGFF version" options={{ 0.5: '0.5 (zarr v3)', 0.4: '0.4 (zarr v2)', 0.6: '0.6 (zarr v3)' }}
                        {...field('ngffVersion')}
                    />
                    <Text label="Value where there is no patch" inputmode="decimal" {...field('background')} />
                    <Text label="Names of channels" placeholder="DAPI, GFP" {...field('channelNames')} />
                    {form.registration
                        ? <Text label="Patches may shift by (pixels)" inputmode="numeric" {...field('maxShift')} />
                        : null}
                    <Text
                        label="Removed after" hint="Hours without a change; empty for the server's setting."
                        inputmode="numeric" {...field('expires')}
                    />
                </div>
                <Check label="Detail may be lost (JPEG, or JPEG XL for 16 bit)" {...check('lossy')} />
                {form.lossy ? <Text label="Quality, 1 to 100" inputmode="numeric" {...field('quality')} /> : null}
                <Check label="Keep the patches when the image is made" {...check('keepPatches')} />
            </details>
        </div>
    );
}

export { Check, Field, Select, SpecForm, Text };
