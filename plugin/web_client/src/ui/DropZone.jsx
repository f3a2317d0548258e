import { useRef, useState } from 'preact/hooks';
import { canKeep, droppedFiles, pickFiles, pickFolder, pickedFiles } from '../lib/dropped.js';

/**
 * Where files and folders are dropped, or chosen with a button.
 *
 * @param {Object} props
 * @param {function(import('../lib/dropped.js').Chosen[]): void} props.onFiles
 * @param {boolean} [props.compact]
 * @param {boolean} [props.single] whether one file is chosen.
 */
function DropZone({ onFiles, children, compact = false, single = false }) {
    const [over, setOver] = useState(false);
    const files = useRef(null);
    const folder = useRef(null);
    async function drop(event) {
        event.preventDefault();
        event.stopPropagation();
        setOver(false);
        const found = await droppedFiles(event.dataTransfer);
        if (found.length) {
            onFiles(found);
        }
    }
    function pick(event) {
        const found = pickedFiles(event.currentTarget.files);
        event.currentTarget.value = '';
        if (found.length) {
            onFiles(found);
        }
    }
    /** With the picker of which the browser keeps what was picked, where it has one. */
    async function choose(keeping, input) {
        if (!canKeep()) {
            input.current.click();
            return;
        }
        const found = await keeping();
        if (found.length) {
            onFiles(found);
        }
    }
    return (
        <div
            class={`g-zarr-drop ${over ? 'g-zarr-drop-over' : ''} ${compact ? 'g-zarr-drop-compact' : ''}`}
            onDragOver={(event) => {
                event.preventDefault();
                event.dataTransfer.dropEffect = 'copy';
                setOver(true);
            }}
            onDragLeave={() => setOver(false)} onDrop={drop}
        >
            {children}
            <span class="g-zarr-drop-buttons">
                {single
                    ? null
                    : (
                        <button type="button" class="btn btn-default btn-sm" onClick={() => choose(pickFolder, folder)}>
                            Choose a folder
                        </button>
                    )}
                <button
                    type="button" class="btn btn-default btn-sm"
                    onClick={() => (single ? files.current.click() : choose(pickFiles, files))}
                >
                    {single ? 'Choose a file' : 'Choose files'}
                </button>
            </span>
            <input ref={files} class="g-zarr-pick-files" type="file" multiple={!single} hidden onChange={pick} />
            <input ref={folder} class="g-zarr-pick-folder" type="file" webkitdirectory hidden onChange={pick} />
        </div>
    );
}

export { DropZone };
