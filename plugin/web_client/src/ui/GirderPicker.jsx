import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { inOrder } from '../lib/dropped.js';
import { GirderFile, PAGE, filesBelow, itemsOf, partOf } from '../lib/girderFiles.js';
import { Inside, Opener, Path, levelOf, levelsOf, useLevelsIn } from './girderLevels.jsx';
import { Failure } from './parts.jsx';
import { VirtualList } from './VirtualList.jsx';

const { formatSize } = girder.misc;

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

/** Folders and items, to be walked through and chosen. */
function Browser({ folder, onFiles, onClose }) {
    const [levels, setLevels] = useState([levelOf(folder)]);
    const [selected, setSelected] = useState(new Set());
    const [failure, setFailure] = useState(null);
    const [found, setFound] = useState(null);
    const working = useRef(null);
    const element = useRef(null);
    const level = levels[levels.length - 1];
    const inside = useLevelsIn(level, setFailure);
    const { items, isAll, count, more } = useItems(level, setFailure);

    useEffect(() => {
        element.current.focus();
        levelsOf(levelOf(folder)).then(setLevels).catch(setFailure);
        return () => working.current && working.current.abort();
    }, []);
    useEffect(() => setSelected(new Set()), [level._id]);

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
            <Inside levels={inside} onGo={(one) => go([...levels, one])} />
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
    return (
        <Opener label="Choose in Girder" hint=" Files that are there already stay where they are; no bytes are sent.">
            {(close) => (
                <Browser
                    folder={folder} onClose={close} onFiles={(chosen) => {
                        onFiles(chosen);
                        close();
                    }}
                />
            )}
        </Opener>
    );
}

export { GirderPicker };
