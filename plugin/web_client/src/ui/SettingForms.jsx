import { useEffect, useState } from 'preact/hooks';
import { get, request } from '../lib/api.js';
import { limitOf } from '../lib/limitWords.js';
import { SETTINGS, fieldOf, textsOf, valueOf } from '../lib/settings.js';
import { Field, Text } from './SpecForm.jsx';
import { ViewersForm } from './ViewersForm.jsx';
import { Failure, Message, confirmed, toast } from './parts.jsx';
import { useUnsaved } from './unsaved.js';

const { formatSize } = girder.misc;

/** A number of bytes as people read it, or null where a text is none. */
const sizeOf = (text) => (/^[0-9]+$/.test(text.trim()) ? formatSize(Number(text)) : null);

/** The limits of a setting that is an object, each with a field. */
function LimitFields({ shape, found, shown, error, onChange }) {
    const names = Object.keys(shown);
    const standard = textsOf(shape, found.default, found.default);
    const field = error && fieldOf(error.message, names);
    return (
        <>
            <div class="g-zarr-fields">
                {names.map((name) => {
                    const { label, unit, isBytes } = limitOf(name);
                    return (
                        <Text
                            key={name} label={label} name={name} value={shown[name]} disabled={found.fixedByEnvironment}
                            placeholder={standard[name]} error={field === name ? error.message : null}
                            hint={[unit, isBytes && sizeOf(shown[name] || standard[name])].filter(Boolean).join(': ')}
                            onInput={(text) => onChange({ ...shown, [name]: text })}
                        />
                    );
                })}
            </div>
            {error && !field ? <Failure failure={error} /> : null}
        </>
    );
}

function LinesField({ shape, found, shown, error, onChange }) {
    return (
        <Field label={shape.label} error={error && error.message}>
            {(props) => (
                <textarea
                    class="form-control" rows="3" value={shown.value} disabled={found.fixedByEnvironment} spellcheck={false}
                    {...props} onInput={({ currentTarget }) => onChange({ value: currentTarget.value })}
                />
            )}
        </Field>
    );
}

function NumberField({ shape, found, shown, error, onChange }) {
    const standard = found.default === null ? '' : String(found.default);
    return (
        <Text
            label={shape.label} value={shown.value} disabled={found.fixedByEnvironment} inputmode="numeric"
            placeholder={standard || shape.placeholder} error={error && error.message}
            hint={shape.label === 'Bytes' ? sizeOf(shown.value || standard) : null}
            onInput={(value) => onChange({ value })}
        />
    );
}

const FIELDS = { object: LimitFields, lines: LinesField, number: NumberField, viewers: ViewersForm };

/** One setting with a form of its own. */
function SettingForm({ shape, found, onSaved }) {
    const { key, title, help, kind } = shape;
    const [texts, setTexts] = useState(null);
    const [error, setError] = useState(null);
    const stored = textsOf(shape, found.value, found.default);
    const shown = texts || stored;
    const isChanged = JSON.stringify(shown) !== JSON.stringify(stored);
    const fixed = found.fixedByEnvironment;
    const Fields = FIELDS[kind];
    useUnsaved(isChanged);

    async function save(value) {
        setError(null);
        try {
            // The value as JSON text, as the route takes lists of settings.
            await request('PUT', 'system/setting', { query: { list: [{ key, value }] } });
            setTexts(null);
            toast(`${title}: saved.`);
            await onSaved();
        } catch (refusal) {
            setError(refusal);
        }
    }
    function discard() {
        setTexts(null);
        setError(null);
    }
    async function reset() {
        if (await confirmed(`${title}: replace what is stored with the defaults?`, 'Use the defaults')) {
            await save(null);
        }
    }
    return (
        <form
            class="g-zarr-setting" data-key={key} novalidate aria-label={title} onSubmit={(event) => {
                event.preventDefault();
                save(valueOf(shape, shown, found.default));
            }}
        >
            <h3>{title}{isChanged ? <span class="g-zarr-unsaved">not saved</span> : null}</h3>
            <p class="g-zarr-hint">{help}</p>
            {fixed
                ? <Message kind="info">This value comes from the environment variable <code>{found.variable}</code>.</Message>
                : null}
            <Fields shape={shape} found={found} shown={shown} error={error} onChange={setTexts} />
            <p class="g-zarr-buttons">
                <button
                    type="submit" class={`btn btn-sm ${isChanged ? 'btn-primary' : 'btn-default'}`}
                    disabled={!isChanged || fixed}
                >
                    Save
                </button>
                {isChanged
                    ? <button type="button" class="btn btn-default btn-sm" onClick={discard}>Discard</button>
                    : null}
                <button type="button" class="btn btn-default btn-sm" disabled={fixed} onClick={reset}>
                    Use the defaults
                </button>
            </p>
        </form>
    );
}

/** All settings of the plugin but the order of sources. */
function SettingForms() {
    const [found, setFound] = useState(null);
    const [failure, setFailure] = useState(null);
    const load = () => get('zarr/setting').then((all) => setFound(new Map(all.map((one) => [one.key, one]))))
        .catch(setFailure);
    useEffect(() => {
        load();
    }, []);
    if (!found) {
        return failure ? <Failure failure={failure} /> : <p role="status">Loading…</p>;
    }
    return (
        <>
            {SETTINGS.filter(({ key }) => found.has(key)).map((shape) => (
                <SettingForm key={shape.key} shape={shape} found={found.get(shape.key)} onSaved={load} />
            ))}
        </>
    );
}

export { SettingForms };
