import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { patchesText } from '../lib/sessions.js';

/** The way back from an image to the session that has made it. */
function MadeBy({ itemId }) {
    const [sessions, setSessions] = useState([]);
    useEffect(() => {
        // Whoever may not see the session sees the image without this line.
        get('stitch_session', { itemId }).then(setSessions).catch(() => setSessions([]));
    }, [itemId]);
    return sessions.map((session) => (
        <p key={session._id} class="g-info-list-entry g-zarr-made-by">
            {'Made by the stitch session '}
            <a href={`#stitch_session/${session._id}`}>{session.name}</a>
            {session.counts.patches ? ` from ${patchesText(session)}` : ''}
        </p>
    ));
}

export { MadeBy };
