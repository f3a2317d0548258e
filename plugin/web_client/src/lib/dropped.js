/** Files out of a drop or a picker, those in folders included, each with its path below what was chosen. */

/**
 * @typedef {Object} Chosen
 * @property {File} file
 * @property {string} path relative, with slashes.
 */

/** Files that no folder is about. */
const isHidden = (path) => path.split('/').some((part) => part.startsWith('.') || part === 'Thumbs.db');

/**
 * @param {DataTransfer} transfer of a drop; read before the handler returns, as the browser empties it then.
 * @returns {Promise<Chosen[]>} in the order of their numbers.
 */
async function droppedFiles(transfer) {
    const entries = [...transfer.items].filter(({ kind }) => kind === 'file')
        .map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
    const files = [...transfer.files];
    const found = entries.some(Boolean)
        ? (await Promise.all(entries.filter(Boolean).map(filesOf))).flat()
        : files.map((file) => ({ file, path: file.name }));
    return sorted(found);
}

/** @param {FileList} list of an input. */
function pickedFiles(list) {
    return sorted([...list].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
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

function sorted(chosen) {
    const { compare } = new Intl.Collator('en', { numeric: true });
    return chosen.filter(({ path }) => !isHidden(path)).sort((one, other) => compare(one.path, other.path));
}

export { droppedFiles, pickedFiles };
