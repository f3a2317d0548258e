import { useEffect, useRef, useState } from 'preact/hooks';
import { addressOf, get, request, send } from '../lib/api.js';
import store from '../lib/store.js';
import { Facts, Message, confirmed } from './parts.jsx';

const { formatSize } = girder.misc;

/** One patch: what is known of it, and what can be done with it. */
function PatchCard({ session, patch, canWrite, onClose }) {
    const [known, setKnown] = useState(null);
    const [refusal, setRefusal] = useState(null);
    const picker = useRef(null);
    const path = `stitch_session/${session._id}/patch/${encodeURIComponent(patch.key)}`;
    useEffect(() => {
        get(path).then(setKnown).catch((error) => setRefusal(error.message));
    }, [path, session.revision]);
    const isEditable = canWrite && ['open', 'error', 'cancelled'].includes(session.state);
    async function change(what) {
        setRefusal(null);
        try {
            await what();
            store.changed();
        } catch (error) {
            setRefusal(error.message);
        }
    }
    async function remove() {
        if (await confirmed(`Delete the patch ${patch.key}?`, 'Delete')) {
            await change(() => request('DELETE', path, { body: undefined }));
            onClose();
        }
    }
    function replace(file) {
        const { x, y, t, z, c, ...index } = patch.position;
        const query = { x, y, t, z, c, order: patch.order, replace: true };
        if (Object.keys(index).length) {
            query.index = index;
        }
        return change(() => send('PUT', path, {
            query, body: file, headers: { 'Content-Type': 'application/octet-stream' }
        }));
    }
    const region = addressOf(`stitch_session/${session._id}/tiles/region`, {
        left: patch.x, top: patch.y, right: patch.x + patch.width, bottom: patch.y + patch.height, width: 200, height: 200,
        encoding: 'JPEG', revision: undefined
    });
    return (
        <section class="g-zarr-patch" aria-label={`Patch ${patch.key}`}>
            <h3>{patch.key}</h3>
            <img class="g-zarr-picture" src={region} alt={`The image where ${patch.key} lies`} />
            <Facts
                facts={[
                    ['Position', Object.entries(patch.position).map(([axis, value]) => `${axis} ${value}`).join(', ')],
                    ['Size', `${patch.width} × ${patch.height} pixels`],
                    ['File', known && `${known.format}, ${known.dtype}, ${formatSize(known.size)}`],
                    ['Digest', known && <code>{known.digest}</code>]
                ]}
            />
            {refusal ? <Message>{refusal}</Message> : null}
            <p class="g-zarr-buttons">
                {isEditable
                    ? (
                        <>
                            <button type="button" class="btn btn-default btn-sm" onClick={() => picker.current.click()}>
                                Replace
                            </button>
                            <button type="button" class="btn btn-default btn-sm" onClick={remove}>Delete</button>
                            <input
                                ref={picker} class="g-zarr-pick-patch" type="file" hidden
                                onChange={({ currentTarget: { files: [file] } }) => file && replace(file)}
                            />
                        </>
                    )
                    : null}
                <button type="button" class="btn btn-default btn-sm" onClick={onClose}>Close</button>
            </p>
        </section>
    );
}

export { PatchCard };
