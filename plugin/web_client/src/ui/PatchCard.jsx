import { useEffect, useRef, useState } from 'preact/hooks';
import { addressOf, get } from '../lib/api.js';
import { deletePatch, pathOf, replacePatch } from '../lib/patches.js';
import { isEditable } from '../lib/sessions.js';
import store from '../lib/store.js';
import { Button, Facts, Failure, confirmed, toast } from './parts.jsx';

const { formatSize } = girder.misc;

/** Tell what was done, and offer to take it back. */
function told(text, undo) {
    const run = undo && (async () => {
        try {
            await undo();
            toast('It is as it was before.');
        } catch (error) {
            toast(`That could not be taken back: ${error.message}`, 'warning');
        }
        store.changed();
    });
    toast(text, 'success', run ? { action: { text: 'Undo', run } } : {});
}

/**
 * One patch: what is known of it, and what can be done with it.
 *
 * @param {Object} props
 * @param {Object} props.session
 * @param {Object} props.patch with its place in pixels of the image.
 * @param {{frame: number, style: ?Object}} props.look what the viewer shows.
 * @param {boolean} props.canWrite
 * @param {function(): void} props.onClose
 */
function PatchCard({ session, patch, look, canWrite, onClose }) {
    const [known, setKnown] = useState(null);
    const [refusal, setRefusal] = useState(null);
    const [isBusy, setBusy] = useState(false);
    const picker = useRef(null);
    const card = useRef(null);
    const path = pathOf(session, patch.key);
    useEffect(() => {
        get(path).then(setKnown).catch(setRefusal);
    }, [path, session.revision]);
    async function change(text, what) {
        setBusy(true);
        setRefusal(null);
        try {
            told(text, await what());
            store.changed();
            return true;
        } catch (error) {
            setRefusal(error);
            return false;
        } finally {
            setBusy(false);
        }
    }
    async function remove() {
        const isSure = await confirmed(`Delete the patch ${patch.key}? Its place in the image stays empty.`, 'Delete');
        if (isSure && await change(`The patch ${patch.key} is deleted.`, () => deletePatch(session, known))) {
            onClose();
        }
    }
    async function replace(file) {
        // The browser's dialog has given the focus to the hidden field.
        card.current.querySelector('.g-zarr-replace').focus();
        if (await confirmed(`Replace the patch ${patch.key} by the file ${file.name} (${formatSize(file.size)})?`, 'Replace', 'btn-primary')) {
            await change(`The patch ${patch.key} is replaced by ${file.name}.`, () => replacePatch(session, known, file));
        }
    }
    const region = addressOf(`stitch_session/${session._id}/tiles/region`, {
        left: Math.max(0, patch.x), top: Math.max(0, patch.y), right: patch.x + patch.width, bottom: patch.y + patch.height,
        width: 200, height: 200, encoding: 'JPEG', frame: look.frame, style: look.style, revision: undefined
    });
    const canChange = canWrite && isEditable(session) && known && known.key === patch.key;
    return (
        <section class="g-zarr-patch" ref={card} aria-label={`Patch ${patch.key}`}>
            <h3>{patch.key}</h3>
            <div class="g-zarr-patch-inside">
                <img
                    key={session.revision} class="g-zarr-picture" src={region}
                    alt={`The image where ${patch.key} lies`}
                />
                <div>
                    <Facts
                        facts={[
                            ['Position', Object.entries(patch.position).map(([axis, value]) => `${axis} ${value}`).join(', ')],
                            ['Size', `${patch.width} × ${patch.height} pixels`],
                            ['File', known && `${known.format}, ${known.dtype}, ${formatSize(known.size)}`],
                            ['Order', patch.order || null],
                            ['Weight', known && known.weight],
                            ['Mask', known && (known.maskKey || known.mask)],
                            ['Digest', known && <code>{known.digest}</code>]
                        ]}
                    />
                    <Failure failure={refusal} />
                    <p class="g-zarr-buttons">
                        {canChange
                            ? (
                                <>
                                    <Button
                                        class="btn btn-default btn-sm g-zarr-replace" isOff={isBusy}
                                        onClick={() => picker.current.click()}
                                    >
                                        Replace
                                    </Button>
                                    <Button class="btn btn-default btn-sm" isOff={isBusy} onClick={remove}>Delete</Button>
                                    <input
                                        ref={picker} class="g-zarr-pick-patch" type="file" hidden
                                        onChange={({ currentTarget }) => {
                                            const [file] = currentTarget.files;
                                            if (file) {
                                                replace(file);
                                            }
                                            currentTarget.value = '';
                                        }}
                                    />
                                </>
                            )
                            : null}
                        <button type="button" class="btn btn-default btn-sm" onClick={onClose}>Close</button>
                    </p>
                </div>
            </div>
        </section>
    );
}

export { PatchCard };
