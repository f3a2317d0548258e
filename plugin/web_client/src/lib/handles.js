/** Files and folders that the browser still knows when somebody comes back (File System Access). */

/** Files that are opened at a time. */
const OPENED = 16;

/**
 * Ask for what was kept; the browser asks the person where it has to, which needs a click before.
 *
 * @param {FileSystemHandle[]} roots
 * @returns {Promise<boolean>} whether all of them may be read.
 */
async function allowed(roots) {
    for (const root of roots) {
        const how = { mode: 'read' };
        const isGranted = await root.queryPermission(how) === 'granted' || await root.requestPermission(how) === 'granted';
        if (!isGranted) {
            return false;
        }
    }
    return true;
}

/**
 * @param {FileSystemHandle} root a file, or a folder with which the path begins.
 * @param {string} path
 * @returns {Promise<File>}
 * @throws {DOMException} it is not there any more.
 */
async function fileAt(root, path) {
    if (root.kind === 'file') {
        return root.getFile();
    }
    const [name, ...folders] = path.split('/').slice(1).reverse();
    let folder = root;
    for (const one of folders.reverse()) {
        folder = await folder.getDirectoryHandle(one);
    }
    return (await folder.getFileHandle(name)).getFile();
}

/**
 * @param {{root: FileSystemHandle, path: string}[]} wanted
 * @returns {Promise<(?File)[]>} null for each that is not there any more.
 */
async function filesAt(wanted) {
    const found = new Array(wanted.length).fill(null);
    let next = 0;
    const open = async () => {
        for (let at = next; at < wanted.length; at = next) {
            next += 1;
            found[at] = await fileAt(wanted[at].root, wanted[at].path).catch(() => null);
        }
    };
    await Promise.all(Array.from({ length: OPENED }, open));
    return found;
}

export { allowed, fileAt, filesAt };
