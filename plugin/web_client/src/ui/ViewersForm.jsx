import { VIEWER_KINDS, viewerFieldOf } from '../lib/settings.js';
import { Field, Select, Text } from './SpecForm.jsx';
import { Failure, Icon } from './parts.jsx';

/** How many lines a text takes, in a field that is about sixty letters wide. */
const rowsOf = (text) => text.split('\n').reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / 60)), 0);

/** The programs that an item's page offers, one below the other. */
function ViewersForm({ shown, found, error, onChange }) {
    const viewers = shown.value;
    const disabled = found.fixedByEnvironment;
    const place = error && viewerFieldOf(error.message, viewers);
    const errorAt = (at, field) => (place && place.at === at && place.field === field ? error.message : null);
    const set = (value) => onChange({ value });
    const change = (at, fields) => set(viewers.map((one, other) => (other === at ? { ...one, ...fields } : one)));
    const remove = (at) => set(viewers.filter((_, other) => other !== at));
    function raise(at) {
        const next = [...viewers];
        [next[at - 1], next[at]] = [next[at], next[at - 1]];
        set(next);
    }
    return (
        <>
            <ol class="g-zarr-viewers">
                {viewers.map(({ name, kind, text }, at) => (
                    <li key={at} class="g-zarr-viewer">
                        <Text
                            label="Name" value={name} disabled={disabled} error={errorAt(at, 'name')}
                            onInput={(value) => change(at, { name: value })}
                        />
                        <Select
                            label="Kind" options={VIEWER_KINDS} value={kind} disabled={disabled} error={errorAt(at, 'kind')}
                            onInput={(value) => change(at, { kind: value })}
                        />
                        <Field label="Text" error={errorAt(at, 'text')}>
                            {(props) => (
                                <textarea
                                    class="form-control" rows={rowsOf(text)} value={text} disabled={disabled}
                                    spellcheck={false} {...props}
                                    onInput={({ currentTarget }) => change(at, { text: currentTarget.value })}
                                />
                            )}
                        </Field>
                        <span class="g-zarr-viewer-buttons">
                            <button
                                type="button" class="btn btn-default btn-xs" aria-label={`Show ${name} earlier`}
                                disabled={disabled || at === 0} onClick={() => raise(at)}
                            >
                                <Icon name="up-open" />
                            </button>
                            <button
                                type="button" class="btn btn-default btn-xs" aria-label={`Remove ${name}`} disabled={disabled}
                                onClick={() => remove(at)}
                            >
                                <Icon name="cancel" />
                            </button>
                        </span>
                    </li>
                ))}
            </ol>
            <button
                type="button" class="btn btn-default btn-sm" disabled={disabled}
                onClick={() => set([...viewers, { name: '', kind: 'link', text: '' }])}
            >
                Add a program
            </button>
            {error && !place ? <Failure failure={error} /> : null}
        </>
    );
}

export { ViewersForm };
