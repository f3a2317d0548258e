import { MAX_SHOWN, OPACITY } from '../lib/labels.js';

/**
 * The labels of an image: each can be shown over it.
 *
 * @param {Object} props
 * @param {string[]} props.names
 * @param {import('../lib/labels.js').Shown} props.shown
 * @param {Object<string, string>} props.problems why one cannot be shown, by name.
 * @param {function(import('../lib/labels.js').Shown): void} props.onChange
 */
function LabelList({ names, shown, problems, onChange }) {
    const toggle = (name, isOn) => {
        const { [name]: gone, ...others } = shown;
        onChange(isOn ? { ...others, [name]: gone ?? OPACITY } : others);
    };
    const isFull = Object.keys(shown).length >= MAX_SHOWN;
    return (
        <fieldset class="g-zarr-labels">
            <legend>Labels</legend>
            <ul>
                {names.map((name) => (
                    <li key={name} data-label={name}>
                        <label class="g-zarr-label-name">
                            <input
                                type="checkbox" checked={name in shown} disabled={isFull && !(name in shown)}
                                onChange={({ currentTarget }) => toggle(name, currentTarget.checked)}
                            />
                            {' '}{name}
                        </label>
                        {name in shown
                            ? (
                                <>
                                    <input
                                        type="range" min="0" max="100" step="1" value={shown[name]}
                                        aria-label={`Opacity of ${name}`} aria-valuetext={`${shown[name]} percent`}
                                        onInput={({ currentTarget }) => onChange({ ...shown, [name]: Number(currentTarget.value) })}
                                    />
                                    <span class="g-zarr-label-opacity">{`${shown[name]} %`}</span>
                                </>
                            )
                            : null}
                        {problems[name] ? <span class="g-zarr-label-problem" role="alert">{problems[name]}</span> : null}
                    </li>
                ))}
            </ul>
            {isFull && names.length > MAX_SHOWN ? <p class="g-zarr-hint">{`At most ${MAX_SHOWN} labels are shown at once.`}</p> : null}
        </fieldset>
    );
}

export { LabelList };
