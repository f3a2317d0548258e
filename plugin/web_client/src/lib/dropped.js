/** Files out of a drop or a picker, those in folders included, each with its path below what was chosen. */

/**
 * @typedef {Object} Chosen
 * @property {File|import('./girderFiles.js').GirderFile} file
 * @property {string} path relative, with slashes.
 * @property {FileSystemHandle} [root] what was chosen, where the browser can keep it: the file, or the folder with which
 *     the path begins.
 */

/** Files that no folder is about. */
const isHidden = (path) => path.split('/').some((part) => part.startsWith('.') || part === 'Thumbs.db');

/**
 * @param {DataTransfer} transfer of a drop; read before the handler returns, as the browser empties it then.
 * @returns {Promise<Chosen[]>} in the order of their numbers.
 */
async function droppedFiles(transfer) {
    const items = [...transfer.items].filter(({ kind }) => kind === 'file');
    const entries = items.map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
    // Only pages that came over https or from this machine get handles.
    const handles = items.map((item) => item.getAsFileSystemHandle && item.getAsFileSystemHandle().catch(() => null));
    const files = [...transfer.files];
    if (!entries.some(Boolean)) {
        return inOrder(files.map((file) => ({ file, path: file.name })));
    }
    const found = await Promise.all(entries.map(async (entry, at) => {
        const root = await handles[at];
        return entry ? (await filesOf(entry)).map((one) => (root ? { ...one, root } : one)) : [];
    }));
    return inOrder(found.flat());
}

/** @param {FileList} list of an input. */
function pickedFiles(list) {
    return inOrder([...list].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
}

/** Whether the browser's own pickers are there, which give handles that can be kept. */
const canKeep = () => Boolean(window.showDirectoryPicker && window.showOpenFilePicker);

/** @returns {Promise<Chosen[]>} the files of a folder that somebody picks; none where the picker is closed. */
async function pickFolder() {
    const root = await picked(() => window.showDirectoryPicker({ id: 'girder-zarr', mode: 'read' }));
    return root ? inOrder((await filesIn(root, root.name)).map((one) => ({ ...one, root }))) : [];
}

/** @returns {Promise<Chosen[]>} files that somebody picks. */
async function pickFiles() {
    const roots = await picked(() => window.showOpenFilePicker({ id: 'girder-zarr', multiple: true }));
    return inOrder(await Promise.all((roots || []).map(async (root) => (
        { file: await root.getFile(), path: root.name, root }))));
}

async function picked(ask) {
    try {
        return await ask();
    } catch (error) {
        if (error.name === 'AbortError') {
            return null;
        }
        throw error;
    }
}

async function filesIn(folder, path) {
    const found = [];
    for await (const handle of folder.values()) {
        const own = `${path}/${handle.name}`;
        found.push(handle.kind === 'file'
            ? handle.getFile().then((file) => [{ file, path: own }])
            : filesIn(handle, own));
    }
    return (await Promise.all(found)).flat();
}

async function filesOf(entry) {
    if (entry.isFile) {
        const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
        return [{ file, path: entry.fullPath.replace(/^\//, '') }];
    }
    const reader = entry.createReader();
    const found = [];
    // A reader gives a hundred entries at a time.
    for (;;) {
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) {
            return found;
        }
        found.push(...(await Promise.all(some.map(filesOf))).flat());
    }
}

/** Without hidden files, 2 before 10. @param {Chosen[]} chosen */
function inOrder(chosen) {
    const { compare } = new Intl.Collator('en', { numeric: true });
    return chosen.filter(({ path }) => !isHidden(path)).sort((one, other) => compare(one.path, other.path));
}

export { canKeep, droppedFiles, inOrder, pickFiles, pickFolder, pickedFiles };
