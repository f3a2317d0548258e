import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { inOrder } from '../lib/dropped.js';
import { GirderFile, PAGE, filesBelow, foldersOf, itemsOf, partOf } from '../lib/girderFiles.js';
import { Failure, Icon } from './parts.jsx';
import { VirtualList } from './VirtualList.jsx';

const { getCurrentUser } = girder.auth;
const { formatSize } = girder.misc;
const TOP = { type: 'top', _id: '', name: 'Girder' };

/**
 * @typedef {Object} Level where somebody is.
 * @property {'top'|'collection'|'user'|'folder'} type
 * @property {string} _id
 * @property {string} name
 */

/** The levels above a folder, and itself. @returns {Promise<Level[]>} */
async function levelsOf(folder) {
    const above = await get(`folder/${folder._id}/rootpath`);
    return [TOP, ...above.map(({ type, object }) => ({ type, _id: object._id, name: object.name || object.login })), folder];
}

/** What lies in a level, but for items. @returns {Promise<Level[]>} */
async function levelsIn({ type, _id }, signal) {
    if (type !== 'top') {
        return (await foldersOf(type, _id, signal)).map(levelOf);
    }
    const user = getCurrentUser();
    const collections = await get('collection', { limit: PAGE, sort: 'name', sortdir: 1 }, { signal });
    return [
        ...(user ? [{ type: 'user', _id: user.id, name: user.get('login') }] : []),
        ...collections.map((one) => ({ type: 'collection', _id: one._id, name: one.name }))
    ];
}

const levelOf = ({ _id, name }) => ({ type: 'folder', _id, name });

/** The items of a folder, some hundred at a time: {items, isAll, count, more}. */
function useItems(level, onFailure) {
    const [state, setState] = useState({ items: [], isAll: true, count: null });
    const asking = useRef(null);
    async function load(before) {
        const controller = new AbortController();
        asking.current = controller;
        try {
            const some = await itemsOf(level._id, before.length, controller.signal);
            setState((known) => ({ ...known, items: [...before, ...some], isAll: some.length < PAGE }));
        } catch (error) {
            if (error.name !== 'AbortError') {
                onFailure(error);
            }
        } finally {
            if (asking.current === controller) {
                asking.current = null;
            }
        }
    }
    useEffect(() => {
        setState({ items: [], isAll: level.type !== 'folder', count: null });
        if (level.type === 'folder') {
            load([]);
            get(`folder/${level._id}/details`).then(({ nItems }) => setState((known) => ({ ...known, count: nItems })))
                .catch(onFailure);
        }
        return () => asking.current && asking.current.abort();
    }, [level.type, level._id]);
    return { ...state, more: () => state.isAll || asking.current || load(state.items) };
}

/** Where the way to a level can be gone back. */
function Path({ levels, onGo }) {
    return (
        <nav class="g-zarr-picker-path" aria-label="Place in Girder">
            <ol>
                {levels.map((level, at) => (
                    <li key={`${level.type}${level._id}`}>
                        {at === levels.length - 1
                            ? <span aria-current="location">{level.name}</span>
                            : (
                                <button type="button" class="btn btn-link" onClick={() => onGo(levels.slice(0, at + 1))}>
                                    {level.name}
                                </button>
                            )}
                    </li>
                ))}
            </ol>
        </nav>
    );
}

/** Folders and items, to be walked through and chosen. */
function Browser({ folder, onFiles, onClose }) {
    const [levels, setLevels] = useState([levelOf(folder)]);
    const [inside, setInside] = useState([]);
    const [selected, setSelected] = useState(new Set());
    const [failure, setFailure] = useState(null);
    const [found, setFound] = useState(null);
    const working = useRef(null);
    const element = useRef(null);
    const level = levels[levels.length - 1];
    const { items, isAll, count, more } = useItems(level, setFailure);

    useEffect(() => {
        element.current.focus();
        levelsOf(levelOf(folder)).then(setLevels).catch(setFailure);
        return () => working.current && working.current.abort();
    }, []);
    useEffect(() => {
        const controller = new AbortController();
        setSelected(new Set());
        setInside([]);
        levelsIn(level, controller.signal).then(setInside)
            .catch((error) => error.name === 'AbortError' || setFailure(error));
        return () => controller.abort();
    }, [level._id]);

    function go(next) {
        setFailure(null);
        setLevels(next);
        // What was pressed is gone.
        element.current.focus();
    }
    function addSelected() {
        onFiles(inOrder(items.filter(({ _id }) => selected.has(_id)).map((item) => (
            { file: new GirderFile(item), path: `${partOf(level.name)}/${partOf(item.name)}` }))));
    }
    async function addAll() {
        working.current = new AbortController();
        setFailure(null);
        setFound(0);
        try {
            onFiles(inOrder(await filesBelow(level, setFound, working.current.signal)));
        } catch (error) {
            setFound(null);
            if (error.name !== 'AbortError') {
                setFailure(error);
            }
        }
    }
    const isFolder = level.type === 'folder';
    return (
        <section class="g-zarr-picker" aria-label="Files in Girder" tabindex="-1" ref={element}>
            <Path levels={levels} onGo={go} />
            <Failure failure={failure} />
            {inside.length
                ? (
                    <ul class="g-zarr-picker-folders" aria-label="Folders">
                        {inside.map((one) => (
                            <li key={one._id}>
                                <button type="button" class="btn btn-link" onClick={() => go([...levels, one])}>
                                    <Icon name={one.type === 'user' ? 'user' : one.type === 'collection' ? 'sitemap' : 'folder'} />
                                    {one.name}
                                </button>
                            </li>
                        ))}
                    </ul>
                )
                : null}
            {items.length
                ? (
                    <VirtualList
                        rows={items.map((item) => ({ ...item, key: item._id }))} label={`Items in ${level.name}`}
                        selected={selected} onSelect={setSelected} onEnd={more}
                    >
                        {({ name, size }) => (
                            <>
                                <span class="g-zarr-list-name">{name}</span>
                                <span class="g-zarr-list-place">{formatSize(size)}</span>
                            </>
                        )}
                    </VirtualList>
                )
                : <p class="g-zarr-hint">{isFolder ? isAll ? 'There are no items here.' : 'Loading…' : 'Choose a folder.'}</p>}
            <p class="g-zarr-picker-count" role="status">
                {found !== null
                    ? `${found} items found…`
                    : count
                        ? `${count} ${count === 1 ? 'item' : 'items'}${selected.size ? `, ${selected.size} selected` : ''}`
                        : ''}
            </p>
            <p class="g-zarr-buttons">
                <button
                    type="button" class={`btn btn-sm ${selected.size ? 'btn-primary' : 'btn-default'}`}
                    disabled={!selected.size || found !== null} onClick={addSelected}
                >
                    {selected.size ? `Add ${selected.size} selected` : 'Add the selected'}
                </button>
                <button type="button" class="btn btn-default btn-sm" disabled={!isFolder || found !== null} onClick={addAll}>
                    Add the whole folder
                </button>
                <button type="button" class="btn btn-default btn-sm" onClick={onClose}>Close</button>
            </p>
        </section>
    );
}

/**
 * Choose items, or a folder with all that is below it.
 *
 * Girder's BrowserWidget gives one item or one folder, never several items; the select of its roots has no name, and its
 * "Show more items" no way by keyboard.
 *
 * @param {Object} props
 * @param {{_id: string, name: string}} props.folder where somebody begins.
 * @param {function(import('../lib/dropped.js').Chosen[]): void} props.onFiles
 */
function GirderPicker({ folder, onFiles }) {
    const [isOpen, setOpen] = useState(false);
    const button = useRef(null);
    function close() {
        setOpen(false);
        button.current.focus();
    }
    return (
        <>
            <p class="g-zarr-picker-button">
                <button
                    ref={button} type="button" class="btn btn-default btn-sm" aria-expanded={isOpen}
                    onClick={() => setOpen(!isOpen)}
                >
                    Choose in Girder
                </button>
                <span class="g-zarr-hint"> Files that are there already stay where they are; no bytes are sent.</span>
            </p>
            {isOpen
                ? (
                    <Browser
                        folder={folder} onClose={close} onFiles={(chosen) => {
                            onFiles(chosen);
                            close();
                        }}
                    />
                )
                : null}
        </>
    );
}

export { GirderPicker };
