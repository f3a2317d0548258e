import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { get, request } from '../lib/api.js';
import { DEFAULT, choicesFor, extensionOf, extensionsOf, settingWithOrder, settingWithout, without } from '../lib/priorities.js';
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

/** The order in which tile sources are asked for files of an extension; what is changed counts at once. */
function SourceOrder() {
    const [answer, setAnswer] = useState(null);
    const [setting, setSetting] = useState({});
    const [typed, setTyped] = useState('tif');
    const [failure, setFailure] = useState(null);
    const drag = useRef(null);
    const list = useRef(null);
    const focus = useRef(null);
    const id = useId();
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
    const name = typed.trim().replace(/^\./, '').toLowerCase();
    const extension = name === '' ? DEFAULT : name.includes('.') ? extensionOf(name) : name;
    const choices = choicesFor(answer.sources, extension);
    const last = choices.filter(({ isOff }) => !isOff).length - 1;
    const isFixed = answer.fixedByEnvironment;

    async function store(value, done) {
        setFailure(null);
        try {
            await request('PUT', 'system/setting', { query: { key: KEY, value } });
            toast(done);
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
        const value = settingWithOrder(setting, extension, order, answer.priorities);
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
    async function reset() {
        if (await confirmed('Give every tile source its own priorities back, for all extensions?', 'Reset')) {
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
            <div class="form-group g-zarr-field">
                <label for={id}>Extension or name of a file</label>
                <input
                    id={id} class="form-control input-sm g-zarr-extension" list={`${id}-all`} value={typed}
                    spellcheck={false} onInput={({ currentTarget }) => setTyped(currentTarget.value)}
                />
                <datalist id={`${id}-all`}>
                    {extensionsOf(answer.sources).map((one) => <option key={one} value={one} />)}
                </datalist>
                <p class="g-zarr-hint">
                    {extension === DEFAULT ? 'Files without an extension' : `Files that end in .${extension}`} are opened by the
                    first of these that can read them. Drag, or use the buttons, to change the order; it counts at once. The
                    switch is for files of all kinds.
                    Items that are registered already stay with their source. A name with several extensions, such as
                    image.zarr.zip, counts for each of them: below, an item says who opens it.
                </p>
            </div>
            <Failure failure={failure} />
            <ol class="g-zarr-sources" ref={list}>
                {choices.map((choice, at) => (
                    <Source
                        key={choice.name} choice={choice} at={at} last={last} isFixed={isFixed} drag={drag} onMove={move}
                        onToggle={toggle}
                    />
                ))}
            </ol>
            <button type="button" class="btn btn-default btn-sm g-zarr-priorities-reset" disabled={isFixed} onClick={reset}>
                Reset all extensions
            </button>
        </div>
    );
}

export { SourceOrder };
