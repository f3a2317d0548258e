import { useState } from 'preact/hooks';
import { SessionList } from '../ui/SessionList.jsx';
import { Check } from '../ui/SpecForm.jsx';
import { useTitle } from '../ui/hooks.js';

const { getCurrentUser } = girder.auth;

/** The sessions that somebody has created, in all folders; an administrator may see those of everybody. */
function MySessions() {
    const [everybody, setEverybody] = useState(false);
    const user = getCurrentUser();
    useTitle('My stitch sessions');
    return (
        <div class="g-zarr-page g-zarr-my-sessions">
            <h1>{everybody ? 'Stitch sessions of everybody' : 'My stitch sessions'}</h1>
            {user && user.get('admin')
                ? <Check label="Those of everybody" name="everybody" checked={everybody} onInput={setEverybody} />
                : null}
            <SessionList
                key={everybody} query={everybody ? { everybody } : {}} canWrite withFolder
                empty={({ loaded }) => (loaded
                    ? <p>There is none yet. A session begins in a folder: Actions, New stitch session.</p>
                    : <p role="status">Loading…</p>)}
            />
        </div>
    );
}

export { MySessions };
