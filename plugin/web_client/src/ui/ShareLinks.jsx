import { useEffect, useState } from 'preact/hooks';
import { get, request } from '../lib/api.js';
import { Text } from './SpecForm.jsx';
import { Snippet } from './Snippet.jsx';
import { Failure, confirmed } from './parts.jsx';

const { DATE_MINUTE, formatDate } = girder.misc;

/** The address of a link that was just made, and the programs that open it. */
function Made({ link }) {
    const [viewers, setViewers] = useState([]);
    useEffect(() => {
        get('zarr_link/viewers', { url: link.url }).then(setViewers).catch(() => setViewers([]));
    }, [link.url]);
    return (
        <div class="g-zarr-share-made" role="status">
            <p>Whoever has this address reads the image. It is shown only now.</p>
            <Snippet title="Address" text={link.url} />
            {viewers.map(({ name, kind, text }) => (
                kind === 'link'
                    ? <a key={name} class="btn btn-default btn-sm" href={text} target="_blank" rel="noopener noreferrer">{`Open in ${name}`}</a>
                    : <Snippet key={name} title={name} text={text} />
            ))}
        </div>
    );
}

/**
 * Share links to an item or a session: made, listed, revoked.
 *
 * @param {Object} props
 * @param {{itemId: string}|{sessionId: string}} props.target
 */
function ShareLinks({ target }) {
    const [links, setLinks] = useState([]);
    const [form, setForm] = useState({ label: '', expires: '' });
    const [made, setMade] = useState(null);
    const [failure, setFailure] = useState(null);
    const load = () => get('zarr_link', target).then(setLinks).catch(setFailure);
    useEffect(() => {
        load();
    }, [JSON.stringify(target)]);
    async function change(what) {
        setFailure(null);
        try {
            await what();
        } catch (error) {
            setFailure(error);
        }
        await load();
    }
    function make(event) {
        event.preventDefault();
        return change(async () => {
            const hours = form.expires.trim();
            const json = {
                ...target, label: form.label.trim(),
                ...(hours ? { expires: Number.isFinite(Number(hours)) ? Number(hours) : hours } : {})
            };
            setMade((await request('POST', 'zarr_link', { json })).data);
            setForm({ label: '', expires: '' });
        });
    }
    async function revoke(link) {
        if (await confirmed(`Revoke the link ${link.label || link.hint}? Who uses it reads nothing any more.`, 'Revoke')) {
            await change(() => request('DELETE', `zarr_link/${link._id}`, { body: undefined }));
        }
    }
    return (
        <div class="g-zarr-share">
            <Failure failure={failure} />
            <form class="g-zarr-fields" onSubmit={make} novalidate>
                <Text label="For whom" value={form.label} onInput={(label) => setForm({ ...form, label })} />
                <Text
                    label="Ends after (hours, or a date)" value={form.expires} placeholder="never"
                    onInput={(expires) => setForm({ ...form, expires })}
                />
                <p class="g-zarr-buttons"><button type="submit" class="btn btn-default btn-sm">Make a link</button></p>
            </form>
            {made ? <Made link={made} /> : null}
            <ul class="g-zarr-links">
                {links.map((link) => (
                    <li key={link._id}>
                        <b>{link.label || link.hint}</b>
                        {` since ${formatDate(link.created, DATE_MINUTE)}, used ${link.uses} times`}
                        {link.expires ? `, ends ${formatDate(link.expires, DATE_MINUTE)}` : ''}{' '}
                        <button
                            type="button" class="btn btn-default btn-xs" aria-label={`Revoke ${link.label || link.hint}`}
                            onClick={() => revoke(link)}
                        >
                            Revoke
                        </button>
                    </li>
                ))}
            </ul>
        </div>
    );
}

export { ShareLinks };
