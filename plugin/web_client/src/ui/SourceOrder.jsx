import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { get, request } from '../lib/api.js';
import {
    DEFAULT, choicesFor, extensionOf, extensionsOf, mimeTypeFrom, mimeTypesOf, settingWithOrder, settingWithout,
    settingWithoutKey, without
} from '../lib/priorities.js';
import { Failure, Icon, Message, confirmed, toast } from './parts.jsx';

const KEY = 'zarr.source_priorities';

/** One source in the order: dragged, or moved with the buttons or the arrow keys. */
function Source({ choice, at, last, isFixed, onMove, onToggle, drag }) {
    const { name, isOff } = choice;
    function keydown(event) {
        const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
        if (step && !isOff && !isFixed) {
            event.preventDefault();
            onMove(at, at + step);
        }
    }
    return (
        <li
            class={`g-zarr-source ${isOff ? 'g-zarr-source-off' : ''}`} data-source={name} draggable={!isOff && !isFixed}
            onDragStart={(event) => {
                event.dataTransfer.setData('text/plain', name);
                drag.current = at;
            }}
            onDragOver={(event) => event.preventDefault()}
            onDrop={(event) => {
                event.preventDefault();
                if (drag.current !== null && !isOff) {
                    onMove(drag.current, at);
                }
                drag.current = null;
            }}
        >
            <span class="g-zarr-source-grip" aria-hidden="true">{isOff ? '–' : at + 1}</span>
            <span class="g-zarr-source-name">{name}</span>
            {choice.isChanged ? <span class="g-zarr-source-changed">changed here</span> : null}
            <span class="g-zarr-source-buttons" onKeyDown={keydown}>
                <button
                    type="button" class="btn btn-default btn-xs g-zarr-source-up" aria-label={`Ask ${name} earlier`}
                    disabled={isOff || isFixed || at === 0} onClick={() => onMove(at, at - 1)}
                >
                    <Icon name="up-open" />
                </button>
                <button
                    type="button" class="btn btn-default btn-xs g-zarr-source-down" aria-label={`Ask ${name} later`}
                    disabled={isOff || isFixed || at === last} onClick={() => onMove(at, at + 1)}
                >
                    <Icon name="down-open" />
                </button>
                <label class="g-zarr-source-on">
                    <input
                        type="checkbox" checked={!isOff} disabled={isFixed} aria-label={`Ask ${name} at all`}
                        onChange={() => onToggle(choice)}
                    />
                    {' on'}
                </label>
            </span>
        </li>
    );
}

/** An extension as the setting has it, out of one or of the name of a file. */
function extensionFrom(typed) {
    const name = typed.trim().replace(/^\./, '').toLowerCase();
    return name === '' ? DEFAULT : name.includes('.') ? extensionOf(name) : name;
}

/** Whether the order is that for an extension or for a MIME type, and for which. */
function KeyFields({ by, typed, sources, onBy, onTyped }) {
    const id = useId();
    const isMime = by === 'mimeType';
    return (
        <>
            <fieldset class="g-zarr-by">
                <legend>Order by</legend>
                {[['extension', 'extension'], ['mimeType', 'MIME type']].map(([value, text]) => (
                    <label key={value}>
                        <input type="radio" name={id} value={value} checked={by === value} onChange={() => onBy(value)} />
                        {` ${text}`}
                    </label>
                ))}
            </fieldset>
            <div class="form-group g-zarr-field">
                <label for={id}>{isMime ? 'MIME type' : 'Extension or name of a file'}</label>
                <input
                    id={id} class={`form-control input-sm g-zarr-${isMime ? 'mime-type' : 'extension'}`} list={`${id}-all`}
                    value={typed} spellcheck={false} onInput={({ currentTarget }) => onTyped(currentTarget.value)}
                />
                <datalist id={`${id}-all`}>
                    {(isMime ? mimeTypesOf(sources) : extensionsOf(sources)).map((one) => <option key={one} value={one} />)}
                </datalist>
            </div>
        </>
    );
}

/** What the order is about, in words. */
function aboutOf(key) {
    if (key === DEFAULT) {
        return 'Files without an extension';
    }
    return key.includes('/') ? `Files of the MIME type ${key}` : `Files that end in .${key}`;
}

/**
 * The order in which tile sources are asked for files of an extension or MIME type; what is changed counts at once.
 *
 * @param {Object} props
 * @param {function(): void} [props.onChanged] the order is another one now.
 */
function SourceOrder({ onChanged = () => {} }) {
    const [answer, setAnswer] = useState(null);
    const [setting, setSetting] = useState({});
    const [by, setBy] = useState('extension');
    const [texts, setTexts] = useState({ extension: 'tif', mimeType: 'image/tiff' });
    const [failure, setFailure] = useState(null);
    const drag = useRef(null);
    const list = useRef(null);
    const focus = useRef(null);
    const load = async () => {
        const [found, value] = await Promise.all([get('zarr/source'), get('system/setting', { key: KEY })]);
        setAnswer(found);
        setSetting(value || {});
    };
    useEffect(() => {
        load().catch(setFailure);
    }, []);
    useEffect(() => {
        // The buttons of a source move with it.
        if (focus.current && list.current) {
            const { name, step } = focus.current;
            const row = [...list.current.children].find((one) => one.dataset.source === name);
            const [first, second] = step < 0 ? ['up', 'down'] : ['down', 'up'];
            const button = row && [first, second].map((one) => row.querySelector(`.g-zarr-source-${one}`))
                .find((one) => one && !one.disabled);
            focus.current = null;
            if (button) {
                button.focus();
            }
        }
    }, [answer]);
    if (!answer) {
        return failure ? <Failure failure={failure} /> : <p role="status">Loading…</p>;
    }
    const typed = texts[by];
    const key = by === 'mimeType' ? mimeTypeFrom(typed) : extensionFrom(typed);
    const choices = key ? choicesFor(answer.sources, key) : [];
    const last = choices.filter(({ isOff }) => !isOff).length - 1;
    const isFixed = answer.fixedByEnvironment;

    async function store(value, done) {
        setFailure(null);
        try {
            await request('PUT', 'system/setting', { query: { key: KEY, value } });
            toast(done);
            onChanged();
        } catch (error) {
            setFailure(error);
        }
        await load().catch(setFailure);
    }
    function move(from, to) {
        if (to < 0 || to > last || from === to) {
            return;
        }
        const order = [...choices];
        const [moved] = order.splice(from, 1);
        order.splice(to, 0, moved);
        const value = settingWithOrder(setting, key, order, answer.priorities);
        if (value === null) {
            setFailure(new Error(`There are ${answer.priorities.length} priorities, too few for this order.`));
            return;
        }
        focus.current = { name: moved.name, step: to - from };
        store(value, `${moved.name} is asked as number ${to + 1}.`);
    }
    function toggle({ name: source, isOff }) {
        const value = isOff ? without(setting, source) : settingWithout(setting, source);
        store(value, `${source} is ${isOff ? 'on' : 'off'} for all files.`);
    }
    function resetKey() {
        store(settingWithoutKey(setting, key), `${aboutOf(key)}: every source has its own priority.`);
    }
    async function reset() {
        if (await confirmed('Give every tile source its own priorities back, for all extensions and MIME types?', 'Reset')) {
            await store({}, 'Every source has its own priorities.');
        }
    }
    return (
        <div class="g-zarr-priorities">
            {isFixed
                ? (
                    <Message kind="warning">
                        The environment variable <code>GIRDER_SETTING_ZARR_SOURCE_PRIORITIES</code> fixes the priorities of
                        this server; they cannot be changed here while it is set.
                    </Message>
                )
                : null}
            <KeyFields
                by={by} typed={typed} sources={answer.sources} onBy={setBy}
                onTyped={(text) => setTexts({ ...texts, [by]: text })}
            />
            {key
                ? (
                    <p class="g-zarr-hint">
                        {aboutOf(key)} are opened by the first of these that can read them. Drag, or use the buttons, to change
                        the order; it counts at once. The switch is for files of all kinds. A file counts by its MIME type and
                        by each of its extensions: of the places that a source has by them, the first counts.
                        Items that are registered already stay with their source until it is chosen again, below.
                    </p>
                )
                : <Message>Expected a MIME type such as image/tiff.</Message>}
            <Failure failure={failure} />
            <ol class="g-zarr-sources" ref={list}>
                {choices.map((choice, at) => (
                    <Source
                        key={choice.name} choice={choice} at={at} last={last} isFixed={isFixed} drag={drag} onMove={move}
                        onToggle={toggle}
                    />
                ))}
            </ol>
            <p class="g-zarr-buttons">
                <button
                    type="button" class="btn btn-default btn-sm" onClick={resetKey}
                    disabled={isFixed || !choices.some(({ isChanged }) => isChanged)}
                >
                    {`Reset ${!key || key === DEFAULT ? 'this order' : key.includes('/') ? key : `.${key}`}`}
                </button>
                <button type="button" class="btn btn-default btn-sm g-zarr-priorities-reset" disabled={isFixed} onClick={reset}>
                    Reset everything
                </button>
            </p>
        </div>
    );
}

export { SourceOrder };
