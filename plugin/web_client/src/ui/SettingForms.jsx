import { useEffect, useState } from 'preact/hooks';
import { get, request } from '../lib/api.js';
import { SETTINGS, fieldOf, textsOf, valueOf, wordsOf } from '../lib/settings.js';
import { Field, Text } from './SpecForm.jsx';
import { Failure, Message, toast } from './parts.jsx';

/** One setting with a form of its own. */
function SettingForm({ shape, found, onSaved }) {
    const { key, title, help, kind } = shape;
    const [texts, setTexts] = useState(null);
    const [error, setError] = useState(null);
    const stored = textsOf(shape, found.value, found.default);
    const shown = texts || stored;
    const isChanged = JSON.stringify(shown) !== JSON.stringify(stored);
    const names = Object.keys(shown);
    const field = error && fieldOf(error.message, names);
    const set = (name) => (text) => setTexts({ ...shown, [name]: text });

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
    const fixed = found.fixedByEnvironment;
    return (
        <form
            class="g-zarr-setting" data-key={key} novalidate aria-label={title} onSubmit={(event) => {
                event.preventDefault();
                save(valueOf(shape, shown, found.default));
            }}
        >
            <h3>{title}</h3>
            <p class="g-zarr-hint">{help}</p>
            {fixed
                ? <Message kind="info">This value comes from the environment variable <code>{found.variable}</code>.</Message>
                : null}
            {kind === 'object'
                ? (
                    <div class="g-zarr-fields">
                        {names.map((name) => (
                            <Text
                                key={name} label={wordsOf(name)} name={name} value={shown[name]} disabled={fixed}
                                placeholder={textsOf({ kind }, found.default, found.default)[name]}
                                error={field === name ? error.message : null} onInput={set(name)}
                            />
                        ))}
                    </div>
                )
                : kind === 'lines'
                    ? (
                        <Field label={title} error={error && error.message}>
                            {(props) => (
                                <textarea
                                    class="form-control" rows="3" value={shown.value} disabled={fixed} spellcheck={false}
                                    {...props} onInput={({ currentTarget }) => set('value')(currentTarget.value)}
                                />
                            )}
                        </Field>
                    )
                    : (
                        <Text
                            label={title} value={shown.value} disabled={fixed} inputmode="numeric"
                            placeholder={found.default === null ? '' : String(found.default)}
                            error={error && error.message} onInput={set('value')}
                        />
                    )}
            {error && kind === 'object' && !field ? <Failure failure={error} /> : null}
            <p class="g-zarr-buttons">
                <button
                    type="submit" class={`btn btn-sm ${isChanged ? 'btn-primary' : 'btn-default'}`}
                    disabled={!isChanged || fixed}
                >
                    Save
                </button>
                <button type="button" class="btn btn-default btn-sm" disabled={fixed} onClick={() => save(null)}>
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
